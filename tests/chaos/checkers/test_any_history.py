"""Registers that work, driven at random: no checker objects, and each objects to what is broken."""

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chaos.checkers import CHECKERS, check_all
from chaos.history import Action, Key, Life, Operation, Outcome, View
from chaos.verdict import Verdict

from .situations import HEAL_S, LIMITS, NODES, Story

KEYS = tuple(Key(owner, "web", f"web-{place}") for owner in NODES for place in (1, 2))
STEP_S = 0.1
GENTLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)

Deed = tuple[str, int, int, bool]
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(
            ("register", "update", "deregister", "lookup", "sync", "lost", "failed", "restart")
        ),
        st.integers(0, len(KEYS) - 1),
        st.integers(0, len(NODES) - 1),
        st.booleans(),
    ),
    min_size=5,
    max_size=60,
)


@dataclass
class Cluster:
    """Three nodes that keep their registers as they should; others follow each owner's branch."""

    story: Story = field(default_factory=Story)
    at_s: float = 1.0
    own: dict[str, dict[Key, int]] = field(default_factory=lambda: {n: {} for n in NODES})
    version: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NODES, 0))
    held: dict[tuple[str, str], tuple[int, dict[Key, int]]] = field(default_factory=dict)
    number: int = 0

    def carry_out(self, deeds: list[Deed]) -> Story:
        for kind, key, place, flag in deeds:
            self.at_s += STEP_S
            assert self.at_s < HEAL_S
            self.do(kind, KEYS[key], NODES[place], done=flag)
        self.at_s = HEAL_S + 1
        for node in NODES:
            for owner in NODES:
                self.follow(node, owner)
        self.at_s = HEAL_S + 20
        for node in NODES:
            self.look_up(node)
        for node in NODES:
            self.story.history.views.append(
                View(node, "H", "R", tuple(self.shown_at(node).items()), ())
            )
        return self.story

    def do(self, kind: str, key: Key, node: str, *, done: bool) -> None:
        match kind:
            case "lookup":
                self.look_up(node)
            case "sync":
                self.follow(node, key.owner)
            case "restart":
                self.story.restarts(node, self.at_s, self.at_s + STEP_S / 2)
            case "lost":
                self.write(Action.UPDATE, key, Outcome.INDEFINITE, done=done)
            case "failed":
                self.write(Action.UPDATE, key, Outcome.FAILED, done=False)
            case _:
                self.write(Action(kind), key, Outcome.OK, done=True)

    def write(self, action: Action, key: Key, outcome: Outcome, *, done: bool) -> None:
        self.number += 1
        if done:
            removes = action is Action.DEREGISTER
            others = {k: v for k, v in self.own[key.owner].items() if k != key}
            self.own[key.owner] = others if removes else {**others, key: self.number}
            self.version[key.owner] += 1
            self.story.signs(key.owner, self.version[key.owner], self.at_s + 0.01)
        self.story.history.operations.append(
            Operation(self.number, action, key.owner, self.at_s, self.at_s + 0.02, outcome, key=key)
        )

    def follow(self, node: str, owner: str) -> None:
        known, _ = self.held.get((node, owner), (0, {}))
        if node != owner and self.version[owner] > known:
            self.held[node, owner] = self.version[owner], self.own[owner]
            self.story.takes(node, owner, self.version[owner], self.at_s)

    def shown_at(self, node: str) -> dict[Key, int]:
        shown: dict[Key, int] = {}
        for owner in NODES:
            held = self.own[owner] if owner == node else self.held.get((node, owner), (0, {}))[1]
            shown |= held
        return shown

    def look_up(self, node: str) -> None:
        self.number += 1
        seen = tuple(self.shown_at(node).items())
        self.story.history.operations.append(
            Operation(
                self.number,
                Action.LOOKUP,
                node,
                self.at_s + 0.03,
                self.at_s + 0.03,
                Outcome.OK,
                name="web",
                seen=seen,
            )
        )


def verdicts(story: Story) -> dict[str, Verdict]:
    return {found.checker: found.verdict for found in check_all(story.history, LIMITS)}


def what_stands(story: Story) -> dict[Key, int]:
    """What surely stands at the end: keys without indefinite writes that are registered."""
    stands: dict[Key, int] = {}
    for operation in story.history.operations:
        if operation.key is None or operation.outcome is Outcome.FAILED:
            continue
        stands[operation.key] = operation.number
        if operation.action is Action.DEREGISTER:
            del stands[operation.key]
    doubtful = {one.key for one in story.history.operations if one.outcome is Outcome.INDEFINITE}
    return {key: value for key, value in stands.items() if key not in doubtful}


