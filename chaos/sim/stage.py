"""A small cluster that does what it is told, one command after the other, and says what happened.

A stage is a world without a plan: nothing goes wrong but what the commands say, links take 1 to
2 ms and lose nothing. What it says is exact, to the millisecond, so it can be kept and compared.

Rules this module keeps:

1. A command that cannot be carried out raises `CommandError`; it never does something else.
2. Times are in seconds since the first command after `nodes` or `cluster`.
3. What a command does not show of the traffic, it counts.
"""

import json
from collections.abc import Callable, Sequence
from random import Random

from chaos.verdict import Verdict
from protocol.agreement import documents
from protocol.bodies import Body, key_of, record_of
from protocol.commits import Change, Dot, RecordKey
from protocol.detector.detection import Gossip, SignedVotes, Vote
from protocol.records import ServiceRecord
from protocol.signing import Domain, Signer, mac_key, sign
from protocol.wire.messages import Push, encode, seal, votes_payload

from .byzantine import Villain
from .clients.documents import held, stamp_us
from .faults import Injector, rotate
from .node import SimNode
from .plan import Fault, FaultKind, Plan, Role
from .run import run
from .swarm import PlanError, draw
from .wording import KINDS, Script
from .world import World

NODES_MAX = 32
RUN_MAX_S = 600.0
LATENCY_S = (0.001, 0.002)
SETTLED_S = 8.0
"""After so long a cluster that was started at once knows itself and is quiet."""
COUNTER_AHEAD = 1_000
"""So much more each slander claims to have heard than the last: only a new word refutes it."""


class CommandError(ValueError):
    """A command that cannot be carried out; the stage is as it was before."""


