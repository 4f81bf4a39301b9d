"""Frames on a stream: read as written, bounded, and nothing else raised."""

import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.agreement.changelog import Became, Difference
from protocol.agreement.docket import Reported
from protocol.agreement.evidence import fork_of, key_fork_of
from protocol.agreement.split import NO_ANSWER, SplitAnswer, SplitRequest
from protocol.commits import Dot, RecordKey
from protocol.detector.detection import Gossip
from protocol.errors import MalformedError
from protocol.identity import ROTATION, make_event
from protocol.wire import codec
from protocol.wire.exchange import (
    Bundle,
    CheckAnswer,
    CheckRequest,
    Content,
    DeliverAnswer,
    DeliverRequest,
    FetchAnswer,
    FetchRequest,
    Held,
    Part,
    Steps,
    StreamAnswer,
    StreamRequest,
    SyncAnswer,
    SyncRequest,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    weight,
)

from .author import Author
from .peer_world import CLUSTER, service

AUTHOR = Author()
COMMITS = tuple(AUTHOR.commit(service(port=port)) for port in range(1, 6))
MANIFEST = AUTHOR.manifest()
HEAD = MANIFEST.head
EVENTS = tuple(AUTHOR.chain.packed())
CONTENTS: list[Content] = [
    Steps(COMMITS), MANIFEST, HEAD, Part(HEAD, 9, 4, MANIFEST.records), None
]  # fmt: skip
BUNDLES = [Bundle(EVENTS, content) for content in CONTENTS]
HELD = Held(AUTHOR.id, HEAD.dot, HEAD.hash)
REQUESTS: list[StreamRequest] = [
    SyncRequest((), None), SyncRequest((HELD,), None),
    *(SyncRequest((HELD, HELD), bundle) for bundle in BUNDLES),
    FetchRequest(AUTHOR.id, Dot(0, 0), b"", b"", 0),
    FetchRequest(AUTHOR.id, HEAD.dot, HEAD.hash, HEAD.hash, 10_000), CheckRequest(),
    SplitRequest(0, 0, ()), SplitRequest(7, 2_500, ((AUTHOR.id, HEAD.dot),)),
    *(DeliverRequest(bundle) for bundle in BUNDLES),
]  # fmt: skip
TWIN = AUTHOR.signed((), parents=COMMITS[-1].head.parents, version=7).head
MERGE = AUTHOR.signed((), parents=(TWIN.hash, HEAD.hash), version=9).head
FORK = fork_of(HEAD, TWIN)
assert FORK is not None
OTHER = Author(2)
ROTATIONS = [
    make_event(
        ROTATION, previous=OTHER.events[0], key=OTHER.key(1), next_commitment=following,
        cluster=CLUSTER,
    )
    for following in (bytes(32), b"x" * 32)
]  # fmt: skip
KEYS = key_fork_of(OTHER.id, *ROTATIONS)
assert KEYS is not None
REPORTS = (Reported(FORK, None), Reported(FORK, MERGE), Reported(KEYS, None))
ANSWERS: list[StreamAnswer] = [
    SyncAnswer((), more=False, gossip=Gossip()),
    SyncAnswer(tuple(BUNDLES), more=True, gossip=Gossip()),
    SyncAnswer((), more=False, gossip=Gossip(), evidence=REPORTS),
    FetchAnswer(None), *(FetchAnswer(bundle) for bundle in BUNDLES), CheckAnswer(),
    DeliverAnswer(Dot(0, 0), bytes(32)), DeliverAnswer(HEAD.dot, HEAD.hash),
    NO_ANSWER,
    SplitAnswer(
        known=True, complete=True, away=((AUTHOR.id, HEAD.dot),), here=((AUTHOR.id, HEAD.dot),),
        changed=(Difference(AUTHOR.id, RecordKey(1, "web/web-1"), Became.REMOVED, 9),), left=3,
    ),
]  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_request_is_read_as_it_was_written(request_: StreamRequest) -> None:
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_is_read_as_it_was_written(answer: StreamAnswer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_raise_anything_else(frame: bytes) -> None:
    for read in (decode_request, decode_answer):
        with contextlib.suppress(MalformedError):
            read(frame)


def test_no_damaged_frame_makes_reading_raise_anything_else() -> None:
    rng = Random(1)
    frames = [*map(encode_request, REQUESTS), *map(encode_answer, ANSWERS)]
    for _ in range(5_000):
        frame = bytearray(rng.choice(frames))
        for _ in range(rng.randrange(1, 4)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        for read in (decode_request, decode_answer):
            with contextlib.suppress(MalformedError):
                read(bytes(frame))


@pytest.mark.parametrize(
    "frame",
    [
        codec.pack([0]),
        codec.pack([4]),
        codec.pack([3, 1]),
        codec.pack([1, [], [], 0]),
        codec.pack([2, AUTHOR.id, 0, 0, b"", b"", limits.RECORDS_PER_OWNER_MAX + 1]),
        codec.pack([2, AUTHOR.id[:31], 0, 0, b"", b"", 0]),
        codec.pack([1, [[AUTHOR.id, 0, 1, b"short"]], []]),
        codec.pack([1, [], [[list(EVENTS), 0, []]]]),  # no steps
        codec.pack([1, [], [[list(EVENTS), 5, []]]]),
    ],
)
def test_a_request_of_another_shape_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_request(frame)


def test_more_steps_than_anybody_keeps_are_refused() -> None:
    many = Bundle(EVENTS, Steps(COMMITS[:1] * (limits.HEADERS_KEPT + 1)))
    with pytest.raises(MalformedError):
        decode_answer(encode_answer(FetchAnswer(many)))


@pytest.mark.parametrize("content", CONTENTS)
def test_the_weight_of_a_content_is_not_below_what_it_takes(content: Content) -> None:
    empty = len(encode_answer(FetchAnswer(Bundle((), None))))

    assert len(encode_answer(FetchAnswer(Bundle((), content)))) - empty <= weight(content)


def test_the_vector_of_ten_thousand_owners_and_our_own_branch_fit_a_frame() -> None:
    held = Held(AUTHOR.id, Dot(1_000, 2**62 - 1), bytes(32))
    request = SyncRequest((held,) * limits.MEMBERS_MAX, None)

    assert len(encode_request(request)) <= limits.FRAME_MAX
