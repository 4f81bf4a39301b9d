"""Slow clients and slow handlers, in virtual time over memory streams."""

import pytest
import trio

from node.http import HttpLimits

from .speaking import in_memory, make_server, request

LIMITS = HttpLimits(header_s=10, body_s=7, idle_s=75, write_s=4)


@pytest.mark.trio
async def test_headers_that_drip_are_cut_off_at_one_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in request("GET", "/hello", "X: " + "y" * 100):
                    await client.send(bytes([byte]))
                    await trio.sleep(1)

            nursery.start_soon(drip)
            answer = await client.answer()
            seconds = trio.current_time() - begun
            nursery.cancel_scope.cancel()

    assert (answer.status, answer.error["code"]) == (408, "timeout")
    assert (answer.error["field"], answer.headers["connection"]) == ("headers", "close")
    assert seconds == pytest.approx(10)


@pytest.mark.trio
async def test_a_second_request_has_its_own_time_for_headers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        await client.get("/hello")
        await trio.sleep(60)
        await client.send(b"GET /hello HTTP/1.1\r\n")
        begun = trio.current_time()
        answer = await client.answer()

        assert answer.status == 408
        assert trio.current_time() - begun == pytest.approx(10)


@pytest.mark.trio
async def test_a_body_that_drips_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        await client.send(request("POST", "/show", body=b"abc")[:-1])
        begun = trio.current_time()
        answer = await client.answer()

        assert (answer.status, answer.error["field"]) == (408, "body")
        assert trio.current_time() - begun == pytest.approx(7)


@pytest.mark.trio
async def test_a_chunked_body_that_drips_is_cut_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        begun = trio.current_time()
        await client.send(request("POST", "/show", "Transfer-Encoding: chunked"))
        for _ in range(6):
            await trio.sleep(1)
            await client.send(b"1\r\nx\r\n")
        answer = await client.answer()

        assert answer.status == 408
        assert trio.current_time() - begun == pytest.approx(7)


@pytest.mark.trio
async def test_a_slow_client_within_the_time_is_served(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        await client.get("/hello")
        for _ in range(3):
            raw = request("POST", "/show", body=b"abc")
            await trio.sleep(9)
            await client.send(raw[:9])
            await trio.sleep(9)
            await client.send(raw[9:-1])
            await trio.sleep(6)
            await client.send(raw[-1:])
            assert (await client.answer()).status == 200


@pytest.mark.trio
@pytest.mark.parametrize(("served", "seconds"), [(False, 10), (True, 75)])
async def test_an_idle_connection_is_closed_without_a_word(
    autojump_clock: trio.testing.MockClock, served: bool, seconds: float
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        if served:
            await client.get("/hello")
        begun = trio.current_time()

        assert await client.ended()
        assert trio.current_time() - begun == pytest.approx(seconds)


@pytest.mark.trio
async def test_a_client_that_does_not_read_is_cut_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        begun = trio.current_time()
        nursery.start_soon(make_server(limits=LIMITS).serve_stream, theirs, "memory")
        await ours.send_all(request("GET", "/hello"))
    assert trio.current_time() - begun == pytest.approx(4)


@pytest.mark.trio
async def test_a_handler_with_a_bound_is_cancelled_and_nothing_is_promised(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=LIMITS)) as client:
        begun = trio.current_time()
        answer = await client.get("/hang-bounded")
        seconds = trio.current_time() - begun
        after = await client.get("/hello")

    assert (answer.status, answer.error["code"]) == (408, "timeout")
    assert answer.error["definite"] is False
    assert after.status == 200
    assert seconds == pytest.approx(3)


@pytest.mark.trio
async def test_no_deadline_of_the_connection_cuts_a_handler_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with in_memory(make_server(limits=HttpLimits(idle_s=1, header_s=1, body_s=1))) as client:
        answer = await client.get("/hang-bounded")

    assert answer.error["message"] == "not done within 3 s; look whether it happened, or repeat it"
