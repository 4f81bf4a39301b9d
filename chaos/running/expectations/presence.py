"""Whether nodes answer at once, and whom they take for alive, at a moment."""

import time

from chaos.cluster.cluster import Member
from chaos.faults.fault import Table
from chaos.faults.fields import Fields

from .kind import TIMES_MAX_S, ByLook, ExpectationKind, Expects


def _prompt(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes = fields.nodes("nodes", names, names)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    within_s = fields.seconds("within", 1.0, TIMES_MAX_S)
    fields.end()

    def ask(member: Member) -> str:
        begun = time.perf_counter()
        status = member.call("GET", "/healthz").status
        took_s = time.perf_counter() - begun
        if status != 200:
            return f"/healthz answers {status}"
        return "" if took_s <= within_s else f"/healthz took {took_s:.2f} s"

    text = f"{' '.join(nodes)} answer /healthz within {within_s:g} s, at {at_s:g} s"
    return ByLook(text, at_s, nodes, ask)


def _sees(table: Table, names: tuple[str, ...]) -> Expects:
    fields = Fields(table)
    nodes, seen = fields.nodes("nodes", names), fields.nodes("alive", names)
    at_s = fields.seconds("at", None, TIMES_MAX_S)
    fields.end()

    def ask(member: Member) -> str:
        rows = member.call("GET", "/v1/peers").rows("peers")
        alive = [str(row.get("name")) for row in rows if row.get("status") == "alive"]
        missing = [name for name in seen if name not in alive and name != member.name]
        return f"does not take {' '.join(missing)} for alive" if missing else ""

    text = f"{' '.join(nodes)} take {' '.join(seen)} for alive at {at_s:g} s"
    return ByLook(text, at_s, nodes, ask)


PRESENCE = (
    ExpectationKind(
        "prompt", "nodes answer /healthz at once at a moment",
        {"nodes": "names; all", "at": "when", "within": 'how soon, "1s"'}, _prompt,
    ),
    ExpectationKind(
        "sees", "nodes take others for alive at a moment",
        {"nodes": "who is asked", "alive": "names of the others", "at": "when"}, _sees,
    ),
)  # fmt: skip
