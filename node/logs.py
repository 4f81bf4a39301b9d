"""What the node says about itself: structured records on standard error.

A record is one line: JSON for programs, or text for people. Each has the wall clock (RFC 3339,
milliseconds, UTC) and in JSON `mono_ns`, the machine's monotonic clock, by which benchmarks compare
nodes of one machine. `bind_node` and `request` add who speaks and for which request, by context
variables, which trio hands to child tasks and worker threads.

Rules this module keeps:

1. A record below the level costs one call of an empty function.
2. Values under a secret's name are written as `***`, at any depth.
3. An exception is one field in one line: type, message and where; whole only at level `debug`.
4. Logging never raises, whatever is logged and whatever became of the stream. One writer at a
   time; a full pipe blocks it, so give the node a collector that reads.
5. Text of others cannot forge a record: what cannot be printed is escaped.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TextIO, TypeAlias, cast

import orjson

from protocol.identity import NodeId, short_id

from .imports import without
from .settings import LogFormat, LogLevel

# structlog takes rich, if there is one, to draw the tracebacks that we never print, and rich brings
# pygments: 4 MB of every node's memory. The command needs them for tables, in another process.
with without("rich"):
    import structlog
    from structlog.typing import FilteringBoundLogger

Record: TypeAlias = MutableMapping[str, object]
Step: TypeAlias = Callable[[object, str, Record], Record]

HIDDEN = "***"
SECRET_WORDS = frozenset({"authorization", "passphrase", "password", "secret", "token"})
DEPTH_MAX = 6
"""Nesting that is searched for secrets; what lies deeper is not written."""
FRAMES_MAX = 6
"""Innermost frames that an exception shows below level `debug`."""
CAUSES_MAX = 4
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "31"}


def setup(
    *,
    level: LogLevel = "info",
    form: LogFormat = "auto",
    stream: TextIO | None = None,
    keep_loggers: bool = True,
) -> None:
    """Configure logging for this process; loggers taken earlier but not yet used follow it.

    `keep_loggers` makes a logger fast after its first use and deaf to a later `setup`; tests that
    set up again turn it off.
    """
    out = stream if stream is not None else sys.stderr
    terminal = out.isatty()
    for_people = form == "console" or (form == "auto" and terminal)
    render = _text_renderer(colour=terminal) if for_people else _json
    steps: list[Step] = [
        _with_context,
        _with_exception(whole=level == "debug"),
        hide_secrets,
        cast(Step, render),
    ]
    lines = LineLogger(out)
    structlog.configure(
        processors=cast(list[structlog.typing.Processor], steps),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=keep_loggers,
    )
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if not isinstance(h, _Forward)] + [_Forward()]
    # Libraries below us say at `info` what we say ourselves, such as each HTTP request made.
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def get(part: str = "") -> FilteringBoundLogger:
    """A logger, perhaps of one part of the node, such as `"driver"`, which its records name."""
    bound = {"part": part} if part else {}
    return cast(FilteringBoundLogger, structlog.get_logger(**bound))


def bind_node(name: str, node: NodeId | None = None) -> None:
    """Say in all further records of this task and its children which node speaks."""
    structlog.contextvars.bind_contextvars(node=name)
    if node is not None:
        structlog.contextvars.bind_contextvars(node_id=short_id(node))


def request(request_id: str) -> AbstractContextManager[object]:
    """Say in the records of this block which request they belong to."""
    return structlog.contextvars.bound_contextvars(request_id=request_id)


def describe(error: BaseException, *, frames_max: int = FRAMES_MAX) -> str:
    """An exception in one line: type, message, where; causes and the members of a group."""
    parts = [_described(error, frames_max)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(parts) <= CAUSES_MAX:
        parts.append(_described(cause, frames_max))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " <- ".join(parts)


def hide_secrets(_logger: object, _method: str, record: Record) -> Record:
    """Replace what stands under a secret's name."""
    for key, value in record.items():
        if is_secret(key):
            record[key] = HIDDEN
        elif isinstance(value, dict | list | tuple):
            record[key] = _hidden(value, DEPTH_MAX)
    return record


def is_secret(key: str) -> bool:
    """Whether a value of that name is not to be written; `token_file` is only a path."""
    words = key.lower().replace("-", "_").split("_")
    return words[-1] != "file" and any(word in SECRET_WORDS for word in words)