class Stage:
    """Carries out commands. Each gives the lines that it led to."""

    def __init__(self) -> None:
        self._set: _Set | None = None
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "nodes": self._nodes,
            "cluster": self._cluster,
            "show": self._show,
            "run": self._run,
            "start": self._process,
            "stop": self._process,
            "crash": self._process,
            "pause": self._process,
            "resume": self._process,
            "disk": self._disk,
            "cut": self._cut,
            "inject": self._inject,
            "heal": self._heal,
            "register": self._write,
            "update": self._write,
            "deregister": self._write,
            "slander": self._slander,
            "twins": self._twins,
            "fork": self._fork,
            "rotate": self._rotate,
            "steal": self._steal,
            "forge": self._forge,
            "edit": self._edit,
            "document": self._document,
            "lookup": self._look_up,
            "members": self._members,
            "heads": self._heads,
            "roots": self._roots,
            "seed": _judge_seed,
        }

    def perform(self, command: str) -> list[str]:
        """Carry out one command.

        Raises:
            CommandError: it is none, or makes no sense now.
        """
        words = command.split()
        act = self._commands.get(words[0]) if words else None
        if act is None:
            raise CommandError(f"no command {command!r}: use one of {', '.join(self._commands)}")
        said = act(words)
        return [*(self._set.script.take() if self._set else []), *said]

    @property
    def _here(self) -> "_Set":
        if self._set is None:
            raise CommandError("there are no nodes yet: say `nodes 3` or `cluster 3` first")
        return self._set

    # What there is, and what is shown

    def _nodes(self, words: list[str]) -> list[str]:
        """`nodes 3 [seed 7]`: so many, none of them started."""
        count = _whole(words, 1, "nodes 3", most=NODES_MAX)
        seed = _whole(words, 3, "nodes 3 seed 7") if len(words) > 2 else 1
        self._set = _Set(count, seed)
        self._set.script.muted = False
        return []

    def _cluster(self, words: list[str]) -> list[str]:
        """`cluster 3 [seed 7]`: so many that know each other and are quiet."""
        self._nodes(words)
        made = self._here
        made.script.muted = True
        for node in made.world.nodes:
            node.start()
        made.world.timeline.run(SETTLED_S)
        made.script.muted = False
        made.script.zero_s = SETTLED_S
        return []

    def _show(self, words: list[str]) -> list[str]:
        """`show KINDS [on NODES]`: from here on, and nothing else."""
        place = words.index("on") if "on" in words else len(words)
        kinds = words[1:place]
        for kind in kinds:
            if kind not in KINDS:
                raise CommandError(f"nothing is called {kind}: show any of {', '.join(KINDS)}")
        nodes = self._here.nodes(words[place + 1 :])
        self._here.script.kinds = tuple(kinds)
        self._here.script.nodes = tuple(node.name for node in nodes)
        return []

    def _run(self, words: list[str]) -> list[str]:
        """`run 2s`, `run 50ms`: let time pass."""
        seconds = _seconds(words[1] if len(words) == 2 else "")
        timeline = self._here.world.timeline
        timeline.run(timeline.now + seconds)
        return []

    # What goes wrong

    def _process(self, words: list[str]) -> list[str]:
        """`start n0 n1`; likewise `stop`, `crash`, `pause` and `resume`."""
        verb, nodes = words[0], self._here.nodes(words[1:])
        for node in nodes:
            wrong = {"start": node.up, "resume": not node.paused}.get(verb, not node.up)
            if wrong:
                raise CommandError(f"{node.name} cannot {verb} now")
        for node in nodes:
            match verb:
                case "start":
                    node.start()
                case "stop":
                    node.stop()
                case "crash":
                    node.crash()
                case "pause":
                    node.pause()
                case _:
                    node.resume()
        return []

    def _disk(self, words: list[str]) -> list[str]:
        """`disk n0 back 5s`, `disk n0 wiped`, `disk n0 unflushed`: of a node that is down."""
        (node,) = self._here.nodes(words[1:2], exactly=1)
        if node.up:
            raise CommandError(f"{node.name} is up: crash it first")
        match words[2:]:
            case ["back", ago]:
                node.disk.put_back(self._here.world.timeline.now - _seconds(ago))
            case ["wiped"]:
                node.disk.wipe()
            case ["unflushed"]:
                node.disk.lose_unflushed()
            case _:
                raise CommandError("say `disk n0 back 5s`, `disk n0 wiped` or `disk n0 unflushed`")
        self._here.script.say(f"{node.name} disk {' '.join(words[2:])}")
        return []

    def _cut(self, words: list[str]) -> list[str]:
        """`cut n0 n1 | n2`: both ways; `cut n0 > n1`: what n0 sends to n1."""
        one_way = ">" in words
        parts = " ".join(words[1:]).split(">" if one_way else "|")
        if len(parts) < 2 or (one_way and len(parts) > 2):
            raise CommandError("say `cut n0 n1 | n2` or `cut n0 > n1`")
        groups = tuple(
            tuple(node.number for node in self._here.nodes(part.split(), least=1)) for part in parts
        )
        self._begin(Fault(FaultKind.ONE_WAY if one_way else FaultKind.SPLIT, 0, 0, groups=groups))
        return []

    def _inject(self, words: list[str]) -> list[str]:
        """`inject loss 0.3`, `inject clock-jump n1 -60`: any fault, until `heal`."""
        try:
            kind = FaultKind(words[1] if len(words) > 1 else "")
        except ValueError:
            kinds = ", ".join(kind.value for kind in FaultKind)
            raise CommandError(f"no such fault: inject one of {kinds}") from None
        named = [word for word in words[2:] if word.startswith("n")]
        amounts = [word for word in words[2:] if word not in named]
        nodes = tuple(node.number for node in self._here.nodes(named))
        amount = _number(amounts[0]) if amounts else 0.0
        self._begin(Fault(kind, 0, 0, nodes, amount=amount))
        return []

    def _begin(self, fault: Fault) -> None:
        self._here.injector.inject(fault)

    def _heal(self, _words: list[str]) -> list[str]:
        """`heal`: undo all that `cut` and `inject` did."""
        self._here.injector.heal_all()
        return []

    def _slander(self, words: list[str]) -> list[str]:
        """`slander n3 n0`: n3 tells everybody that it cannot reach n0, with its true signature."""
        liar, victim = self._here.nodes(words[1:], exactly=2)
        world = self._here.world
        view = liar.peer.membership.view(victim.id)
        if view is None:
            raise CommandError(f"{liar.name} does not know {victim.name}")
        self._here.slanders += 1
        votes = (Vote(victim.id, view.incarnation, COUNTER_AHEAD * self._here.slanders),)
        payload = votes_payload(liar.id, votes, self._here.slanders)
        signature = sign(liar.keys.signer, Domain.VOTES, world.cluster, payload)
        said = SignedVotes(liar.id, 0, votes, self._here.slanders, signature)
        kind, body = encode(Gossip((), (said,)))
        self._here.script.say(f"{liar.name} tells everybody that it cannot reach {victim.name}")
        for other in world.nodes:
            secret = (
                liar.keys.signer.agree(other.keys.signer.public_key) if other is not liar else None
            )
            if secret is not None:
                datagram = seal(liar.id, mac_key(secret, world.cluster), kind, body)
                world.network.send(liar.number, other.number, datagram)
        return []

    def _twins(self, words: list[str]) -> list[str]:
        """`twins n3`: from its next start on n3 has two faces, and each node sees one of them."""
        (node,) = self._here.nodes(words[1:], exactly=1)
        if node.up:
            raise CommandError(f"{node.name} is up: say so before it starts")
        Villain(self._here.world, node, Role.FORKER, Random(0))
        self._here.script.say(f"{node.name} has two faces")
        return []

    def _fork(self, words: list[str]) -> list[str]:
        """`fork n3 web web-9`: each face of n3 registers it in its own way."""
        (node,) = self._here.running(words[1:2])
        if len(words) != 4 or len(node.faces) < 2:
            raise CommandError("say `fork n3 web web-9`, of a node with two faces")
        self._here.script.say(f"{node.name} registers {words[2]}/{words[3]} in two ways")
        for face in range(len(node.faces)):
            body = self._here.service(node, words[2], words[3])
            node.act(face, {key_of(body): body})
        return []

    def _rotate(self, words: list[str]) -> list[str]:
        """`rotate n0`: n0 goes on with its next key."""
        for node in self._here.running(words[1:]):
            self._here.script.say(f"{node.name} rotates its key")
            if not rotate(node):
                raise CommandError(f"{node.name} may not rotate now")
        return []

    def _steal(self, words: list[str]) -> list[str]:
        """`steal n3 n0`: n3 has the key that n0 has now."""
        thief, victim = self._here.nodes(words[1:], exactly=2)
        epoch = victim.keys.chain.epoch
        key = self._here.world.stolen(victim.number, epoch)
        self._here.stolen[thief.name, victim.name] = epoch, key
        self._here.script.say(f"{thief.name} has key {epoch} of {victim.name}")
        return []

    def _forge(self, words: list[str]) -> list[str]:
        """`forge n3 n0 web web-9`: n3 registers it in n0's name, with the key that it stole."""
        if len(words) != 5:
            raise CommandError("say `forge n3 n0 web web-9`")
        thief, victim = self._here.nodes(words[1:3], exactly=2)
        branch = thief.peer.registry.branch(victim.id)
        stolen = self._here.stolen.get((thief.name, victim.name))
        if stolen is None or branch is None or branch.head is None:
            raise CommandError(f"{thief.name} has no key of {victim.name}: say `steal` first")
        epoch, key = stolen
        record = record_of(self._here.service(victim, words[3], words[4]))
        change = Change(record.kind, record.key, record.body)
        villain = Villain(self._here.world, thief, Role.FORGER, Random(0))
        commit = villain.commit_after(branch, change, Dot(epoch, branch.head.version + 1), key)
        self._here.script.say(f"{thief.name} registers {words[3]}/{words[4]} as {victim.name}")
        for other in self._here.world.nodes:
            if other is not thief:
                villain.tell(other.number, Push((commit,), ()))
        return []

    # Clients

    def _edit(self, words: list[str]) -> list[str]:
        """`edit n0 plan title=spring`: a client sets fields of a document."""
        fields = dict(word.split("=", 1) for word in words[3:] if "=" in word)
        if len(words) < 4 or len(fields) != len(words) - 3:
            raise CommandError("say `edit n0 plan title=spring`")
        (node,) = self._here.running(words[1:2])
        key = words[2]
        values = {name: json.dumps(value).encode() for name, value in fields.items()}
        word = documents.write(
            held(node, key), values, node.id, stamp_us(node), born=node.peer.born
        )
        text = f"client sets {key} {' '.join(words[3:])} at {node.name}"
        script = self._here.script
        script.say(text)
        node.submit({key_of(word): word}, lambda outcome: script.say(f"{text}: {outcome.value}"))
        return []

    def _document(self, words: list[str]) -> list[str]:
        """`document n2 plan`: every field; where several values stand, the first is shown."""
        (node,) = self._here.running(words[1:2])
        found = held(node, words[2] if len(words) == 3 else "")
        said = []
        for name, entries in found.fields.items():
            if name != documents.OWNERS:
                of = self._here.world.of
                values = [f"{one.value.decode()} by {of(one.writer)}" for one in entries]
                mark = ", in conflict" if name in found.conflicts else ""
                said.append(f"{name}: {' or '.join(values)}{mark}")
        return _answer(said or ["nothing"])

    def _write(self, words: list[str]) -> list[str]:
        """`register n0 web web-1`; likewise `update` and `deregister`."""
        if len(words) != 4:
            raise CommandError(f"say `{words[0]} n0 web web-1`")
        verb, _, name, instance = words
        (node,) = self._here.nodes(words[1:2], exactly=1)
        body = self._here.service(node, name, instance)
        text = f"client {verb} {name}/{instance} at {node.name}"
        script = self._here.script
        script.say(text)
        changes: dict[RecordKey, Body | None] = {
            key_of(body): None if verb == "deregister" else body
        }
        node.submit(changes, lambda outcome: script.say(f"{text}: {outcome.value}"))
        return []

    def _look_up(self, words: list[str]) -> list[str]:
        """`lookup n2 web`: every instance, and what is to be thought of its owner."""
        (node,) = self._here.running(words[1:2])
        name = words[2] if len(words) == 3 else ""
        registry, membership = node.peer.registry, node.peer.membership
        found = []
        for one in registry.instances(name):
            branch, status = registry.branch(one.owner), membership.status(one.owner)
            marks = [f"write {one.service.version}", status.value if status else "unknown"]
            marks += ["disputed"] if branch is not None and branch.disputed else []
            owner = self._here.world.of(one.owner)
            found.append(f"{owner}/{name}/{one.service.id}: {', '.join(marks)}")
        return _answer(sorted(found) or ["nothing"])

    def _members(self, words: list[str]) -> list[str]:
        """`members n0 n1`: whom they hold for what."""
        lines = []
        for node in self._here.running(words[1:]):
            said = []
            for other in self._here.world.nodes:
                view = node.peer.membership.view(other.id)
                if other is not node:
                    mark = " (certified)" if view and view.certified else ""
                    said.append(f"{other.name} {view.status.value if view else 'unknown'}{mark}")
            lines.append(f"{node.name}: {', '.join(said)}")
        return _answer(lines)

    def _heads(self, words: list[str]) -> list[str]:
        """`heads n0 n1`: which commit of everybody they hold."""
        lines = []
        for node in self._here.running(words[1:]):
            said = []
            for other in self._here.world.nodes:
                branch = node.peer.registry.branch(other.id)
                if branch is not None and branch.head is not None:
                    mark = ", disputed" if branch.disputed else ""
                    said.append(f"{self._here.script.wording.commit(branch.head)}{mark}")
            lines.append(f"{node.name}: {' '.join(said) or 'nothing'}")
        return _answer(lines)

    def _roots(self, _words: list[str]) -> list[str]:
        """`roots`: who holds the same."""
        groups: dict[bytes, list[str]] = {}
        for node in self._here.world.live():
            groups.setdefault(node.peer.registry.root, []).append(node.name)
        return _answer([" | ".join(", ".join(group) for group in groups.values())])


