"""Where two statements meet: causality, then majority, then a rule, and why.

    owner's own word ──▶ causality ──▶ majority of the entitled ──▶ later time ──▶ smaller hash
    the newest stands    older ones     more than half of all        of those left   always decides
                         drop out       who may vote

One function for all of it: hosts that vouch for one guest, peer lists of seeds, writers of one
document, the list of a document's owners.

Rules this module keeps:

1. It is pure, and reads statements as a set: order and repetition make no difference. `Reports` is
   that set, a join-semilattice, so nodes that heard the same statements come to the same result.
2. No vote overrules what the owner itself said last, whoever passes that on.
3. Voters count once each, with their last word; statements that happened before another one do not
   count, and whoever may not vote is shown, never counted. A voter's own later word, too, comes
   after its earlier one by causality.
4. The result names the rule that decided, the votes, and who said otherwise.

Nothing here is bounded by itself: a caller has at most a statement for each member or writer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from protocol.identity import NodeId

Value = TypeVar("Value")

Clock: TypeAlias = tuple[tuple[NodeId, int], ...]
"""What a statement's author had seen: each writer's newest counter, sorted; none is 0."""

Rule: TypeAlias = Literal[
    "nobody", "only", "owner", "causality", "majority", "later", "smaller_hash"
]
"""What decided: `nobody` spoke who may, or the `only` value that was said, or the named rule."""

RULES: tuple[Rule, ...] = (
    "nobody", "only", "owner", "causality", "majority", "later", "smaller_hash"
)  # fmt: skip

Blame: TypeAlias = Literal["otherwise", "older", "said_two", "not_entitled"]
"""Said another value; said what another had seen already; said two values; may not vote."""

BLAMES: tuple[Blame, ...] = ("otherwise", "older", "said_two", "not_entitled")


def clock_of(counters: Mapping[NodeId, int]) -> Clock:
    """A vector clock as statements carry it."""
    return tuple(sorted((writer, counter) for writer, counter in counters.items() if counter))


def covers(counters: Mapping[NodeId, int], clock: Clock) -> bool:
    """Whether whoever had seen `counters` had seen all of `clock`."""
    for writer, counter in clock:  # noqa: SIM110 - `all` of a generator takes three times as long
        if counters.get(writer, 0) < counter:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Statement(Generic[Value]):
    """One voter's word."""

    voter: NodeId
    value: Value
    hash: bytes
    """Of the value's canonical form: values are the same where their hashes are."""
    time_us: int
    """Hybrid logical time at which it was said."""
    clock: Clock | None = None
    """What its author had seen; None where that is not known, so that it is concurrent to all."""
    is_owners: bool = False
    """Whether the one whom it is about signed it, whoever passes it on."""

    def place(self) -> tuple[NodeId, bytes, int, bool, Clock, bool]:
        """Where it stands among others; equal for equal statements only."""
        clock = self.clock
        return self.voter, self.hash, self.time_us, clock is None, clock or (), self.is_owners


@dataclass(frozen=True, slots=True)
class Reports(Generic[Value]):
    """A set of statements on one thing, in the one order. Make it with `reports`."""

    statements: tuple[Statement[Value], ...] = ()

    def merge(self, other: "Reports[Value]") -> "Reports[Value]":
        """All that either holds: commutative, associative and idempotent."""
        return reports((*self.statements, *other.statements))


def reports(statements: Iterable[Statement[Value]]) -> Reports[Value]:
    """The set of these statements."""
    placed = {statement.place(): statement for statement in statements}
    return Reports(tuple(placed[place] for place in sorted(placed)))


@dataclass(frozen=True, slots=True)
class Votes(Generic[Value]):
    """Who stands for one value."""

    value: Value
    hash: bytes
    voters: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Discrepancy(Generic[Value]):
    """Who said something that does not count, or not as the others."""

    voter: NodeId
    blame: Blame
    value: Value


@dataclass(frozen=True, slots=True)
class Resolution(Generic[Value]):
    """What counts, and why."""

    chosen: Statement[Value] | None
    """The newest statement of what counts; None if nobody spoke who may."""
    rule: Rule
    votes: tuple[Votes[Value], ...]
    """What counts first, then by number of voters; each voter once."""
    discrepancies: tuple[Discrepancy[Value], ...]
    entitled: int
    """How many may vote, whether they did or not."""

    @property
    def value(self) -> Value | None:
        """What counts."""
        return self.chosen.value if self.chosen is not None else None

    @property
    def is_contested(self) -> bool:
        """Whether another value stands beside it, that nobody who knew it has replaced."""
        return len(self.votes) > 1


def resolve(heard: Reports[Value], entitled: Collection[NodeId] | None = None) -> Resolution[Value]:
    """Decide between statements on one thing.

    Args:
        heard: all statements, of whomever.
        entitled: who may vote. None where there is no vote, since each statement is its author's
            own write: then causality, time and hash decide, and nobody is outvoted.
    """
    right = frozenset(entitled) if entitled is not None else None
    said = [one for one in heard.statements if right is None or one.voter in right]
    own = [one for one in heard.statements if one.is_owners]
    standing = _newest(said)
    words = _last_words(standing)
    if own:
        chosen, rule = _of_owner(own, said)
    else:
        chosen, rule = _of_many(words, said, None if right is None else len(right))
    return Resolution(
        chosen,
        rule,
        _votes(words, chosen),
        _discrepancies(heard, said, standing, chosen),
        len(right) if right is not None else len(words),
    )


