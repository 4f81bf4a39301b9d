"""`kith status`: is this node well, and what does it see?"""

import argparse
from dataclasses import dataclass

from node.client import Json

from .errors import DEGRADED, GOOD
from .options import Command
from .services import services_in
from .session import Session, count_of, session_of, show_json, text_of, texts_of
from .tables import show_facts

STATUS_ORDER = ("alive", "suspect", "unreachable", "stopping", "dead", "left", "critical")
NAMED_MAX = 5
"""Members that a reason names; the rest are counted."""
READY_STATUSES = {"ok", "ready", "up", "passing", "true"}


@dataclass(frozen=True, slots=True)
class Findings:
    """What four questions to a node brought."""

    node: dict[str, Json]
    peers: list[dict[str, Json]]
    services: dict[str, dict[str, Json]]
    ready: bool
    not_ready: tuple[str, ...]
    """Components that are not, with their status."""
    diverging: str
    """What is said of peers that have held something else for long; empty if all is well."""

    @property
    def partition(self) -> str:
        """Which side of a partition the node is on, or `none`."""
        return text_of(self.node, "partition") or "none"

    @property
    def members(self) -> dict[str, int]:
        """How many members have which status; those that nobody has are left out."""
        counts = dict.fromkeys(STATUS_ORDER, 0)
        for peer in self.peers:
            status = text_of(peer, "status") or "unknown"
            counts[status] = counts.get(status, 0) + 1
        return {status: count for status, count in counts.items() if count}

    @property
    def instances(self) -> tuple[int, int]:
        """Instances of all services: all, passing."""
        facts = self.services.values()
        return (
            sum(count_of(one, "instances") for one in facts),
            sum(count_of(one, "passing") for one in facts),
        )

    @property
    def reasons(self) -> list[str]:
        """Why all is not well; empty if it is."""
        reasons = []
        if not self.ready:
            which = f": {', '.join(self.not_ready)}" if self.not_ready else ""
            reasons.append(f"the node is not ready{which}")
        if self.partition in {"minority", "even"}:
            share = "fewer than half" if self.partition == "minority" else "only half"
            reasons.append(f"the node reaches {share} of the members")
        if self.diverging:
            reasons.append(self.diverging)
        gone = [text_of(p, "name") for p in self.peers if text_of(p, "status") == "unreachable"]
        if gone:
            names = ", ".join(sorted(gone)[:NAMED_MAX]) + " …" * (len(gone) > NAMED_MAX)
            members = "1 member is" if len(gone) == 1 else f"{len(gone)} members are"
            reasons.append(f"{members} unreachable: {names}")
        return reasons


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes the global options only."""
    parser.set_defaults(verb="status")


def run(arguments: argparse.Namespace) -> int:
    """Show the node's status; 0 if all is well, 1 if it is degraded."""
    with session_of(arguments) as session:
        found = _ask(session)
    reasons = found.reasons
    if session.json:
        show_json(_document(found, reasons))
    else:
        show_facts(_facts(found, reasons))
    return DEGRADED if reasons else GOOD


def _ask(session: Session) -> Findings:
    node = session.get("/v1/node")
    peers = session.rows(session.get("/v1/peers"), "peers")
    services = services_in(session, session.get("/v1/services"))
    reply = session.call("GET", "/readyz", accept=(503,))
    document = reply.value if isinstance(reply.value, dict) else {}
    return Findings(
        node, peers, services, reply.status < 400, _lacking(document), _diverging(document)
    )


def _diverging(document: dict[str, Json]) -> str:
    components = document.get("components")
    one = components.get("agreement") if isinstance(components, dict) else None
    if not isinstance(one, dict) or text_of(one, "status") != "degraded":
        return ""
    return text_of(one, "detail")


def _agreeing(node: dict[str, Json]) -> str:
    state = node.get("agreement")
    if not isinstance(state, dict):
        return ""
    equal, differing = count_of(state, "equal"), count_of(state, "differing")
    since = f", the first of the others not since {text_of(state, 'since')}" if differing else ""
    return f"{equal} of {equal + differing} peers heard hold the same{since}"


def _lacking(document: dict[str, Json]) -> tuple[str, ...]:
    components = document.get("components")
    if not isinstance(components, dict):
        return ()
    lacking = []
    for name, value in components.items():
        status = text_of(value, "status") if isinstance(value, dict) else value
        good = status is True or (isinstance(status, str) and status.lower() in READY_STATUSES)
        if not good:
            lacking.append(f"{name} ({status})" if isinstance(status, str) else name)
    return tuple(lacking)


def _document(found: Findings, reasons: list[str]) -> Json:
    instances, passing = found.instances
    return {
        "node": found.node,
        "members": {"total": len(found.peers), **found.members},
        "partition": found.partition,
        "services": {"total": len(found.services), "instances": instances, "passing": passing},
        "ready": found.ready,
        "degraded": bool(reasons),
        "reasons": [*reasons],
    }


def _facts(found: Findings, reasons: list[str]) -> list[tuple[str, str]]:
    node = found.node
    instances, passing = found.instances
    counts = ", ".join(f"{count} {status}" for status, count in found.members.items())
    kind = text_of(node, "node_type")
    if node.get("is_load_balancer") is True:
        kind += " (balancer)"
    rows = [
        ("node", text_of(node, "name")),
        ("id", text_of(node, "id")),
        ("type", kind),
        ("capabilities", ", ".join(texts_of(node, "capabilities"))),
        ("zone", text_of(node, "zone")),
        ("gossip", text_of(node, "address")),
        ("api", text_of(node, "api_address")),
        ("version", text_of(node, "version")),
        ("incarnation", text_of(node, "incarnation")),
        ("root", text_of(node, "root")),
        ("members", f"{len(found.peers)}: {counts}" if counts else "0"),
        ("partition", found.partition),
        ("agreement", _agreeing(node)),
        ("services", f"{len(found.services)}, with {instances} instances, {passing} passing"),
        ("ready", "yes" if found.ready else "no"),
    ]
    shown = [(name, value) for name, value in rows if value]
    return [*shown, *(("degraded", reason) for reason in reasons)]


COMMANDS = {
    "status": Command(
        add_arguments,
        run,
        "exit codes: 0 all is well; 1 degraded: not ready, cut off, or members unreachable;"
        " 2 no node there",
    )
}
