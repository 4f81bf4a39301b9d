"""Inclusion proofs: every leaf has one that leads to the root, and nothing else does."""

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.commits import RecordKey, digest
from protocol.merkle import DEPTH_MAX, PATH_BYTES, Tree
from protocol.proofs import LEVEL_BYTES_MAX, prove, root_of
from protocol.registry import Registry

from .author import Author
from .peer_world import TRUST, service

# Few distinct nibbles, so that paths share long beginnings.
PATHS = st.lists(st.sampled_from(b"\x00\x01\x10\xff"), max_size=3).map(
    lambda start: bytes(start).ljust(PATH_BYTES, b"\x00")
) | st.binary(min_size=PATH_BYTES, max_size=PATH_BYTES)
FACTS = st.dictionaries(PATHS, st.binary(min_size=1, max_size=4), min_size=1, max_size=40)


def tree_of(facts: dict[bytes, bytes]) -> Tree:
    tree = Tree()
    for path, value in facts.items():
        tree = tree.set(path, value)
    return tree


@given(FACTS)
def test_every_leaf_is_proved_and_leads_to_the_root(facts: dict[bytes, bytes]) -> None:
    tree = tree_of(facts)

    for path, value in facts.items():
        levels = prove(tree, path)
        assert levels is not None
        assert all(len(level) <= LEVEL_BYTES_MAX for level in levels)
        assert root_of(levels, path, value) == tree.root


@given(FACTS, PATHS)
def test_what_is_not_there_has_no_proof(facts: dict[bytes, bytes], path: bytes) -> None:
    facts.pop(path, None)

    assert prove(tree_of(facts), path) is None


@given(FACTS, st.data())
def test_another_value_or_path_leads_elsewhere(
    facts: dict[bytes, bytes], data: st.DataObject
) -> None:
    tree = tree_of(facts)
    path = data.draw(st.sampled_from(sorted(facts)))
    other = data.draw(PATHS.filter(lambda one: one != path))
    levels = prove(tree, path)
    assert levels is not None

    assert root_of(levels, path, facts[path] + b"!") != tree.root
    assert root_of(levels, other, facts[path]) != tree.root


def test_a_proof_with_any_byte_altered_leads_elsewhere_a_thousand_times_of_a_thousand() -> None:
    rng = Random(7)
    facts = {hashlib.sha256(b"%d" % n).digest(): b"value" for n in range(300)}
    tree, paths, refused = tree_of(facts), sorted(facts), 0
    for _ in range(1_000):
        path = rng.choice(paths)
        levels = [bytearray(level) for level in prove(tree, path) or ()]
        level = rng.choice(levels)
        level[rng.randrange(len(level))] ^= rng.randrange(1, 256)
        refused += root_of([bytes(one) for one in levels], path, b"value") != tree.root

    assert refused == 1_000


@given(st.lists(st.binary(max_size=LEVEL_BYTES_MAX + 1), max_size=DEPTH_MAX + 1), st.binary())
def test_no_bytes_make_reading_a_proof_raise(levels: list[bytes], path: bytes) -> None:
    root_of(levels, path, b"value")
    root_of(levels, path.ljust(PATH_BYTES, b"\0")[:PATH_BYTES], b"value")


def test_levels_deeper_than_any_path_prove_nothing() -> None:
    level = b"\x00\x01"
    path = bytes(PATH_BYTES)

    assert root_of([level] * DEPTH_MAX, path, b"") is not None
    assert root_of([level] * (DEPTH_MAX + 1), path, b"") is None


def test_the_example_of_the_protocol_page() -> None:
    first, second = bytes(PATH_BYTES), b"\x50".ljust(PATH_BYTES, b"\0")
    beside = Tree().set(second, b"2").root

    assert prove(Tree().set(first, b"1").set(second, b"2"), first) == (b"\x00\x21" + beside,)
    assert prove(Tree().set(first, b"1"), first) == ()


def test_a_leaf_that_lies_where_its_path_does_not_lead_is_not_proved() -> None:
    """Who makes the tree may put a leaf in another's place; then two could stand for one path."""
    path, bitmap = b"\x70".ljust(PATH_BYTES, b"\0"), (1 << 0 | 1 << 5).to_bytes(2, "big")
    beside = root_of((), bytes(PATH_BYTES), b"")
    leaf = root_of((), path, b"value")
    assert beside is not None
    assert leaf is not None
    root = digest(b"\1" + bitmap + beside + leaf)

    assert root_of([bitmap + beside], path, b"value") is None
    assert root_of([bitmap + beside], b"\x50" + path[1:], b"value") != root


def test_a_registry_proves_the_records_that_it_holds_and_no_others() -> None:
    registry, authors = Registry(TRUST), [Author(number) for number in range(1, 30)]
    for author in authors:
        registry.learn(author.chain.packed())
        registry.offer(author.id, [author.commit(service(port=1), service(port=2))], now=0.0)

    proof = registry.prove(authors[3].id, RecordKey(1, "web/web-2"))

    assert proof is not None
    assert (proof.root, proof.head) == (registry.root, authors[3].branch.head)
    head = root_of(proof.in_heads, authors[3].id, proof.head.hash)
    path = hashlib.blake2b(b"1\0web/web-2", digest_size=32).digest()
    value = hashlib.blake2b(proof.record.body, digest_size=32).digest()
    assert (head, root_of(proof.in_state, path, value)) == (registry.root, proof.head.state_root)
    assert registry.prove(authors[3].id, RecordKey(1, "web/web-3")) is None
    assert registry.prove(Author(99).id, RecordKey(1, "web/web-2")) is None
    registry.reap(authors[3].id)
    assert registry.prove(authors[3].id, RecordKey(1, "web/web-2")) is None
