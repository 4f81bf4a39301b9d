"""The verifier that the documentation hands out: it takes what is true and nothing else."""

import base64
import copy
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Protocol, cast

import orjson
import pytest

from node.api.proofs import proof_shape
from protocol import bodies
from protocol.commits import Record, RecordKey, digest
from protocol.identity import REVOCATION, ROTATION, commitment, id_text, make_event
from protocol.merkle import Tree
from protocol.proofs import Levels, RecordProof, root_of
from protocol.registry import Registry
from protocol.wire import codec
from tests.node.api.situations import open_pair, until, web
from tests.protocol.author import Author
from tests.protocol.peer_world import CLUSTER, TRUST, service

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"
NAME = "test"
KEY = RecordKey(1, "web/web-7")

Proof = dict[str, object]


class Verify(Protocol):
    def __call__(self, proof: Proof, name: str, **meant: str | None) -> dict[str, object]: ...


def loaded() -> Verify:
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Verify, module.verify)


verify = loaded()


def proof_of(author: Author, others: int = 20) -> Proof:
    """Of one of its forty instances, among other owners, as a node answers."""
    registry = Registry(TRUST)
    author.commit(*(service(port=port) for port in range(1, 41)))
    for one in (author, *(Author(100 + number) for number in range(others))):
        if one is not author:
            one.commit(service())
        registry.learn(one.chain.packed())
        registry.adopt(one.manifest(), now=0.0)
    return shown(registry, author)


def shown(registry: Registry, author: Author) -> Proof:
    proof = registry.prove(author.id, KEY)
    assert proof is not None
    shape = orjson.loads(orjson.dumps(proof_shape(proof, CLUSTER)))
    assert isinstance(shape, dict)
    return shape


def invalid(proof: Proof, name: str = NAME, **meant: str | None) -> str:
    """What the verifier says is wrong; empty if nothing is."""
    try:
        verify(proof, name, **meant)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def test_the_verifier_is_short_and_imports_nothing_of_ours() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    imported = {
        line.split()[1].split(".")[0]
        for line in text.splitlines()
        if line.startswith(("import ", "from "))
    }

    assert len(text.splitlines()) < 100
    assert imported - set(sys.stdlib_module_names) == {"msgpack", "nacl"}


def test_a_true_proof_is_valid_and_shows_the_instance() -> None:
    author = Author(1)

    found = verify(proof_of(author), NAME, owner=id_text(author.id), instance="web/web-7")

    assert (found["owner"], found["name"], found["port"]) == (id_text(author.id), "web", 7)
    assert found["commit"] == author.branch.dot.version


def test_after_rotations_the_newest_key_is_the_one_that_counts() -> None:
    author = Author(1)
    author.rotate()
    author.rotate()

    assert not invalid(proof_of(author))


BYTES: dict[str, Callable[[Proof], list[object]]] = {
    "key event": lambda proof: cast("list[object]", proof["key_events"]),
    "state path": lambda proof: cast("list[object]", proof["state_path"]),
    "root path": lambda proof: cast("list[object]", proof["root_path"]),
}
FIELDS = (("head", "header"), ("head", "signature"), ("record", "body"))


def altered(proof: Proof, rng: Random) -> Proof:
    """The proof with one byte of what is signed or hashed made another."""
    proof = copy.deepcopy(proof)
    place = rng.randrange(8)
    if place < 3:
        among = list(BYTES.values())[place](proof)
        number = rng.randrange(len(among))
        among[number] = flipped(cast(str, among[number]), rng)
    elif place < 6:
        outer, inner = FIELDS[place - 3]
        fields = cast("dict[str, str]", proof[outer])
        fields[inner] = flipped(fields[inner], rng)
    else:
        name = ("root", "cluster")[place - 6]
        raw = bytearray.fromhex(cast(str, proof[name]))
        raw[rng.randrange(len(raw))] ^= rng.randrange(1, 256)
        proof[name] = raw.hex()
    return proof


def flipped(text: str, rng: Random) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[rng.randrange(len(raw))] ^= rng.randrange(1, 256)
    return base64.b64encode(raw).decode()


