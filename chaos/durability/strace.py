r"""Reading what strace wrote: each system call with all its bytes, in the order of their ends.

Why strace, and not a library loaded before libc: it sees every call whoever makes it (SQLite,
Python, the loader), it stops the thread at each, and so its order is one that really was. A line
is printed before its thread runs on; so what a thread did after a call of its own, or of another
thread that it waited for, stands below that call. That is all that the judgement of
acknowledgements rests on. It is fast enough: only calls that matter are stopped.

    412   pwrite64(7, "\x01\x02"..., 4096, 0) = 4096
    413   fsync(8 <unfinished ...>
    413   <... fsync resumed>)              = 0

Rules this module keeps:

1. A call stands where it ended. `began` is where it began: before that nothing of it can be seen.
2. What cannot be read is an error, never left out: a call that is missing would be a wrong verdict.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

STRING_MAX = 16 * 1024 * 1024
"""Bytes of one argument that are written down; a longer one is an error, see `TraceError`."""

CALLS = (
    "openat", "open", "creat", "close", "dup", "dup2", "dup3", "fcntl",
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range",
    "fsync", "fdatasync", "sync_file_range", "sync", "syncfs", "msync", "mmap",
    "truncate", "ftruncate", "fallocate",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir",
    "sendto", "sendmsg", "sendmmsg",
)  # fmt: skip

Value: TypeAlias = "bytes | str | list[bytes]"
"""A string as it was, a number or a name as text; of an array or a structure the strings in it."""


class TraceError(Exception):
    """The trace cannot be read, or says less than is needed: no verdict can be drawn from it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that has ended."""

    name: str
    arguments: tuple[Value, ...]
    result: int
    """Negative for an error."""
    began: int
    """The place of its first line; calls that ended before are above."""
    ended: int

    def text(self, place: int) -> str:
        """An argument that is a number or a name. Raises TraceError."""
        value = self.arguments[place]
        if not isinstance(value, str):
            raise TraceError(f"{self.name}: argument {place} is {value!r}")
        return value

    def number(self, place: int) -> int:
        """An argument that is a number. Raises TraceError."""
        try:
            return int(self.text(place), 0)
        except ValueError as error:
            raise TraceError(f"{self.name}: {error}") from None

    def data(self, place: int) -> bytes:
        """The bytes of an argument, those of an array one after the other. Raises TraceError."""
        value = self.arguments[place]
        if isinstance(value, str):
            raise TraceError(f"{self.name}: argument {place} is {value}")
        return value if isinstance(value, bytes) else b"".join(value)


def command(output: str) -> list[str]:
    """The words before a program that is to be recorded; it keeps the process id that it is given.

    The recorder runs beside it and ends a little later: see `ended`.
    """
    traced = f"trace={','.join(CALLS)}"
    # Signals are not of interest; with the filter in the kernel only these calls are slowed down.
    return [
        "strace", "-D", "-f", "--seccomp-bpf", "-q", "-xx", "-s", str(STRING_MAX),
        "-e", traced, "-e", "signal=none", "-o", output,
    ]  # fmt: skip


def ended(last: str) -> bool:
    """Whether the last line of a trace is that of the end of a process."""
    return "+++ exited with" in last or "+++ killed by" in last


def read(lines: Iterable[str]) -> Iterator[Call]:
    """The calls in the order in which they ended; those that never did are left out.

    Raises:
        TraceError: a line is of no known form.
    """
    pending: dict[str, tuple[str, int]] = {}
    for place, line in enumerate(lines):
        thread, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if rest.startswith(("+++", "---")) or not rest:
            continue
        if rest.endswith("<unfinished ...>"):
            pending[thread] = rest.removesuffix("<unfinished ...>"), place
            continue
        began = place
        if rest.startswith("<..."):
            if thread not in pending:
                raise TraceError(f"line {place + 1}: ends a call that did not begin")
            head, began = pending.pop(thread)
            rest = head + rest.partition(" resumed>")[2]
        call = _call(rest, began, place)
        if call is not None:
            yield call


def _call(text: str, began: int, place: int) -> Call | None:
    name, opened, rest = text.partition("(")
    inside, closed, result = rest.rpartition(") ")
    if not opened or not closed:
        raise TraceError(f"line {place + 1}: {text[:80]}")
    number = result.strip().removeprefix("= ").split(" ", 1)[0]
    if number == "?":
        return None  # the process ended in it
    return Call(name, tuple(_arguments(inside.rstrip(), place)), int(number, 0), began, place)


def _arguments(text: str, place: int) -> Iterator[Value]:
    at = 0
    while at < len(text):
        if text[at] == '"':
            value, at = _string(text, at, place)
            yield value
        elif text[at] in "[{":
            strings, at = _nested(text, at, place)
            yield strings
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            yield text[at:end].strip()
            at = end
        at += len(text[at:]) - len(text[at:].lstrip(", ")) if at < len(text) else 0


def _string(text: str, at: int, place: int) -> tuple[bytes, int]:
    end = text.index('"', at + 1)
    if text.startswith("...", end + 1):
        raise TraceError(f"line {place + 1}: more than {STRING_MAX:,} bytes in one string")
    return bytes.fromhex(text[at + 1 : end].replace("\\x", "")), end + 1


def _nested(text: str, at: int, place: int) -> tuple[list[bytes], int]:
    depth, found = 0, list[bytes]()
    while True:
        character = text[at]
        if character == '"':
            value, at = _string(text, at, place)
            found.append(value)
            continue
        depth += (character in "[{") - (character in "]}")
        at += 1
        if depth == 0:
            return found, at
