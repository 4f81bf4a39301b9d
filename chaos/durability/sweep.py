"""The power fails at every point of a recorded run: what does a node find when it starts again?

    recording ──▶ points: before each sync, after each acknowledgement, at the end
                    │ disk and cuts: what may be left of the directory then
                    ▼
                  directories ──▶ kith doctor ──▶ judged by the ledger

Between two points nothing becomes sure and nothing is promised, and the cuts at the later one drop
any part of what was written since the earlier: so points between syncs are in there too.

What must hold in every directory is what `judging` says. A promise counts from the moment at which
its send *began*, a sync from the one at which it *ended*. Directories that are equal byte for byte
are examined once.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from protocol.identity import parse_id

from .cuts import CUTS, REPEATS
from .disk import Disk, Image
from .doctor import Found, examine
from .judging import Judge
from .ledger import Operation
from .recording import Recording
from .strace import Call

BATCH = 50
"""Directories that lie on the real disk at a time."""
VIOLATIONS_MAX = 100
_SENDS = ("sendto", "sendmsg", "sendmmsg", "write", "writev")
_MARK = b"X-Request-Id: "
_EPOCH_AND_TYPE = b"\x00\xcf"
"""What follows the owner in a packed header: the first epoch, and a version of eight bytes."""
_VERSION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A moment at which the power may go."""

    number: int
    what: str
    """What was about to happen, or had just happened."""
    told: frozenset[str]
    """Update ids that had been acknowledged."""
    version: int
    """The highest of ours that had left the node; 0 if none had."""

    def has(self, operation: Operation) -> bool:
        """Whether that operation had been acknowledged."""
        return operation.update_id in self.told


@dataclass(frozen=True, slots=True)
class Case:
    """One power cut: the moment, and what became of what was not synced."""

    point: Point
    cut: str
    digest: bytes
    """Of what is left of the directory."""

    def __str__(self) -> str:
        return f"point {self.point.number} ({self.point.what}), {self.cut}"


@dataclass(slots=True)
class Swept:
    """What came of a sweep."""

    points: int = 0
    syncs: dict[str, int] = field(default_factory=dict)
    """By the name of the file, as it was opened; `/` is the directory above."""
    acknowledged: int = 0
    cases: dict[str, int] = field(default_factory=dict)
    """By cut."""
    directories: int = 0
    """Different ones, each examined."""
    states: dict[str, int] = field(default_factory=dict)
    """What the doctor said of them."""
    started: int = 0
    """Directories on which a real node was started as well."""
    invalid: int = 0
    """Cases in which something was violated."""
    violations: list[str] = field(default_factory=list)
    """The first of them."""

    def note(self, case: Case, violations: list[str]) -> None:
        """What was violated in a case."""
        self.invalid += bool(violations)
        room = VIOLATIONS_MAX - len(self.violations)
        self.violations += [f"{case}: {what}" for what in violations[:room]]


Told = Callable[[Swept], None]


def sweep(
    recording: Recording,
    directory: Path,
    seed: int,
    told: Told,
    repeats: Mapping[str, int] = REPEATS,
) -> Swept:
    """Try every point, each cut as often as `repeats` says; `told` hears of every batch.

    Raises:
        TraceError: the recording cannot be played on the model of a disk.
        ProcessError: the doctor did not answer.
    """
    swept = Swept(acknowledged=recording.acknowledged)
    judge = Judge(recording.ledgers)
    known: dict[bytes, Found] = {}
    waiting: list[Case] = []
    images: dict[bytes, Image] = {}

    def finish() -> None:
        known.update(_examined(images, directory, recording.data_dir))
        swept.directories += len(images)
        for digest in images:
            state = known[digest].state
            swept.states[state] = swept.states.get(state, 0) + 1
        images.clear()
        for case in waiting:
            swept.note(case, judge.judge(known[case.digest], case.point.version, case.point.has))
        waiting.clear()
        told(swept)

    for case, image in cases(recording, seed, swept, repeats):
        swept.cases[case.cut] = swept.cases.get(case.cut, 0) + 1
        waiting.append(case)
        if case.digest not in known:
            images.setdefault(case.digest, image)
        if len(images) >= BATCH:
            finish()
    finish()
    return swept