class _Set:
    """The world of a stage, and what belongs to it."""

    def __init__(self, count: int, seed: int) -> None:
        plan = Plan(seed=seed, profile="stage", nodes=count, joined=False, latency_s=LATENCY_S)
        self.world = World(plan)
        self.script = Script(self.world, lambda: self.world.timeline.now)
        self.world.trace = self.script
        self.injector = Injector(self.world, Random(f"{seed}/faults"))
        self.injector.links_changed()
        self.writes = 0
        self.slanders = 0
        self.stolen: dict[tuple[str, str], tuple[int, Signer]] = {}
        """By thief and victim: epoch and key."""

    def service(self, node: SimNode, name: str, instance: str) -> ServiceRecord:
        """An instance at that node; its version is the number of the write."""
        self.writes += 1
        host = node.address.host
        return ServiceRecord(
            name=name, id=instance, address=host, port=8000, version=str(self.writes)
        )

    def nodes(
        self, names: Sequence[str], *, exactly: int | None = None, least: int = 0
    ) -> list[SimNode]:
        """The nodes of these names, divided by spaces or commas."""
        known = {node.name: node for node in self.world.nodes}
        words = [word for name in names for word in name.split(",") if word]
        for word in words:
            if word not in known:
                raise CommandError(f"there is no node {word!r}: {', '.join(known)} are there")
        if len(words) < least or (exactly is not None and len(words) != exactly):
            raise CommandError(f"name {exactly or 'more'} of {', '.join(known)}")
        return [known[word] for word in words]

    def running(self, names: Sequence[str]) -> list[SimNode]:
        """Those that are asked something, and can answer; at least one."""
        nodes = self.nodes(names, least=1)
        for node in nodes:
            if not node.up:
                raise CommandError(f"{node.name} is down")
        return nodes


