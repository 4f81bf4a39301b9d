"""`kith chaos list`: what there is to run, and to be run on."""

from chaos.cli.errors import VALID, CommandError
from chaos.cli.report import Json, json_text
from chaos.cli.tables import section, show, table
from chaos.cluster.kinds import KINDS
from chaos.faults import FAULTS
from chaos.running.expectations import EXPECTATIONS
from chaos.scenarios.reading import UnreadableScenarioError, Vocabulary, load, named_scenarios
from chaos.scenarios.scenario import Scenario

VOCABULARY = Vocabulary(FAULTS, EXPECTATIONS)


def scenario_of(word: str) -> Scenario:
    """A scenario by name or file.

    Raises:
        CommandError: there is none, or it is wrong.
    """
    try:
        return load(word, VOCABULARY)
    except UnreadableScenarioError as error:
        raise CommandError(str(error)) from None


def run(*, as_json: bool) -> int:
    """Print it; the exit code."""
    scenarios = [scenario_of(name) for name in named_scenarios()]
    show(json_text(_document(scenarios)) if as_json else _text(scenarios))
    return VALID


def _text(scenarios: list[Scenario]) -> str:
    rows = [
        [
            one.name, str(len(one.plan.names)), f"{one.faults_s + one.settle_s:.0f} s",
            "yes" if one.quick else "", " ".join(one.clusters), one.title,
        ]
        for one in scenarios
    ]  # fmt: skip
    kinds = [[name, summary] for name, summary in KINDS.items()]
    faults = [[kind.name, ", ".join(kind.fields), kind.summary] for kind in FAULTS.values()]
    expected = [[k.name, ", ".join(k.fields), k.summary] for k in EXPECTATIONS.values()]
    headings = ("scenario", "nodes", "takes", "short set", "clusters", "what")
    return "\n\n".join(
        (
            section("Scenarios", table(headings, rows, numbers=("nodes", "takes"))),
            section("Kinds of clusters", table(("kind", "what"), kinds)),
            section("Faults", table(("fault", "fields", "what"), faults)),
            section("Expectations", table(("expectation", "fields", "what"), expected)),
        )
    )


def _document(scenarios: list[Scenario]) -> dict[str, Json]:
    return {
        "scenarios": [
            {
                "name": one.name, "title": one.title, "nodes": list(one.plan.names),
                "faults_s": one.faults_s, "settle_s": one.settle_s, "quick": one.quick,
                "clusters": list(one.clusters), "faults": [step.kind.name for step in one.steps],
            }
            for one in scenarios
        ],
        "clusters": dict(KINDS),
        "faults": {
            kind.name: {"summary": kind.summary, "fields": dict(kind.fields)}
            for kind in FAULTS.values()
        },
        "expectations": {
            kind.name: {"summary": kind.summary, "fields": dict(kind.fields)}
            for kind in EXPECTATIONS.values()
        },
    }  # fmt: skip
