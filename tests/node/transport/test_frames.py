"""Frames at their limits, cut short, and in pieces."""

import pytest
import trio
import trio.testing

from node.transport.errors import FrameError
from node.transport.frames import FrameStream
from protocol.limits import FRAME_MAX


def two_ends() -> tuple[FrameStream, trio.StapledStream]:  # type: ignore[type-arg]  # untyped ends
    ours, theirs = trio.testing.memory_stream_pair()
    return FrameStream(ours), theirs


@pytest.mark.trio
@pytest.mark.parametrize("length", [0, 1, 65_536, FRAME_MAX])
async def test_a_frame_up_to_the_limit_arrives_whole(length: int) -> None:
    ours, theirs = two_ends()
    payload = bytes(range(256)) * (length // 256) + bytes(length % 256)

    await FrameStream(theirs).send(payload)

    assert await ours.receive() == payload
    assert ours.clean


@pytest.mark.trio
async def test_a_frame_beyond_the_limit_is_refused_when_it_is_announced() -> None:
    ours, theirs = two_ends()

    await theirs.send_all((FRAME_MAX + 1).to_bytes(4, "big"))

    with pytest.raises(FrameError) as refused:
        await ours.receive()
    assert refused.value.code == "oversized"


@pytest.mark.trio
async def test_a_frame_beyond_the_limit_is_not_sent() -> None:
    ours, _ = two_ends()

    with pytest.raises(ValueError, match="longer than"):
        await ours.send(bytes(FRAME_MAX + 1))


@pytest.mark.trio
@pytest.mark.parametrize("cut", [b"\0", b"\0\0\0", b"\0\0\0\5", b"\0\0\0\5abcd"])
async def test_a_truncated_frame_is_refused(cut: bytes) -> None:
    ours, theirs = two_ends()
    await theirs.send_all(cut)
    await theirs.aclose()

    with pytest.raises(FrameError) as refused:
        await ours.receive()
    assert refused.value.code == "malformed"


@pytest.mark.trio
async def test_an_end_between_frames_is_a_proper_end() -> None:
    ours, theirs = two_ends()
    await FrameStream(theirs).send(b"last")
    await theirs.aclose()

    assert await ours.receive() == b"last"
    assert await ours.receive() is None


@pytest.mark.trio
async def test_frames_may_come_byte_by_byte_or_many_at_once() -> None:
    ours, theirs = two_ends()

    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            for byte in b"\0\0\0\2hi\0\0\0\0":
                await theirs.send_all(bytes([byte]))
            await theirs.send_all(b"\0\0\0\1a\0\0\0\1b")

        nursery.start_soon(drip)
        assert [await ours.receive() for _ in range(4)] == [b"hi", b"", b"a", b"b"]


@pytest.mark.trio
async def test_nothing_is_set_aside_for_a_frame_before_it_arrives() -> None:
    ours, theirs = two_ends()
    await theirs.send_all(FRAME_MAX.to_bytes(4, "big") + b"x")

    with trio.move_on_after(0):
        await ours.receive()

    assert len(ours._buffer) <= 5
