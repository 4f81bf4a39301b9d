"""Any two trees: the exact difference; any lie: caught or harmless; and little work in any case."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import DEPTH_MAX, EMPTY_ROOT, PATH_BYTES, Branching, Leaf, Tree
from protocol.sync.descent import NODES_MAX, Descent, Fault

from .laws import law

PATHS = st.lists(st.sampled_from(b"\x00\x01\x10\xff"), min_size=0, max_size=3).map(
    lambda start: bytes(start).ljust(PATH_BYTES, b"\x00")
) | st.binary(min_size=PATH_BYTES, max_size=PATH_BYTES)
FACTS = st.dictionaries(PATHS, st.binary(min_size=1, max_size=2), max_size=30)


def path(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=PATH_BYTES).digest()


def tree_of(facts: dict[bytes, bytes]) -> Tree:
    return Tree.of(Leaf(at, value) for at, value in facts.items())


def show(tree: Tree, prefix: str) -> bytes | Leaf:
    node = tree.at(prefix)
    assert node is not None, "only what was promised is asked for"
    return node.shown() if isinstance(node, Branching) else node


def descend(ours: Tree, theirs: Tree, *, most: int = 1_000) -> tuple[Descent, int]:
    """To the end, with an honest peer; and how many nodes were asked for."""
    descent = Descent(ours, theirs.root, leaves_max=10_000)
    asked = 0
    while not descent.done:
        for prefix in descent.wanted(most):
            asked += 1
            descent.take(prefix, show(theirs, prefix))
    return descent, asked


@law
@given(ours=FACTS, theirs=FACTS, most=st.integers(1, 50))
def test_a_descent_ends_with_exactly_what_differs(
    ours: dict[bytes, bytes], theirs: dict[bytes, bytes], most: int
) -> None:
    descent, _ = descend(tree_of(ours), tree_of(theirs), most=most)

    assert descent.fault is None
    assert {leaf.path: leaf.value for leaf in descent.theirs} == {
        at: value for at, value in theirs.items() if ours.get(at) != value
    }
    assert sorted(leaf.path for leaf in descent.lacking) == sorted(ours.keys() - theirs.keys())


@law
@given(shared=FACTS, ours=FACTS, theirs=FACTS)
def test_trees_that_share_much_differ_in_what_they_do_not_share(
    shared: dict[bytes, bytes], ours: dict[bytes, bytes], theirs: dict[bytes, bytes]
) -> None:
    a, b = {**shared, **ours}, {**shared, **theirs}

    descent, _ = descend(tree_of(a), tree_of(b))

    mended = tree_of(a)
    for leaf in descent.lacking:
        mended = mended.remove(leaf.path)
    for leaf in descent.theirs:
        mended = mended.set(leaf.path, leaf.value)
    assert mended.root == tree_of(b).root


@law
@given(
    ours=FACTS,
    theirs=FACTS.filter(bool),
    other=FACTS.filter(bool),
    at=st.integers(0, 40),
    flip=st.integers(0, 600),
)
def test_whoever_shows_anything_else_than_it_promised_is_caught(
    ours: dict[bytes, bytes],
    theirs: dict[bytes, bytes],
    other: dict[bytes, bytes],
    at: int,
    flip: int,
) -> None:
    honest, made_up = tree_of(theirs), tree_of(other)
    descent = Descent(tree_of(ours), honest.root, leaves_max=10_000)
    asked, lied = 0, False
    while not descent.done:
        (prefix,) = descent.wanted(1)
        shown = show(honest, prefix)
        if asked == at:
            said: bytes | Leaf
            if flip % 2:  # another node, true elsewhere
                said = show(made_up, "")
            elif isinstance(shown, Leaf):
                said = Leaf(shown.path, shown.value + b"!")
            else:
                place = flip % len(shown)
                said = shown[:place] + bytes([shown[place] ^ 1]) + shown[place + 1 :]
            lied = isinstance(said, bytes) != isinstance(shown, bytes) or (
                said.digest != shown.digest
                if isinstance(said, Leaf) and isinstance(shown, Leaf)
                else said != shown
            )
            shown = said
        asked += 1
        descent.take(prefix, shown)

    assert descent.fault is (Fault.LIED if lied else None)
    assert not lied or descent.done


def test_a_leaf_under_digits_that_are_not_its_own_is_a_lie() -> None:
    leaf = Leaf(b"\x12" + bytes(31), b"x")
    places: list[Leaf | Branching | None] = [None] * 16
    places[7] = leaf
    wrong = Branching(tuple(places))
    descent = Descent(Tree(), wrong.digest, leaves_max=10)

    descent.take("", wrong.shown())
    assert descent.wanted(9) == ("7",)
    descent.take("7", leaf)

    assert descent.fault is Fault.LIED


def test_no_branch_lies_deeper_than_a_path_is_long() -> None:
    node: Branching = Branching((Leaf(bytes(32), b"x"), *([None] * 15)))
    for _ in range(DEPTH_MAX + 5):
        node = Branching((node, *([None] * 15)))
    descent = Descent(Tree(), node.digest, leaves_max=10)
    rounds = 0
    while not descent.done:
        (prefix,) = descent.wanted(1)
        rounds += 1
        shown: Leaf | Branching | None = node
        for _ in prefix:
            assert isinstance(shown, Branching)
            shown = shown.children[0]
        assert isinstance(shown, Branching)
        descent.take(prefix, shown.shown())

    assert descent.fault is Fault.LIED
    assert rounds == DEPTH_MAX + 1


def test_more_leaves_than_anybody_may_hold_are_a_lie() -> None:
    for count, fault in ((50, None), (51, Fault.LIED)):
        theirs = Tree.of(Leaf(path(number), b"x") for number in range(count))
        descent = Descent(Tree(), theirs.root, leaves_max=50)
        while not descent.done:
            for prefix in descent.wanted(1_000):
                descent.take(prefix, show(theirs, prefix))
        assert descent.fault is fault


def test_a_peer_that_makes_up_nodes_without_end_is_left_after_so_many() -> None:
    # Branches all the way down, none of which leads to a leaf for a long time: 16 new a node.
    levels: list[Branching | Leaf] = [Leaf(bytes(32), b"x")]
    for _ in range(6):
        levels.append(Branching((levels[-1],) * 16))
    top = levels[-1]
    descent = Descent(Tree(), top.digest, leaves_max=10**9)
    asked = 0
    while not descent.done:
        for prefix in descent.wanted(1_000):
            shown = levels[-1 - len(prefix)]
            assert isinstance(shown, Branching)
            asked += 1
            descent.take(prefix, shown.shown())

    assert descent.fault is Fault.LIED
    assert asked <= NODES_MAX


def test_the_work_grows_with_the_difference_and_hardly_with_the_tree() -> None:
    for count in (1_000, 10_000):
        facts = {path(number): b"old" for number in range(count)}
        ours = tree_of(facts)
        for differing in (1, 10, 100):
            theirs = ours
            for number in range(differing):
                theirs = theirs.set(path(number), b"new")
            descent, asked = descend(ours, theirs)
            assert len(descent.theirs) == differing
            assert asked <= differing * 5 + 1


def test_nothing_is_asked_of_a_peer_that_holds_the_same_or_nothing() -> None:
    ours = tree_of({path(1): b"x"})

    assert descend(ours, ours)[1] == 0
    emptied, asked = descend(ours, Tree())

    assert asked == 0
    assert [leaf.path for leaf in emptied.lacking] == [path(1)]
    assert Descent(Tree(), EMPTY_ROOT, leaves_max=1).done


def test_what_was_not_wanted_changes_nothing() -> None:
    theirs = tree_of({path(number): b"x" for number in range(20)})
    descent = Descent(Tree(), theirs.root, leaves_max=100)

    descent.take("f", Leaf(path(1), b"y"))

    assert descent.fault is None
    assert descent.wanted(5) == ("",)
