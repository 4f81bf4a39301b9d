"""What a guest that lies meets at `POST /registration` of a real node."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import rfc8785

from protocol.signing import KeyPair
from protocol.wire.guest_words import PREFIX

from .situations import Answer, Caller, Shape, Town, say
from .test_hostile_peers import beliefs

GUEST, OTHER = KeyPair(b"\1" * 32), KeyPair(b"\2" * 32)
HTTP_BODY_MAX = 64 * 1024

pytestmark = pytest.mark.slow


def word(after_s: float, **changed: object) -> dict[str, object]:
    """What an honest guest says `after_s` seconds from now."""
    said = datetime.now(UTC) + timedelta(seconds=after_s)
    return {
        "action": "register",
        "id": "honest",
        "address": "192.0.2.7:9000",
        "metrics_port": 9100,
        "node_type": "backend",
        "is_load_balancer": False,
        "capabilities": ["http"],
        "last_updated": said.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ttl": "10m",
        **changed,
    }


def signed(body: dict[str, object], keys: KeyPair = GUEST, cluster: str = "kith") -> bytes:
    """The body with that key's signature."""
    public_key = base64.b64encode(keys.public_key).decode()
    document = {**body, "cluster": cluster, "public_key": public_key}
    canonical = rfc8785.dumps(orjson.loads(orjson.dumps(document)))
    signature = base64.b64encode(keys.sign(PREFIX + canonical)).decode()
    return orjson.dumps({**document, "signature": signature})


def altered(raw: bytes, **changed: object) -> bytes:
    """A signed body with something exchanged after it was signed."""
    return orjson.dumps({**orjson.loads(raw), **changed})


@dataclass(frozen=True, slots=True)
class Case:
    """One word, and how it is to be refused."""

    what: str
    body: bytes
    status: int
    code: str
    field: str = ""


def cases_of(old: bytes, said_at: object) -> tuple[Case, ...]:
    """Every false word; `old` is one that was replaced by another, said at `said_at`."""
    return (
        Case("an altered address", altered(signed(word(9)), address="192.0.2.66:1"), 400,
             "invalid_field", "signature"),
        Case("signed with another key than shown", altered(signed(word(9), OTHER), public_key=(
            base64.b64encode(GUEST.public_key).decode())), 400, "invalid_field", "signature"),
        Case("signed for another cluster", signed(word(9), cluster="other"), 400, "invalid_field",
             "cluster"),
        Case("signed for another cluster, relabelled",
             altered(signed(word(9), cluster="other"), cluster="kith"), 400, "invalid_field",
             "signature"),
        Case("another key for the same id", signed(word(9), OTHER), 403, "not_owner"),
        Case("no key for the same id", orjson.dumps(word(9)), 403, "not_owner"),
        Case("an older word, replayed", old, 409, "stale_version", "last_updated"),
        Case("the same time, other words",
             signed({**word(9), "address": "192.0.2.8:1", "last_updated": said_at}), 409,
             "stale_version", "last_updated"),
        Case("of six minutes ago", signed(word(-360)), 400, "invalid_field", "last_updated"),
        Case("of six minutes ahead", signed(word(360)), 400, "invalid_field", "last_updated"),
        Case("a signature without its key", altered(signed(word(9)), public_key=None), 400,
             "invalid_field", "public_key"),
        Case("a key of 31 bytes", altered(signed(word(9)), public_key=base64.b64encode(
            GUEST.public_key[1:]).decode()), 400, "invalid_field", "public_key"),
        Case("no base64", altered(signed(word(9)), signature="%%%"), 400, "invalid_field",
             "signature"),
        Case("not JSON", b'{"action": "register", ', 400, "malformed_body"),
        Case("too many capabilities", signed(word(9, capabilities=[f"c{n}" for n in range(65)])),
             400, "invalid_field", "capabilities"),
        Case("a body of more than 64 KiB", signed(word(9, capabilities=["x" * HTTP_BODY_MAX])), 413,
             "too_large", "body"),
        Case("under a node's id", signed(word(9, id="a" * 52)), 400, "invalid_field", "id"),
    )  # fmt: skip


def test_every_false_word_of_a_guest_is_refused_and_changes_nothing(town: Town) -> None:
    a = town.nodes[0]

    def give(body: bytes) -> Answer:
        with Caller(a.port) as caller:
            status, raw = caller.send("POST", "/registration", body)
        value: Shape = orjson.loads(raw)
        return Answer(status, value)

    last = word(2)
    old, newest = signed(word(1)), signed(last)
    assert [give(body).status for body in (old, newest)] == [200, 200]
    assert give(newest).value["status"] == "unchanged"
    cases = cases_of(old, last["last_updated"])
    town.settle()
    before, guest = beliefs(a), a.get("/v1/peers/honest")

    say(f"{'what a guest sent':42} {'refused with'}")
    for case in cases:
        counted = requests(a.metrics(), case.status)
        answer = give(case.body)
        said = (answer.status, answer.code, answer.field)
        say(f"{case.what:42} {' '.join(map(str, said))}")
        assert said == (case.status, case.code, case.field), (case.what, answer)
        assert requests(a.metrics(), case.status) == counted + 1, case.what
        assert (beliefs(a), a.get("/v1/peers/honest")) == (before, guest), case.what

    assert a.call("DELETE", "/v1/peers/honest").status == 200
    say(f"{len(cases)} kinds of false words; the guest, the root and all else unchanged")


def requests(metrics: dict[str, float], status: int) -> float:
    """How many requests were answered with that status."""
    return sum(
        count
        for name, count in metrics.items()
        if name.startswith("kith_http_requests_total") and f'status="{status}"' in name
    )
