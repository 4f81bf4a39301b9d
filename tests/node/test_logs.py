"""Logs: one line a record, with clocks, without secrets, whatever is logged."""

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

from node import logs
from node.config import Secret
from node.settings import LogFormat, LogLevel
from protocol.identity import NodeId, short_id

NODE = NodeId(bytes(range(32)))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with structlog.contextvars.bound_contextvars():
        yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def listening(
    level: LogLevel = "info", form: LogFormat = "json", stream: io.StringIO | None = None
) -> io.StringIO:
    out = stream or io.StringIO()
    logs.setup(level=level, form=form, stream=out, keep_loggers=False)
    return out


def records(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def failure() -> Exception:
    def fail() -> None:
        raise ValueError("two\nlines") from KeyError("inner")

    with pytest.raises(ValueError, match="two") as caught:
        fail()
    return caught.value


def test_a_record_has_clocks_level_part_node_and_request() -> None:
    out = listening()
    before = time.monotonic_ns()

    logs.bind_node("a", NODE)
    with logs.request("r-1"):
        logs.get("driver").info("applied", owner=b"\x01\xff", count=3)

    (record,) = records(out)
    assert before <= int(str(record.pop("mono_ns"))) <= time.monotonic_ns()
    stamp = str(record.pop("time"))
    assert len(stamp) == len("2026-01-01T00:00:00.000Z")
    assert stamp[10] + stamp[19] + stamp[-1] == "T.Z"
    assert record == {
        "level": "info",
        "event": "applied",
        "part": "driver",
        "node": "a",
        "node_id": short_id(NODE),
        "request_id": "r-1",
        "owner": "01ff",
        "count": 3,
    }


def test_a_request_ends_with_its_block() -> None:
    out = listening()
    with logs.request("r-1"):
        pass
    logs.get("http").info("later")
    assert "request_id" not in records(out)[0]


@pytest.mark.trio
async def test_child_tasks_and_threads_say_whose_they_are() -> None:
    out = listening()
    logs.bind_node("a")
    with logs.request("r-1"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, lambda: logs.get("disk").info("saved"))
    assert (records(out)[0]["node"], records(out)[0]["request_id"]) == ("a", "r-1")


def test_what_is_below_the_level_is_neither_written_nor_prepared() -> None:
    out = listening("warning")

    class Costly:
        def __str__(self) -> str:
            raise AssertionError("was prepared")

    log = logs.get("driver")
    log.debug("no", value=Costly())
    log.info("no", value=Costly())
    log.warning("yes")

    assert [record["event"] for record in records(out)] == ["yes"]


@pytest.mark.parametrize(
    "key",
    ["token", "Authorization", "passphrase", "secret", "password", "api_token", "X-Kith-Token"],
)
def test_what_stands_under_a_secret_name_is_hidden_at_any_depth(key: str) -> None:
    out = listening()

    logs.get("http").info(
        "seen",
        **{key: "hunter2"},
        headers=[(key, "hunter2"), (key.encode(), b"hunter2")],
        nested={"deep": [{key: "hunter2"}]},
        setting=Secret("hunter2"),
    )

    assert "hunter2" not in out.getvalue()
    assert b"hunter2".hex() not in out.getvalue()
    assert records(out)[0]["setting"] == "***"


def test_names_that_only_sound_secret_are_shown() -> None:
    assert not any(map(logs.is_secret, ("token_file", "tokens", "key", "secretary")))


def test_nesting_beyond_the_limit_is_not_written() -> None:
    value: object = {"token": "hunter2"}
    for _ in range(logs.DEPTH_MAX):
        value = [value]
    out = listening()
    logs.get("x").info("deep", value=value)
    assert "hunter2" not in out.getvalue()
    assert "..." in out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_one_field_in_one_line(form: LogFormat) -> None:
    out = listening(form=form)
    try:
        raise failure()
    except ValueError:
        logs.get("driver").exception("failed")

    (line,) = out.getvalue().splitlines()
    assert "ValueError: two lines (at node/test_logs.py:" in line
    assert " <- KeyError: 'inner'" in line
    assert "Traceback" not in line


def test_an_exception_is_whole_at_level_debug() -> None:
    out = listening("debug")
    logs.get("driver").error("failed", exc_info=failure())
    (record,) = records(out)
    assert "Traceback (most recent call last):\n" in str(record["exception"])

    shown = listening("debug", "console")
    logs.get("driver").error("failed", exc_info=failure())
    first, *others = shown.getvalue().splitlines()
    assert first.endswith("failed  part=driver")
    assert others[-2:] == ["    ValueError: two", "    lines"]


def test_the_members_of_an_exception_group_are_named() -> None:
    group = ExceptionGroup("many", [ValueError("a"), OSError("b")])
    assert (
        logs.describe(group)
        == "ExceptionGroup: many (2 sub-exceptions) [ValueError: a; OSError: b]"
    )


def test_a_long_chain_of_causes_is_cut() -> None:
    error = ValueError("0")
    for n in range(20):
        following = ValueError(str(n + 1))
        following.__cause__ = error
        error = following
    assert logs.describe(error).count(" <- ") == logs.CAUSES_MAX


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def cyclic() -> object:
    ring: list[object] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value",
    [Hostile(), cyclic(), 2**80, float("nan"), "\ud800", {1: {2}}, b"\xff", NODE, OSError("x")],
    ids=lambda value: type(value).__name__,
)
def test_nothing_that_is_logged_makes_logging_raise(form: LogFormat, value: object) -> None:
    out = listening(form=form)
    logs.get("x").info("odd", value=value)
    assert len(out.getvalue().splitlines()) == 1
    if form == "json":
        assert records(out)[0]["mono_ns"] != ""


