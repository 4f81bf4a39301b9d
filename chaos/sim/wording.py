"""What nodes do and say, in words that a person can read: names instead of hashes.

    send push n0.2 to n1, n2          n0's second commit
    send gossip n1 against n2         n1's signed vote
    applied n0.2

Commits are numbered for each owner in the order in which they were signed, so that nothing of a
text depends on keys, hashes or clocks.

Rules this module keeps:

1. Whatever a datagram holds, it is described: what cannot be read is garbage.
2. It believes nothing and verifies nothing; it only reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from protocol import signing
from protocol.agreement.evidence import AnyEvidence, Evidence, KeyFork
from protocol.agreement.split import SplitRequest
from protocol.commits import Change, Dot, Head
from protocol.detector.detection import Ack, Ask, Gossip, Ping
from protocol.effects import (
    Drop,
    DropDelivery,
    DropRecords,
    Effect,
    Keep,
    KeepChain,
    KeepCommit,
    KeepDelivery,
    KeepEvidence,
    KeepManifest,
    KeepMend,
    Mark,
    Notify,
    Persist,
    Recall,
    Request,
    Send,
    Store,
    TrimOutbox,
)
from protocol.errors import RemoteProtocolError
from protocol.events import (
    Acknowledged,
    Applied,
    Committed,
    Event,
    ForkFound,
    ForkSettled,
    Joined,
    KeyForkFound,
    KeysChanged,
    MemberChanged,
    Parted,
    Ready,
    ShutOut,
)
from protocol.identity import KeyEvent, NodeId
from protocol.records import Kind
from protocol.wire.exchange import (
    Bundle,
    CheckRequest,
    DeliverRequest,
    FetchRequest,
    Steps,
    SyncRequest,
    decode_request,
    head_of,
)
from protocol.wire.messages import (
    OVERHEAD,
    Advert,
    Beat,
    Keys,
    Message,
    Push,
    Receipt,
    Want,
    decode,
    inspect,
)
from protocol.wire.trees import TreeRequest

from .trace import Names, Trace

_TRAFFIC = (
    "heartbeat", "ping", "ack", "ask", "gossip", "push", "advert", "want", "evidence", "keys",
    "receipt", "request",
)  # fmt: skip
KINDS = (
    *_TRAFFIC, "persist", "committed", "store", "applied", "member", "fork", "joined", "ready",
    "drop", "key", "key_fork", "shut_out", "partition", "mark", "recall", "delivery",
    "acknowledged",
)  # fmt: skip
"""What can be shown. What clients and processes do is shown always."""


@dataclass(frozen=True, slots=True)
class Line:
    """One effect: its kind in one word, the text, and to whom it goes, if to anybody."""

    kind: str
    text: str
    to: str = ""


class Wording:
    """Describes effects. Show it every one of them, in order: it learns names from them."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._commits: dict[bytes, str] = {}
        self._dots: dict[tuple[str, Dot], str] = {}
        self._counts: dict[NodeId, int] = {}

    def line(self, node: str, effect: Effect) -> Line:  # noqa: PLR0911 (a return a case)
        """An effect of the node of that name, in words."""
        match effect:
            case Send(to, datagram):
                kind, text = self._datagram(datagram)
                return Line(kind, f"send {text}", self._names.at(to))
            case Request(to, _, body, _):
                return Line("request", f"request {self._request(body)}", self._names.at(to))
            case Persist(keeps):
                parts = " and ".join(self._own(keep) for keep in keeps)
                return Line("persist", f"persist {parts}")
            case Store(KeepDelivery() | DropDelivery() | TrimOutbox() as keep):
                return Line("delivery", f"store {self._keep(keep)}")
            case Store(keep):
                return Line("store", f"store {self._keep(keep)}")
            case Mark():
                return Line("mark", "mark: to be told when that is on disk")
            case Recall(after, count, _, _):
                text = f"recall up to {count} of ours after {self._at(node, after)}"
                return Line("recall", text)
            case Notify(event):
                return self._event(node, event)
            case Drop(source, reason):
                return Line("drop", f"drop {reason} from {self._names.at(source)}")
            case _:
                assert_never(effect)

    def commit(self, head: Head) -> str:
        """A commit's name, `n0.2`."""
        name = self._commits.get(head.hash)
        if name is None:
            number = self._counts[head.owner] = self._counts.get(head.owner, 0) + 1
            owner = self._names.of(head.owner)
            name = f"{owner}.{number}"
            self._commits[head.hash] = name
            same = self._dots.get((owner, head.dot))  # whoever forks may sign one dot twice
            self._dots[owner, head.dot] = f"{same} or {name}" if same else name
        return name

    def _known(self, commit: bytes) -> str:
        return self._commits.get(commit, "one unknown")

    def _at(self, owner: str, dot: Dot) -> str:
        return self._dots.get((owner, dot), f"one unknown of {owner}")

    def _datagram(self, datagram: bytes) -> tuple[str, str]:
        try:
            kind, _ = inspect(datagram)
            start = OVERHEAD - signing.MAC_BYTES
            message = decode(kind, datagram[start : -signing.MAC_BYTES])
        except RemoteProtocolError:
            return "garbage", f"garbage of {len(datagram)} B"
        return kind.name.lower(), self._message(message)

    def _message(self, message: Message) -> str:  # noqa: C901, PLR0911, PLR0912 (a return a case)
        of = self._names.of
        match message:
            case Beat():
                return "heartbeat"
            case Ping(_, accused):
                return "ping, accused" if accused else "ping"
            case Ack(_, _, _, signed):
                return "ack, signed" if signed else "ack"
            case Ask(subject):
                return f"ask about {of(subject)}"
            case Gossip():
                return f"gossip {self._gossip(message)}"
            case Push(commits, _):
                return f"push {', '.join(self.commit(commit.head) for commit in commits)}"
            case Advert(items):
                each = [
                    self._known(item.hash) + (" (large)" if item.large else "") for item in items
                ]
                return f"advert {', '.join(each)}"
            case Want(items):
                each = [
                    f"what follows {self._known(known)}" if known else f"all of {of(owner)}"
                    for owner, known in items
                ]
                return f"want {', '.join(each)}"
            case Evidence(first, second):
                names = sorted((self.commit(first), self.commit(second)))
                return f"evidence {' against '.join(names)}"
            case KeyFork(owner, first, _):
                return f"evidence of two key events {first.sequence} of {of(owner)}"
            case Keys(owner, event):
                return f"keys of {of(owner)}, {_key_event(event)}"
            case Receipt(_, commit):
                return f"receipt for {self._known(commit)}"
            case _:
                assert_never(message)

    def _gossip(self, gossip: Gossip) -> str:
        of = self._names.of
        said = [f"{of(ack.node)} lives" for ack in gossip.acks]
        for batch in gossip.votes:
            subjects = ", ".join(sorted(of(vote.subject) for vote in batch.votes))
            said.append(f"{of(batch.author)} against {subjects}")
        return "; ".join(said) or "nothing"

    def _request(self, body: bytes) -> str:  # noqa: PLR0911 (a return a case)
        try:
            request = decode_request(body)
        except RemoteProtocolError:
            return "garbage"
        match request:
            case SyncRequest(vector, own, whole):
                if not whole:
                    return f"sync about {len(vector)} owners"
                return "sync, bringing our own" if own else "sync"
            case FetchRequest(owner, _, known, _, _):
                since = f" since {self._commits[known]}" if known in self._commits else ""
                return f"all of {self._names.of(owner)}{since}"
            case CheckRequest():
                return "check"
            case TreeRequest(trees):
                owners = ", ".join(self._names.of(tree.owner) for tree in trees if tree.owner)
                return f"nodes of the state of {owners}" if owners else "nodes of the heads"
            case SplitRequest():
                return "how it stood after the split"
            case DeliverRequest(bundle):
                return f"to take {self._delivered(bundle)}"
            case _:
                assert_never(request)

    def _delivered(self, bundle: Bundle) -> str:
        head = head_of(bundle.content)
        if head is None:
            return "nothing"
        match bundle.content:
            case Steps(commits):
                return ", ".join(self.commit(commit.head) for commit in commits)
            case Head():
                return f"the head {self.commit(head)}"
            case _:
                return f"all of {self.commit(head)}"

    def _own(self, keep: Keep) -> str:
        """What we persist is our own, so it is shown whole."""
        if not isinstance(keep, KeepCommit):
            return self._keep(keep)
        head = keep.commit.head
        parents = " and ".join(self._known(parent) for parent in head.parents)
        after = f" after {parents}" if parents else ""
        return f"{self.commit(head)}{after}: {_changes(keep.changes)}"

    def _keep(self, keep: Keep) -> str:  # noqa: PLR0911 (a return a case)
        match keep:
            case KeepCommit(commit, _):
                return self.commit(commit.head)
            case KeepManifest(manifest):
                count = len(manifest.records)
                return f"all of {self.commit(manifest.head)} ({count} records)"
            case KeepMend(head, changes):
                return f"what differs in {self.commit(head)} ({len(changes)} records)"
            case KeepChain(chain):
                return f"keys of {self._names.of(chain.node)}"
            case DropRecords(head):
                return f"no more than the head {self.commit(head)}"
            case KeepEvidence(case):
                state = "open" if case.open else "settled"
                return f"evidence of {self._fork(case.evidence)}, {state}"
            case KeepDelivery(delivery):
                return f"delivery to {self._names.of(delivery.peer)}"
            case DropDelivery(peer):
                return f"no delivery to {self._names.of(peer)}"
            case TrimOutbox():
                return "what nobody lacks any more"
            case _:
                assert_never(keep)

    def _fork(self, evidence: AnyEvidence) -> str:
        if isinstance(evidence, KeyFork):
            return f"keys {self._names.of(evidence.owner)}.{evidence.sequence}"
        names = sorted((self.commit(evidence.first), self.commit(evidence.second)))
        return " against ".join(names)

    def _event(self, by: str, event: Event) -> Line:  # noqa: C901, PLR0911, PLR0912 (a return a case)
        of = self._names.of
        match event:
            case Committed(_, dot):
                return Line("committed", f"committed {self._at(by, dot)}")
            case Applied(owner, dot):
                return Line("applied", f"applied {self._at(of(owner), dot)}")
            case MemberChanged(node, old, new, certified):
                before = old.value if old else "unknown"
                mark = ", certified" if certified else ""
                return Line("member", f"member {of(node)} {before} -> {new.value}{mark}")
            case ForkFound(evidence):
                return Line("fork", f"fork {self._fork(evidence)}")
            case ForkSettled(case):
                return Line("fork", f"settled {self._fork(case.evidence)}")
            case KeysChanged(owner, epoch, revoked):
                what = "revoked its key" if revoked else f"has key {epoch}"
                return Line("key", f"{of(owner)} {what}")
            case KeyForkFound(fork):
                return Line("key_fork", f"two key events {fork.sequence} of {of(fork.owner)}")
            case ShutOut(epoch):
                return Line("shut_out", f"shut out by key event {epoch}")
            case Joined(address, node, ok):
                who = of(node) if node is not None else self._names.at(address)
                return Line("joined", f"joined {who}" if ok else f"could not join {who}")
            case Ready():
                return Line("ready", "ready")
            case Acknowledged(peer, _, stored):
                upto = self._at(by, stored)
                return Line("acknowledged", f"acknowledged by {of(peer)}, on its disk up to {upto}")
            case Parted(number, stage):
                return Line("partition", f"partition {number} {stage.value}")
            case _:
                assert_never(event)