def _judge_seed(words: list[str]) -> list[str]:
    """`seed 17 [PROFILE [NODES]]`: a whole run as it is drawn, and its verdict."""
    seed = _whole(words, 1, "seed 17 swarm 5")
    profile = words[2] if len(words) > 2 else "swarm"
    nodes = _whole(words, 3, "seed 17 swarm 5") if len(words) > 3 else None
    try:
        result = run(draw(seed, profile=profile, nodes=nodes))
    except PlanError as error:
        raise CommandError(str(error)) from None
    broken = [
        f"{one.invariant} {one.checker}: {one.witness}"
        for one in result.findings
        if one.verdict is Verdict.INVALID
    ]
    return _answer([result.verdict.value, *broken])


def _answer(lines: list[str]) -> list[str]:
    return [f"{'':7}  {line}" for line in lines]


def _whole(words: list[str], place: int, example: str, most: int | None = None) -> int:
    word = words[place] if place < len(words) else ""
    if not word.isdigit() or (most is not None and not 1 <= int(word) <= most):
        raise CommandError(f"{word!r} is no number that fits: say `{example}`")
    return int(word)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise CommandError(f"{word!r} is no amount") from None


def _seconds(word: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if word.endswith(unit):
            seconds = _number(word.removesuffix(unit)) * factor
            if 0 <= seconds <= RUN_MAX_S:
                return seconds
    raise CommandError(f"{word!r} is no time: say 50ms or 2s, up to {RUN_MAX_S:g}s")