def cases(
    recording: Recording, seed: int, swept: Swept, repeats: Mapping[str, int] = REPEATS
) -> Iterator[tuple[Case, Image]]:
    """Every power cut with what it leaves. Raises TraceError."""
    disk, rng = Disk(recording.root), Random(f"cuts/{seed}")
    promises = Promises(recording)
    for call, following in zip(recording.calls, [*recording.calls[1:], None], strict=True):
        what = ""
        if name := disk.synced(call):
            swept.syncs[name] = swept.syncs.get(name, 0) + 1
            what = f"before sync {swept.syncs[name]} of {name}"
        elif promises.holds_one(call):
            what = "after an acknowledgement"
        elif following is None:
            what = "at the end"
        is_before = what.startswith("before")
        if not is_before:
            disk.perform(call)
        if what:
            swept.points += 1
            point = promises.point(swept.points, what, call.ended)
            yield from _cases_at(point, disk, rng, repeats)
        if is_before:
            disk.perform(call)


def _cases_at(
    point: Point, disk: Disk, rng: Random, repeats: Mapping[str, int]
) -> Iterator[tuple[Case, Image]]:
    pending = disk.pending
    for name, cut in CUTS.items():
        for _ in range(repeats[name]):
            image = disk.after(cut(pending, rng))
            yield Case(point, name, digest_of(image)), image
        if not pending:
            return


class Promises:
    """What had left the node, by the place in the trace at which the send began."""

    def __init__(self, recording: Recording) -> None:
        self._places: dict[int, tuple[list[str], int]] = {}
        owner = bytes(parse_id(recording.node)) + _EPOCH_AND_TYPE
        versions = {
            one.update_id: one.version for ledger in recording.ledgers for one in ledger.every()
        }
        for call in recording.calls:
            if call.name in _SENDS and call.result > 0:
                sent = call.data(1)
                told = [name for name in _answered(sent) if name in versions]
                newest = max([_newest(sent, owner), *(versions[name] for name in told)])
                if told or newest:
                    self._places[call.began] = told, newest
        self._order = sorted(self._places)
        self._next = 0
        self._told: frozenset[str] = frozenset()
        self._version = 0

    def holds_one(self, call: Call) -> bool:
        """Whether it acknowledges something."""
        return bool(self._places.get(call.began, ((), 0))[0])

    def point(self, number: int, what: str, place: int) -> Point:
        """The moment at that place of the trace; ask in order."""
        while self._next < len(self._order) and self._order[self._next] <= place:
            told, version = self._places[self._order[self._next]]
            self._told |= frozenset(told)
            self._version = max(self._version, version)
            self._next += 1
        return Point(number, what, self._told, self._version)


def digest_of(image: Image) -> bytes:
    """Equal for equal directories."""
    found = hashlib.blake2b(digest_size=16)
    for path in sorted(image):
        content = image[path]
        found.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
        found.update(content or b"")
    return found.digest()


def lay_out(image: Image, directory: Path) -> None:
    """Make the directory and all that is in it, open to nobody else, as a node makes them."""
    directory.mkdir(mode=0o700, parents=True)
    for path in sorted(image):
        content = image[path]
        if content is None:
            (directory / path).mkdir(mode=0o700)
        else:
            (directory / path).touch(mode=0o600)
            (directory / path).write_bytes(content)


def _examined(images: Mapping[bytes, Image], directory: Path, data_dir: str) -> dict[bytes, Found]:
    places = [directory / digest.hex() for digest in images]
    try:
        for place, image in zip(places, images.values(), strict=True):
            lay_out(image, place)
        found = examine([place / data_dir for place in places]) if places else []
        return dict(zip(images, found, strict=True))
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


def _answered(sent: bytes) -> Iterator[str]:
    """The request ids of the good answers in what was sent."""
    for part in sent.split(b"HTTP/1.1 ")[1:]:
        if part[:2] == b"20" and _MARK in part:
            yield part.split(_MARK, 1)[1].split(b"\r\n", 1)[0].decode("ascii", "replace")


def _newest(sent: bytes, owner: bytes) -> int:
    """The highest version that stands behind our id in what was sent; 0 if none does."""
    newest = 0
    at = sent.find(owner)
    while at >= 0:
        version = sent[at + len(owner) : at + len(owner) + _VERSION_BYTES]
        newest = max(newest, int.from_bytes(version, "big"))
        at = sent.find(owner, at + 1)
    return newest
