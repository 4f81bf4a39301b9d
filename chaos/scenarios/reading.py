"""From a scenario's file to a `Scenario`: the only place that knows how the file is laid out.

Rules this module keeps:

1. What it lets through can be run: times fit, nodes exist, faults and expectations are known.
2. A file from a stranger does nothing but be refused: it is data, bounded in size.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaos.cluster.cluster import Ability, ClusterPlan, names_of
from chaos.faults.fault import FaultKind, Table, UnreadableFaultError, Value
from chaos.faults.fields import Fields

from .scenario import Expectation, Scenario, Step, Workload

NAMED = Path(__file__).parent / "named"
"""The scenarios that come with Kith."""
FILE_BYTES_MAX = 64 * 1024
STEPS_MAX = 64
EXPECTATIONS_MAX = 32
FAULTS_S_MAX = 24 * 3600.0
SETTLE_S_MAX = 600.0
INSTANCES_MAX = 5_000
PER_S_MAX = 5_000.0
CLUSTERS = ("processes", "namespaces", "compose")
_MEBI = 1024 * 1024


class UnreadableScenarioError(Exception):
    """A scenario that none can be: where, which field, what it should be. Nothing was started."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What scenarios can name."""

    faults: Mapping[str, FaultKind]
    expectations: Mapping[str, "ExpectationReader"]


class ExpectationReader(Protocol):
    """Refuses tables that no expectation of a kind can be."""

    def check(self, table: Table, names: tuple[str, ...]) -> None:
        """Raises UnreadableFaultError."""


def named_scenarios() -> tuple[str, ...]:
    """The names of those that come with Kith, in order."""
    return tuple(sorted(file.stem for file in NAMED.glob("*.toml")))