def show_in_one_view(story: Story, node: int, shown: dict[Key, int]) -> None:
    views = story.history.views
    views[node] = replace(views[node], shown=tuple(shown.items()))


@GENTLE
@given(DEEDS)
def test_no_checker_objects_to_registers_that_work(deeds: list[Deed]) -> None:
    for found in check_all(Cluster().carry_out(deeds).history, LIMITS):
        assert found.verdict is not Verdict.INVALID, (found.checker, found.witness)


@GENTLE
@given(DEEDS, st.data())
def test_a_key_that_one_view_lacks_is_lost(deeds: list[Deed], data: st.DataObject) -> None:
    story = Cluster().carry_out(deeds)
    stands = what_stands(story)
    assume(stands)
    key = data.draw(st.sampled_from(sorted(stands, key=str)))
    node = data.draw(st.integers(0, len(NODES) - 1))
    shown = dict(story.history.views[node].shown)
    del shown[key]
    show_in_one_view(story, node, shown)

    assert verdicts(story)["set_full"] is Verdict.INVALID


@GENTLE
@given(DEEDS, st.data())
def test_an_older_value_in_one_view_is_caught(deeds: list[Deed], data: st.DataObject) -> None:
    story = Cluster().carry_out(deeds)
    stands = what_stands(story)
    older = [
        one
        for one in story.history.operations
        if one.key in stands and one.action is not Action.DEREGISTER
        and one.outcome is Outcome.OK and one.number < stands[one.key]
    ]  # fmt: skip
    assume(older)
    one = data.draw(st.sampled_from(older))
    assert one.key is not None
    node = data.draw(st.integers(0, len(NODES) - 1))
    show_in_one_view(story, node, {**dict(story.history.views[node].shown), one.key: one.number})

    assert verdicts(story)["set_full"] is Verdict.INVALID


@GENTLE
@given(DEEDS, st.data())
def test_a_key_that_comes_back_in_one_view_is_caught(
    deeds: list[Deed], data: st.DataObject
) -> None:
    story = Cluster().carry_out(deeds)
    doubtful = {one.key for one in story.history.operations if one.outcome is Outcome.INDEFINITE}
    gone = [
        one
        for one in story.history.operations
        if one.key is not None and one.key not in what_stands(story) and one.key not in doubtful
        and one.action is not Action.DEREGISTER and one.outcome is Outcome.OK
    ]  # fmt: skip
    assume(gone)
    one = data.draw(st.sampled_from(gone))
    assert one.key is not None
    node = data.draw(st.integers(0, len(NODES) - 1))
    show_in_one_view(story, node, {**dict(story.history.views[node].shown), one.key: one.number})

    assert verdicts(story)["resurrection"] is Verdict.INVALID


@GENTLE
@given(DEEDS, st.data())
def test_a_commit_taken_twice_is_caught(deeds: list[Deed], data: st.DataObject) -> None:
    story = Cluster().carry_out([deed for deed in deeds if deed[0] != "restart"])
    assume(story.history.accepted)
    one = data.draw(st.sampled_from(story.history.accepted))
    story.history.accepted.append(replace(one, at_s=90.0))

    assert verdicts(story)["authenticity"] is Verdict.INVALID


def test_every_checker_gives_its_own_name_and_invariant() -> None:
    found = check_all(Story().history, LIMITS)

    assert [one.checker for one in found] == [name for name, _ in CHECKERS]
    named = ["P1", "P2", "P3", "P4", "P4", "P5", "P7", "P8", "C3", "C6", "B5", "A2", "D2"]
    assert [one.invariant for one in found] == named


def test_an_empty_history_is_unknown_to_all() -> None:
    history = Story().history
    history.end_s = history.heal_at_s = 0.0

    assert {one.verdict for one in check_all(history, LIMITS)} == {Verdict.UNKNOWN}


def test_a_life_that_ends_and_begins_at_once_is_a_new_one() -> None:
    story = Story()
    value = story.register(KEYS[0], at=10.0)
    story.restarts("a", 20.0, 20.0)
    story.lived("b", 20.0, Life.PAUSED)
    story.lived("b", 20.0, Life.RESUMED)
    story.ends_with({KEYS[0]: value})

    assert Verdict.INVALID not in verdicts(story).values()