class LineLogger:
    """Writes whole lines to a stream, one writer at a time, and survives the stream's end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write one line; lost if nobody can take it."""
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # A closed or broken stream: there is nowhere left to say so.
                return

    debug = info = warning = error = critical = exception = msg = log = write


class _Forward(logging.Handler):
    """Takes the records of libraries that use the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        told = get(record.name)
        exc_info = record.exc_info if record.exc_info and record.exc_info[1] else None
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        told.log(level, message, exc_info=exc_info[1] if exc_info else None)


def _with_context(_logger: object, method: str, record: Record) -> Record:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    head: Record = {
        "time": now.removesuffix("+00:00") + "Z",
        "mono_ns": time.monotonic_ns(),
        "level": "error" if method == "exception" else method,
        "event": record.get("event", ""),
    }
    # Head first for the reader of raw lines, and last so that no field can pose as it.
    return {**head, **structlog.contextvars.get_contextvars(), **record, **head}


def _with_exception(*, whole: bool) -> Step:
    def step(_logger: object, _method: str, record: Record) -> Record:
        given = record.pop("exc_info", None)
        if isinstance(given, tuple) and len(given) == 3:
            given = given[1]
        error = sys.exc_info()[1] if given is True else given
        if isinstance(error, BaseException):
            shown = "".join(traceback.format_exception(error)) if whole else describe(error)
            record["exception"] = shown
        return record

    return step


def _described(error: BaseException, frames_max: int) -> str:
    said = f"{type(error).__name__}: {_message(error)}"
    if isinstance(error, BaseExceptionGroup):
        inside = "; ".join(_described(each, frames_max) for each in error.exceptions[:CAUSES_MAX])
        return f"{said} [{inside}]"
    frames = traceback.extract_tb(error.__traceback__)[-frames_max:]
    if not frames:
        return said
    where = " > ".join(f"{_short(frame.filename)}:{frame.lineno}" for frame in frames)
    return f"{said} (at {where})"


def _message(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:
        return "(no message)"


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _hidden(value: object, depth: int) -> object:
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        return {
            key: HIDDEN if is_secret(_key(key)) else _hidden(inside, depth - 1)
            for key, inside in value.items()
        }
    if len(value) == 2 and isinstance(value[0], str | bytes) and is_secret(_key(value[0])):
        # A header as a pair.
        return [value[0], HIDDEN]
    return [_hidden(inside, depth - 1) for inside in value]


def _key(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _plain(value: object) -> object:
    """What JSON has no form for: bytes as hex, everything else by its own text."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, BaseException):
        return describe(value)
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__})"


def _json(_logger: object, _method: str, record: Record) -> str:
    try:
        line = _encoded(record)
    except (TypeError, ValueError, RecursionError):
        # Integers beyond 64 bits, lone surrogates, cycles: those values by their own text.
        line = _encoded({ascii(key)[1:-1]: _writable(value) for key, value in record.items()})
    # JSON lets U+0085 and U+2028 stand as they are, which some readers take for line ends.
    return line if line.isprintable() else "".join(map(_escaped, line))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    halves = character.encode("utf-16-be")
    return "".join(f"\\u{halves[at : at + 2].hex()}" for at in range(0, len(halves), 2))


def _encoded(value: object) -> str:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _writable(value: object) -> object:
    try:
        _encoded(value)
    except (TypeError, ValueError, RecursionError):
        return ascii(_plain(value))
    return value


def _text_renderer(*, colour: bool) -> Callable[[object, str, Record], str]:
    def render(_logger: object, _method: str, record: Record) -> str:
        level = str(record.pop("level", "info"))
        clock = str(record.pop("time", ""))[11:-1]
        record.pop("mono_ns", None)
        event = _printable(record.pop("event", ""))
        error = str(_plain(record.pop("exception", ""))).splitlines()
        if len(error) == 1:
            record["exception"] = error.pop()
        fields = " ".join(f"{key}={_printable(value)}" for key, value in record.items())
        shade = _COLOURS.get(level)
        shown = f"{level:<7}"
        if colour and shade:
            shown = f"\033[{shade}m{shown}\033[0m"
        whole = "".join(f"\n    {_printable(line)}" for line in error)
        return f"{clock} {shown} {event}{'  ' if fields else ''}{fields}{whole}"

    return render


def _printable(value: object) -> str:
    plain = _plain(value)
    text = plain if isinstance(plain, str) else str(plain)
    return text if text.isprintable() else ascii(text)[1:-1]