def load(word: str, vocabulary: Vocabulary) -> Scenario:
    """By name, or by the path of a file (it ends in `.toml`).

    Raises:
        UnreadableScenarioError: there is none, or it is wrong.
    """
    if word.endswith(".toml"):
        path = Path(word)
    else:
        path = NAMED / f"{word}.toml"
        if word not in named_scenarios():
            near = difflib.get_close_matches(word, named_scenarios(), n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else "kith chaos list shows all"
            raise UnreadableScenarioError(
                f"there is no scenario {word!r}; {hint}; a file of your own ends in .toml"
            )
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UnreadableScenarioError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise UnreadableScenarioError(f"{path} has more than {FILE_BYTES_MAX} bytes")
    try:
        return read(path.stem, raw.decode(), vocabulary)
    except UnicodeDecodeError:
        raise UnreadableScenarioError(f"{path} is not UTF-8") from None


def read(name: str, text: str, vocabulary: Vocabulary) -> Scenario:
    """Read the text of a file.

    Raises:
        UnreadableScenarioError: where, which field, what it should be.
    """
    try:
        document: dict[str, Value] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnreadableScenarioError(f"{name}: this is no TOML: {error}") from None
    try:
        return _scenario(name, text, document, vocabulary)
    except UnreadableFaultError as error:
        raise UnreadableScenarioError(str(error)) from None


def _scenario(name: str, text: str, document: Table, vocabulary: Vocabulary) -> Scenario:
    top = Fields(document, name)
    title, about = top.text("title"), top.text("about")
    times = Fields(top.table("time"), f"{name}, [time]")
    faults_s = times.seconds("faults", None, FAULTS_S_MAX)
    settle_s = times.seconds("settle", 6.0, SETTLE_S_MAX)
    steady_within_s = times.seconds("steady_within", 30.0, SETTLE_S_MAX)
    times.end()
    cluster = Fields(top.table("cluster"), f"{name}, [cluster]")
    names = _names(cluster)
    steps = tuple(
        _step(Fields(table, f"{name}, fault {place}"), names, faults_s, vocabulary.faults)
        for place, table in enumerate(top.tables("fault", STEPS_MAX), 1)
    )
    scenario = Scenario(
        name=name,
        title=title,
        about=about,
        plan=_plan(cluster, names, steps),
        workload=_workload(Fields(top.table("workload"), f"{name}, [workload]")),
        steps=tuple(sorted(steps, key=lambda step: step.at_s)),
        faults_s=faults_s,
        settle_s=settle_s,
        steady_within_s=steady_within_s,
        expectations=tuple(
            _expectation(Fields(table, f"{name}, expect {place}"), names, vocabulary)
            for place, table in enumerate(top.tables("expect", EXPECTATIONS_MAX), 1)
        ),
        quick=top.flag("quick", default=False),
        clusters=_clusters(top),
        repeats=top.whole("repeats", 3, 1, 100),
        source=text,
    )
    top.end()
    return scenario


def _names(cluster: Fields) -> tuple[str, ...]:
    named = cluster.texts("names")
    if named:
        return named
    return names_of(cluster.whole("nodes", 5, 1, 32))


def _clusters(top: Fields) -> tuple[str, ...]:
    clusters = top.texts("clusters", ("namespaces",))
    for kind in clusters:
        if kind not in CLUSTERS:
            raise top.wrong("clusters", f"{kind!r} is none of {', '.join(CLUSTERS)}")
    return clusters


def _plan(fields: Fields, names: tuple[str, ...], steps: tuple[Step, ...]) -> ClusterPlan:
    needs = {need: None for step in steps for need in step.kind.needs}
    disk_bytes = round(fields.number("disk_mib", 0, 0, 4_096) * _MEBI)
    old = fields.texts("old")
    if disk_bytes:
        needs[Ability.SMALL_DISKS] = None
    if old:
        needs[Ability.VERSIONS] = None
    if fields.flag("seeds_by_name", default=False):
        needs[Ability.NAMES] = None
    zones = Fields(fields.table("zones"), f"{fields.where}, zones")
    seeds = Fields(fields.table("seeds"), f"{fields.where}, seeds")
    try:
        plan = ClusterPlan(
            names=names,
            needs=frozenset(needs),
            late=fields.texts("late"),
            zones={name: zones.text(name) for name in names if zones.has(name)},
            seeds={name: seeds.texts(name) for name in names if seeds.has(name)},
            disk_bytes=disk_bytes,
            old=old,
            # Where the other build lies is only known when it is run.
            old_root=Path() if old else None,
            options=fields.texts("options"),
        )
    except ValueError as error:
        field, _, what = str(error).partition(": ")
        raise fields.wrong(field, what) from None
    for part in (zones, seeds, fields):
        part.end()
    return plan


def _workload(fields: Fields) -> Workload:
    usual = Workload()
    workload = Workload(
        writes_per_s=fields.number("writes_per_s", usual.writes_per_s, 0, PER_S_MAX),
        lookups_per_s=fields.number("lookups_per_s", usual.lookups_per_s, 0, PER_S_MAX),
        services=fields.whole("services", usual.services, 1, 1_000),
        instances=fields.whole("instances", usual.instances, 0, INSTANCES_MAX),
        documents=fields.flag("documents", usual.documents),
        pairs=fields.flag("pairs", usual.pairs),
        timeout_s=fields.seconds("timeout", usual.timeout_s, 60.0),
    )
    fields.end()
    return workload


def _step(
    fields: Fields, names: tuple[str, ...], faults_s: float, kinds: Mapping[str, FaultKind]
) -> Step:
    at_s = fields.seconds("at", None, FAULTS_S_MAX)
    for_s = fields.seconds("for", None, FAULTS_S_MAX) if fields.has("for") else None
    word = fields.text("kind")
    kind = kinds.get(word)
    if kind is None:
        raise fields.wrong("kind", _unknown("fault", word, tuple(kinds)))
    if at_s > faults_s:
        raise fields.wrong("at", f"{at_s:g} s is after the faults, which end at {faults_s:g} s")
    if for_s is not None and at_s + for_s > faults_s:
        raise fields.wrong("for", f"it ends at {at_s + for_s:g} s; the faults at {faults_s:g} s")
    table = fields.rest()
    try:
        fault, victims = kind.read(table, names), kind.victims(table, names)
    except UnreadableFaultError as error:
        raise fields.wrong(error.field, error.what) from None
    return Step(at_s=at_s, for_s=for_s, kind=kind, table=table, fault=fault, victims=victims)


def _expectation(fields: Fields, names: tuple[str, ...], vocabulary: Vocabulary) -> Expectation:
    word = fields.text("kind")
    reader = vocabulary.expectations.get(word)
    if reader is None:
        raise fields.wrong("kind", _unknown("expectation", word, tuple(vocabulary.expectations)))
    table = fields.rest()
    try:
        reader.check(table, names)
    except UnreadableFaultError as error:
        raise fields.wrong(error.field, error.what) from None
    return Expectation(kind=word, table=table)


def _unknown(what: str, word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known))}"
    return f"there is no {what} {word!r}; {hint}"