def test_any_byte_altered_is_refused_a_thousand_times_of_a_thousand() -> None:
    author, rng = Author(1), Random(4)
    author.rotate()
    proof = proof_of(author)
    assert not invalid(proof)

    refused = sum(bool(invalid(altered(proof, rng))) for _ in range(1_000))

    assert refused == 1_000


def test_a_peer_that_alters_the_record_is_refused_a_thousand_times_of_a_thousand() -> None:
    proof, refused = proof_of(Author(1)), 0
    for port in range(1_000, 2_000):
        lie = copy.deepcopy(proof)
        record = bodies.record_of(replace(service(port=7), port=port))
        cast("dict[str, str]", lie["record"])["body"] = base64.b64encode(record.body).decode()
        refused += invalid(lie) == "not in the state that was signed"

    assert refused == 1_000


def test_a_proof_of_another_cluster_owner_root_or_instance_is_refused() -> None:
    proof = proof_of(Author(1))

    assert "not of the cluster" in invalid(proof, "prod")
    assert "not of the cluster" in invalid({**proof, "cluster": "00" * 32})
    assert "not what you mean" in invalid(proof, owner=id_text(Author(2).id))
    assert "not what you mean" in invalid(proof, instance="web/web-8")
    assert "not below that root" in invalid(proof, root="00" * 32)
    assert "another owner" in invalid({**proof, "owner": id_text(Author(2).id)})
    assert not invalid(proof, root=str(proof["root"]))


def test_what_a_replaced_key_signed_is_refused() -> None:
    author = Author(1)
    proof = proof_of(author)
    author.rotate()

    renewed = [base64.b64encode(event).decode() for event in author.chain.packed()]

    assert "replaced key" in invalid({**proof, "key_events": renewed})


def test_a_revoked_identity_proves_nothing() -> None:
    author = Author(1)
    proof = proof_of(author)
    last = make_event(
        REVOCATION, previous=author.events[-1], key=author.key(1),
        next_commitment=commitment(author.key(2).public_key), cluster=CLUSTER,
    )  # fmt: skip
    revoked = [base64.b64encode(event.pack()).decode() for event in (*author.events, last)]

    assert "revoked" in invalid({**proof, "key_events": revoked})


def test_a_thief_of_the_current_key_cannot_add_a_key_event() -> None:
    author = Author(1)
    proof = proof_of(author)
    event = make_event(
        1, previous=author.events[-1], key=Author(66).key(0),
        next_commitment=commitment(author.key(2).public_key), cluster=CLUSTER,
    )  # fmt: skip
    stolen = [base64.b64encode(one.pack()).decode() for one in (*author.events, event)]

    assert "not committed to" in invalid({**proof, "key_events": stolen})


def test_a_key_event_that_continues_another_chain_is_refused() -> None:
    author = Author(1)
    proof = proof_of(author)
    foreign = replace(author.events[0], encoded=author.events[0].encoded + b"!")
    event = make_event(
        ROTATION, previous=foreign, key=author.key(1),
        next_commitment=commitment(author.key(2).public_key), cluster=CLUSTER,
    )  # fmt: skip
    spliced = [base64.b64encode(one.pack()).decode() for one in (*author.events, event)]

    assert "out of order" in invalid({**proof, "key_events": spliced})


def lie_of(author: Author, key: str, place: int | None = None) -> Proof:
    """What an owner may sign who keeps no rule: a record under any key, a leaf in any place."""
    record = Record(1, key, bodies.record_of(service(port=7)).body)
    path, value = digest(f"1\0{key}".encode()), digest(record.body)
    levels: Levels = ()
    root = root_of(levels, path, value)
    assert root is not None
    if place is not None:
        beside = digest(b"beside")
        bitmap = (1 << 0 | 1 << place).to_bytes(2, "big")
        levels, root = (bitmap + beside,), digest(b"\1" + bitmap + beside + root)
    head = author.signed((), parents=(), version=1, root=root).head
    heads = Tree().set(author.id, head.hash)
    proof = RecordProof(author.chain, head, record, levels, (), heads.root)
    shape = orjson.loads(orjson.dumps(proof_shape(proof, CLUSTER)))
    assert isinstance(shape, dict)
    return shape