@given(st.text(), st.text(), st.sampled_from(["json", "console"]))
def test_the_text_of_others_cannot_forge_a_record(event: str, value: str, form: LogFormat) -> None:
    out = listening(form=form)
    logs.get("x").info(event, value=value)
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()
    if form == "json":
        assert (records(out)[0]["event"], records(out)[0]["value"]) == (event, value)


def test_a_field_cannot_pose_as_clock_or_level() -> None:
    out = listening()
    logs.get("x").info("seen", level="error", mono_ns=1, time="never")
    (record,) = records(out)
    assert record["level"] == "info"
    assert record["mono_ns"] != 1


def test_a_broken_stream_is_survived() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    listening(stream=Broken())
    logs.get("x").info("lost")

    closed = listening()
    closed.close()
    logs.get("x").info("lost")


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere() -> None:
    terminal = listening(form="auto", stream=Terminal())
    logs.get("x").warning("hot", zone="z")
    elsewhere = listening(form="auto")
    logs.get("x").warning("hot", zone="z")

    assert terminal.getvalue()[12:] == " \033[33mwarning\033[0m hot  part=x zone=z\n"
    assert records(elsewhere)[0]["zone"] == "z"


def test_libraries_below_speak_through_the_same_stream() -> None:
    out = listening()
    library = logging.getLogger("some.library")
    library.info("each request")
    library.warning("odd %s", "thing")
    library.log(35, "between")
    # Given to our handler alone: that of pytest raises what it cannot format.
    bad = {"name": "some.library", "levelno": 40, "msg": "bad %d", "args": ("format",)}
    logs._Forward().emit(logging.makeLogRecord(bad))

    assert [(record["event"], record["part"]) for record in records(out)] == [
        ("odd thing", "some.library"),
        ("between", "some.library"),
        ("bad %d", "some.library"),
    ]


def test_setting_up_twice_writes_once() -> None:
    listening()
    out = listening()
    logging.getLogger("some.library").warning("once")
    assert len(records(out)) == 1


def test_a_kept_logger_is_set_up_once() -> None:
    out = io.StringIO()
    logs.setup(level="info", form="json", stream=out)
    log = logs.get("driver")
    log.info("first")
    logs.setup(level="error", form="json", stream=io.StringIO())
    log.info("second")
    assert [record["event"] for record in records(out)] == ["first", "second"]
