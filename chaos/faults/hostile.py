"""A member's keys in the hands of a program of ours, or a stranger who only makes noise.

slanderer    signs that members which live cannot be reached
forker       shows each half of the cluster another commit of one version
flooder      sends datagrams and streams of no use

The programs are in `chaos.hostile`; here they are started in a node's network, and ended.

Rules this module keeps:

1. Whose keys are misused is a villain from then on, for nobody can tell it from its thief.
2. A program ends by itself when its time is over or when this process is gone.
3. One that could not do what it is for makes the healing fail, so that its run proves nothing.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field

from chaos.cluster.cluster import Ability, member_named
from chaos.cluster.processes import ROOT, clean_environment

from .fault import FaultError, FaultKind, Stage, Table
from .fields import Fields
from .links import Effect, LinkTable

FOR_S_MAX = 3_600.0
"""When a program ends by itself, whatever became of its fault."""
END_S = 10.0
PER_S_MAX = 2_000.0
_SAID_MAX = 400
_MODULE = "chaos.hostile"


@dataclass(slots=True, eq=False, kw_only=True)
class Hostile:
    """A hostile program in a node's network."""

    kind: str
    node: str
    targets: tuple[str, ...]
    per_s: float
    stranger: bool = False
    """Whether it has no keys."""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def inject(self, stage: Stage) -> None:
        """See `Fault`."""
        member = member_named(stage.cluster, self.node)
        keys = [] if self.stranger else ["--key-dir", str(member.data_dir)]
        targets = [member_named(stage.cluster, name) for name in self.targets]
        words = member.inside(
            *(sys.executable, "-m", _MODULE, self.kind, *keys),
            *("--per-s", f"{self.per_s:g}", "--for-s", f"{FOR_S_MAX:g}"),
            *("--seed", str(stage.rng.getrandbits(32))),
            *(word for one in targets for word in ("--target", f"{one.address}:{one.gossip_port}")),
        )
        whose = "no keys" if self.stranger else f"{self.node}'s keys"
        stage.notes.say(f"{self.kind} with {whose}, at {' '.join(self.targets)}")
        if not self.stranger:
            stage.notes.villain(self.node)
        if self.kind == "flooder":
            LinkTable.of(stage).put(self, Effect(late=True))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=clean_environment(), cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise FaultError(f"no {self.kind} for node {self.node}: {error}") from None

    def heal(self, stage: Stage) -> None:
        """See `Fault`. Its standard input ends, and so does the program."""
        process, self._process = self._process, None
        try:
            if process is not None:
                stage.notes.say(f"{self.kind}: {_ended(process, self.kind)}")
        finally:
            LinkTable.of(stage).take(self)


def _ended(process: "subprocess.Popen[bytes]", kind: str) -> str:
    """End a program; what it says that it has done. Raises FaultError."""
    try:
        said, wrong = process.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise FaultError(f"the {kind} did not end within {END_S:g} s, and was killed") from None
    if process.returncode:
        shown = " ".join(wrong.decode("utf-8", "replace").split())[-_SAID_MAX:]
        raise FaultError(f"the {kind} ended with exit code {process.returncode}: {shown}")
    figures: dict[str, int] = json.loads(said)
    return ", ".join(f"{count} {name.removesuffix('_count')}" for name, count in figures.items())


def _read(kind: str, per_s: float, table: Table, names: tuple[str, ...]) -> Hostile:
    fields = Fields(table)
    (node,) = _one(fields, names)
    stranger = kind == "flooder" and fields.flag("stranger", default=False)
    others = tuple(name for name in names if name != node)
    fault = Hostile(
        kind=kind,
        node=node,
        targets=fields.nodes("targets", names, others),
        per_s=fields.number("per_s", per_s, 0.01, PER_S_MAX),
        stranger=stranger,
    )
    fields.end()
    if node in fault.targets:
        raise fields.wrong("targets", f"{node} is whose keys they are; name others")
    if kind == "forker" and len(fault.targets) < 2:
        raise fields.wrong("targets", "two nodes are needed to tell them different things")
    return fault


def _one(fields: Fields, names: tuple[str, ...]) -> tuple[str, ...]:
    nodes = fields.nodes("nodes", names)
    if len(nodes) != 1:
        raise fields.wrong("nodes", f"{len(nodes)} of them; write one, and a fault for each other")
    return nodes


def _kind(kind: str, summary: str, per_s: float, what: str, **more: str) -> FaultKind:
    def victims(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
        fault = _read(kind, per_s, table, names)
        return () if fault.stranger else (fault.node,)

    return FaultKind(
        name=kind,
        summary=summary,
        needs=frozenset({Ability.HOSTILE}),
        fields={
            "nodes": "one node: whose keys are misused",
            "targets": "names of nodes to which it is done; all others",
            "per_s": f"{what} a second, 0.01 to {PER_S_MAX:g}; {per_s:g}",
            **more,
        },
        read=lambda table, names: _read(kind, per_s, table, names),
        victims=victims,
    )


HOSTILE = (
    _kind("slanderer", "a member signs that others which live cannot be reached", 2.0, "batches"),
    _kind("forker", "a member shows each half of the others another commit", 0.2, "forks"),
    _kind(
        "flooder", "a member, or a stranger, sends datagrams and streams of no use", 200.0,
        "datagrams", stranger="it has no keys, and sends only noise; false",
    ),
)  # fmt: skip