def test_an_owner_that_signs_what_no_node_would_take_proves_nothing() -> None:
    author = Author(1)
    place = digest(b"1\0web/web-7")[0] >> 4

    assert not invalid(lie_of(author, "web/web-7"))
    assert not invalid(lie_of(author, "web/web-7", place))
    assert "broken path" in invalid(lie_of(author, "web/web-7", place + 4))
    assert "own key" in invalid(lie_of(author, "web/web-8"))


def test_bytes_that_could_be_written_shorter_are_refused() -> None:
    author = Author(1)
    proof = proof_of(author)
    event = author.events[0]
    longer = b"\xdc\x00\x02" + codec.pack([event.encoded, event.signature])[1:]

    lie = {**proof, "key_events": [base64.b64encode(longer).decode()]}

    assert "not canonical" in invalid(lie)


def test_the_proof_that_the_page_shows_is_valid() -> None:
    page = (SCRIPT.parent / "API.md").read_text(encoding="utf-8")
    section = page.split("### `GET /v1/proofs/services/{name}/{id}`")[1]
    proof = orjson.loads(section.split("```json")[1].split("```")[0])

    assert verify(proof, NAME)["port"] == 8000


@pytest.mark.parametrize("missing", ["cluster", "owner", "key_events", "head", "record", "root"])
def test_a_proof_that_lacks_something_is_refused(missing: str) -> None:
    proof = proof_of(Author(1))
    del proof[missing]

    assert invalid(proof)
    assert invalid({})


@pytest.mark.parametrize("way", ["stdin", "file", "url"])
def test_on_the_command_line_it_says_valid_or_what_is_wrong(tmp_path: Path, way: str) -> None:
    author = Author(1)
    proof = proof_of(author)
    good = run(proof, tmp_path / "good.json", way, NAME, "--owner", id_text(author.id))
    bad = run({**proof, "root": "00" * 32}, tmp_path / "bad.json", way, NAME)

    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "valid")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.strip() == "invalid: the head is not below that root"


def run(proof: Proof, path: Path, way: str, *words: str) -> subprocess.CompletedProcess[str]:
    path.write_bytes(orjson.dumps(proof))
    source = {"stdin": [], "file": [str(path)], "url": [path.as_uri()]}[way]
    command = [sys.executable, str(SCRIPT), words[0], *source, *words[1:]]
    told = path.read_text() if way == "stdin" else ""
    return subprocess.run(
        command, capture_output=True, text=True, input=told, timeout=60, check=False
    )


@pytest.mark.trio
async def test_what_nodes_answer_is_valid_also_from_a_node_that_only_heard_of_it() -> None:
    async with open_pair() as (alice, bob):
        for port in (1, 7, 9):
            await alice.expect(201, "POST", "/v1/services", web(port=port, tags=["v2"]))
        await until(lambda: len(list(bob.context.peer.registry.instances("web"))) == 3)

        for node in (alice, bob):
            proof = await node.expect(200, "GET", "/v1/proofs/services/web/web-7")
            root = (await node.expect(200, "GET", "/v1/root"))["root"]
            found = verify(proof, NAME, owner=alice.id, root=str(root), instance="web/web-7")
            assert (found["port"], found["tags"]) == (7, ["v2"])


@pytest.mark.trio
async def test_asking_for_a_proof_fails_as_asking_for_an_instance_does() -> None:
    async with open_pair() as (alice, bob):
        for node in (alice, bob):
            await node.expect(201, "POST", "/v1/services", web())
        registry = alice.context.peer.registry
        await until(lambda: len(list(registry.instances("web"))) == 2)
        path = "/v1/proofs/services/web/web-8000"

        await alice.refused(404, "not_found", "GET", "/v1/proofs/services/web/web-1")
        error = await alice.refused(409, "conflict", "GET", path)
        assert bob.id in str(error["message"])
        await alice.refused(400, "invalid_field", "GET", f"{path}?owner=nobody")
        proof = await alice.expect(200, "GET", f"{path}?owner={bob.id}")
        assert not invalid(proof, owner=bob.id)
        own = await alice.expect(200, "GET", f"{path}?owner=self")
        assert not invalid(own, owner=alice.id)

        registry.reap(bob.context.me)
        error = await alice.refused(404, "not_found", "GET", f"{path}?owner={bob.id}")
        assert "only its head is kept" in str(error["message"])