class Script(Trace):
    """A trace that a person reads: of the effects that were asked for, and counts of the rest."""

    def __init__(self, names: Names, now: Callable[[], float]) -> None:
        super().__init__(names, None)
        self.kinds: tuple[str, ...] = ()
        self.nodes: tuple[str, ...] = ()
        """Whose effects are shown; none: everybody's."""
        self.muted = True
        self.zero_s = 0.0
        self.wording = Wording(names)
        self._now = now
        self._lines: list[tuple[str, list[str]]] = []
        self._hidden: dict[str, int] = {}

    def say(self, text: str) -> None:
        """A line of the stage's own."""
        if not self.muted:
            self._lines.append((f"{self._now() - self.zero_s:7.3f}  {text}", []))

    def note(self, at_s: float, node: str, text: str) -> None:
        """Something that is not an effect."""
        super().note(at_s, node, text)
        self.say(f"{node} {text}")

    def effect(self, at_s: float, number: int, node: str, effect: Effect) -> None:
        """One effect of one node."""
        super().effect(at_s, number, node, effect)
        line = self.wording.line(node, effect)
        shown = line.kind in self.kinds and (not self.nodes or node in self.nodes)
        if self.muted:
            return
        if not shown:
            if line.kind in _TRAFFIC:
                self._hidden[line.kind] = self._hidden.get(line.kind, 0) + 1
            return
        text = f"{self._now() - self.zero_s:7.3f}  {node} {line.text}"
        if line.to and self._lines and self._lines[-1][0] == text:
            self._lines[-1][1].append(line.to)
        else:
            self._lines.append((text, [line.to] if line.to else []))

    def take(self) -> list[str]:
        """All lines since the last call, and last what was not shown of the traffic."""
        lines = [text + (f" to {', '.join(to)}" if to else "") for text, to in self._lines]
        if self._hidden:
            counts = [f"{self._hidden[kind]} {kind}" for kind in _TRAFFIC if kind in self._hidden]
            lines.append(f"{'':7}  not shown: {', '.join(counts)}")
        self._lines, self._hidden = [], {}
        return lines


def _key_event(event: KeyEvent) -> str:
    return f"{('inception', 'rotation', 'revocation')[event.kind]} {event.sequence}"


def _changes(changes: Sequence[Change]) -> str:
    said = []
    for change in changes:
        what = change.key if change.kind == Kind.SERVICE else Kind(change.kind).name.lower()
        said.append(what if change.body is not None else f"without {what}")
    return ", ".join(said) or "nothing new"
