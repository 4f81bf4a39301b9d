"""The tree against a model that is built from scratch each time."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import EMPTY_ROOT, PATH_BYTES, Branching, Leaf, Tree, leaves_under

from .laws import law

# Few distinct nibbles, so that paths share long beginnings.
PATHS = st.lists(st.sampled_from(b"\x00\x01\x10\xff"), min_size=0, max_size=3).map(
    lambda start: bytes(start).ljust(PATH_BYTES, b"\x00")
) | st.binary(min_size=PATH_BYTES, max_size=PATH_BYTES)
VALUES = st.binary(min_size=1, max_size=4)
STEPS = st.lists(st.tuples(PATHS, st.none() | VALUES), max_size=40)


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def model(leaves: dict[str, bytes], depth: int = 0) -> bytes:
    """The root as the module's docstring defines it."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        ((path, value),) = leaves.items()
        return digest(b"\0" + bytes.fromhex(path) + value)
    bitmap, hashes = 0, b""
    for nibble in range(16):
        under = {path: v for path, v in leaves.items() if int(path[depth], 16) == nibble}
        if under:
            bitmap |= 1 << nibble
            hashes += model(under, depth + 1)
    return digest(b"\1" + bitmap.to_bytes(2, "big") + hashes)


def root_of(facts: dict[bytes, bytes]) -> bytes:
    return model({path.hex(): value for path, value in facts.items()})


@law
@given(STEPS)
def test_any_order_of_setting_and_removing_gives_the_root_of_the_model(
    steps: list[tuple[bytes, bytes | None]],
) -> None:
    tree, facts = Tree(), dict[bytes, bytes]()
    for path, value in steps:
        before, root = tree, tree.root
        if value is None:
            tree = tree.remove(path)
            facts.pop(path, None)
        else:
            tree = tree.set(path, value)
            facts[path] = value
        assert before.root == root, "a tree never changes"
        assert len(tree) == len(facts)

    assert tree.root == root_of(facts)
    assert list(tree.leaves()) == sorted(facts.items())
    assert all(tree.get(path) == facts.get(path) for path, _ in steps)


@law
@given(st.dictionaries(PATHS, VALUES, max_size=30))
def test_the_root_does_not_depend_on_the_order(facts: dict[bytes, bytes]) -> None:
    forward, backward = Tree(), Tree()
    for path in sorted(facts):
        forward = forward.set(path, facts[path])
    for path in sorted(facts, reverse=True):
        backward = backward.set(path, b"other").set(path, facts[path])

    assert forward.root == backward.root


@law
@given(st.dictionaries(PATHS, VALUES, max_size=30))
def test_removing_all_collapses_to_nothing(facts: dict[bytes, bytes]) -> None:
    tree = Tree()
    for path, value in facts.items():
        tree = tree.set(path, value)
    for path in facts:
        assert tree.remove(bytes(31) + b"\x77").root == tree.root
        tree = tree.remove(path)

    assert tree.root == EMPTY_ROOT
    assert len(tree) == 0


@law
@given(st.lists(st.tuples(PATHS, VALUES), max_size=40))
def test_a_tree_built_at_once_is_the_one_built_step_by_step(
    facts: list[tuple[bytes, bytes]],
) -> None:
    stepwise = Tree()
    for path, value in facts:
        stepwise = stepwise.set(path, value)

    at_once = Tree.of(Leaf(path, value) for path, value in facts)

    assert at_once.root == stepwise.root
    assert len(at_once) == len(stepwise)
    assert list(at_once.leaves()) == list(stepwise.leaves())


@law
@given(st.dictionaries(PATHS, VALUES, min_size=1, max_size=30))
def test_every_node_is_found_by_its_digits_and_hashes_what_it_shows(
    facts: dict[bytes, bytes],
) -> None:
    tree = Tree.of(Leaf(path, value, item=value) for path, value in facts.items())
    for path, value in facts.items():
        digits = path.hex()
        leaf = tree.leaf(path)
        assert leaf is not None
        assert leaf.item == value
        assert tree.at(digits) is leaf
        for depth in range(len(digits)):
            node = tree.at(digits[:depth])
            below = [one.path for one in leaves_under(node)]
            assert below == sorted(p for p in facts if p.hex().startswith(digits[:depth]))
            if isinstance(node, Branching):
                assert node.digest == digest(b"\1" + node.shown())
    assert tree.at("") is not None
    assert tree.at("7" * 64) is None


@law
@given(st.dictionaries(PATHS, VALUES, max_size=30), st.dictionaries(PATHS, VALUES, max_size=30))
def test_leaves_put_together_give_the_tree_that_setting_each_gives(
    before: dict[bytes, bytes], facts: dict[bytes, bytes]
) -> None:
    start = Tree.of(Leaf(path, value) for path, value in before.items())
    root = start.root
    stepwise = start
    for path, value in facts.items():
        stepwise = stepwise.set(path, value)

    together = start.put([Leaf(path, value) for path, value in facts.items()])

    assert start.root == root, "a tree never changes"
    assert together.root == stepwise.root
    assert len(together) == len(stepwise)
    assert list(together.leaves()) == sorted({**before, **facts}.items())


def test_setting_the_same_value_again_is_the_same_tree() -> None:
    tree = Tree().set(bytes(32), b"a")

    assert tree.set(bytes(32), b"a") is tree
    assert tree.set(bytes(32), b"b").root != tree.root
    assert Tree().remove(bytes(32)).root == EMPTY_ROOT


def test_ten_thousand_leaves_are_one_root() -> None:
    facts = {digest(b"%d" % n): b"%d" % n for n in range(10_000)}
    tree = Tree()
    for path, value in facts.items():
        tree = tree.set(path, value)

    assert len(tree) == 10_000
    assert tree.root == root_of(facts)