def _of_owner(
    own: Sequence[Statement[Value]], said: Sequence[Statement[Value]]
) -> tuple[Statement[Value] | None, Rule]:
    newest = _newest(own)
    chosen = _latest(newest)
    if all(one.hash == chosen.hash for one in (*own, *said)):
        return chosen, "only"
    ties = [one for one in newest if one.time_us == chosen.time_us and one.hash != chosen.hash]
    return chosen, "smaller_hash" if ties else "owner"


def _of_many(
    words: Mapping[NodeId, Statement[Value]], said: Sequence[Statement[Value]], voters: int | None
) -> tuple[Statement[Value] | None, Rule]:
    if not words:
        return None, "nobody"
    camps: dict[bytes, list[Statement[Value]]] = {}
    for word in words.values():
        camps.setdefault(word.hash, []).append(word)
    if len(camps) == 1:
        only = _latest(list(words.values()))
        is_only = all(one.hash == only.hash for one in said)
        return only, "only" if is_only else "causality"
    if voters is not None:
        for camp in camps.values():
            if 2 * len(camp) > voters:
                return _latest(camp), "majority"
    chosen = _latest(list(words.values()))
    ties = [one for one in words.values() if one.time_us == chosen.time_us]
    return chosen, "later" if all(one.hash == chosen.hash for one in ties) else "smaller_hash"


def _newest(statements: Sequence[Statement[Value]]) -> Sequence[Statement[Value]]:
    """Without those that another one had seen and gone beyond."""
    clocks = {one.clock: dict(one.clock) for one in statements if one.clock is not None}
    if len(clocks) < 2:
        return statements
    # Who had seen more has the larger sum, so each needs to be compared with those behind it only.
    rising = sorted(clocks, key=lambda clock: (sum(counter for _, counter in clock), clock))
    behind: dict[Clock, None] = {}
    for place, clock in enumerate(rising):
        for other in rising[place + 1 :]:
            if covers(clocks[other], clock):
                behind[clock] = None
                break
    return [one for one in statements if one.clock is None or one.clock not in behind]


def _last_words(statements: Sequence[Statement[Value]]) -> dict[NodeId, Statement[Value]]:
    """Each voter's vote: the latest thing that it said, of things of one time the smaller hash."""
    words: dict[NodeId, Statement[Value]] = {}
    for one in statements:
        known = words.get(one.voter)
        if known is None or _rank(one) < _rank(known):
            words[one.voter] = one
    return words


def _latest(statements: Sequence[Statement[Value]]) -> Statement[Value]:
    return min(statements, key=_rank)


def _rank(one: Statement[Value]) -> tuple[int, bytes, NodeId, Clock]:
    return -one.time_us, one.hash, one.voter, one.clock or ()


def _votes(
    words: Mapping[NodeId, Statement[Value]], chosen: Statement[Value] | None
) -> tuple[Votes[Value], ...]:
    camps: dict[bytes, list[NodeId]] = {}
    values: dict[bytes, Value] = {}
    if chosen is not None:
        camps[chosen.hash], values[chosen.hash] = [], chosen.value
    for word in words.values():
        camps.setdefault(word.hash, []).append(word.voter)
        values[word.hash] = word.value
    first = chosen.hash if chosen is not None else b""
    order = sorted(camps, key=lambda camp: (camp != first, -len(camps[camp]), camp))
    return tuple(Votes(values[camp], camp, tuple(sorted(camps[camp]))) for camp in order)


def _discrepancies(
    heard: Reports[Value],
    said: Sequence[Statement[Value]],
    standing: Sequence[Statement[Value]],
    chosen: Statement[Value] | None,
) -> tuple[Discrepancy[Value], ...]:
    found: dict[tuple[NodeId, Blame, bytes], Discrepancy[Value]] = {}

    def note(one: Statement[Value], blame: Blame) -> None:
        found[one.voter, blame, one.hash] = Discrepancy(one.voter, blame, one.value)

    first: dict[NodeId, Statement[Value]] = {}
    counted = dict.fromkeys(map(id, standing))
    for one in said:
        if id(one) not in counted:
            if chosen is not None and one.hash != chosen.hash:
                note(one, "older")
            continue
        if chosen is not None and one.hash != chosen.hash:
            note(one, "otherwise")
        before = first.setdefault(one.voter, one)
        if before.hash != one.hash:
            note(before, "said_two")
            note(one, "said_two")
    if len(said) < len(heard.statements):
        may = dict.fromkeys(map(id, said))
        for one in heard.statements:
            if id(one) not in may and not one.is_owners:
                note(one, "not_entitled")
    return tuple(found[place] for place in sorted(found))
