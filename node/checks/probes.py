"""One probe of one instance, over HTTP or TCP: what came of it, in words that people read.

Rules this module keeps:

1. A probe ends within its time-out, whatever the other side does, and never raises: what goes
   wrong, goes wrong for the instance, and its text says how.
2. No redirect is followed and no body is trusted: at most `BODY_READ_MAX` bytes of it are looked
   at, and every control, format or surrogate character becomes a space before it is shown.
3. The text of a passing probe does not repeat the body, which would often differ each time.
"""

from dataclasses import dataclass
from typing import assert_never

import trio

from protocol import limits
from protocol.records import CheckRecord, CheckType, Health

from .asking import HttpProber, ProbeFailed
from .thresholds import judge_http

BODY_READ_MAX = 1_024
"""Bytes of a body that are looked at for the text."""
_MILLISECONDS = " ms"
_IN = " in "


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one probe: critical means that it failed."""

    result: Health
    output: str
    took_s: float


async def probe(check: CheckRecord, prober: HttpProber) -> Verdict:
    """Probe what `check` names, within its time-out. A ttl check cannot be probed."""
    timeout_s = check.timeout_ms / 1_000
    if check.type is CheckType.HTTP:
        await prober.ready()
    started = trio.current_time()
    result, output = Health.CRITICAL, f"no answer within {seconds_text(check.timeout_ms)}"
    with trio.move_on_after(timeout_s):
        match check.type:
            case CheckType.HTTP:
                result, output = await _probe_http(check.target, timeout_s, prober)
            case CheckType.TCP:
                result, output = await _probe_tcp(check.target)
            case CheckType.TTL:
                raise ValueError("type: a ttl check waits for heartbeats and is never probed")
            case _:
                assert_never(check.type)
    return Verdict(result, tidy(output), trio.current_time() - started)


async def _probe_http(url: str, timeout_s: float, prober: HttpProber) -> tuple[Health, str]:
    started = trio.current_time()
    try:
        answer = await prober.get(url, timeout_s)
    except ProbeFailed as failure:
        return Health.CRITICAL, failure.reason or "no answer"
    except Exception as error:  # a client's bug or an odd URL must not take the node down
        return Health.CRITICAL, f"not probed: {type(error).__name__}: {error}"
    result = judge_http(answer.status)
    text = f"HTTP {answer.status}{_IN}{(trio.current_time() - started) * 1_000:.0f}{_MILLISECONDS}"
    if 300 <= answer.status <= 399:
        return result, f"{text}: redirects are not followed"
    body = answer.body[:BODY_READ_MAX].decode("utf-8", errors="replace").strip()
    return result, text if result is Health.PASSING or not body else f"{text}: {body}"


async def _probe_tcp(target: str) -> tuple[Health, str]:
    started = trio.current_time()
    host, port = split_target(target)
    try:
        stream = await trio.open_tcp_stream(host, port)
    except (OSError, ValueError, OverflowError) as error:  # ValueError: a name IDNA cannot encode
        return Health.CRITICAL, _why(error, target)
    connected_to_itself = stream.socket.getsockname() == stream.socket.getpeername()
    await trio.aclose_forcefully(stream)
    if connected_to_itself:
        # With nobody listening on a port of the ephemeral range, the kernel may choose that very
        # port as our own end, and TCP's simultaneous open (RFC 9293, section 3.5) succeeds.
        return Health.CRITICAL, f"connection refused by {target}"
    elapsed_ms = (trio.current_time() - started) * 1_000
    return Health.PASSING, f"connected{_IN}{elapsed_ms:.0f}{_MILLISECONDS}"


def split_target(target: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` in two; port 0, which nobody listens on, if there is none."""
    host, _, port = target.rpartition(":")
    if not (port.isascii() and port.isdecimal()):
        return target, 0
    return host.removeprefix("[").removesuffix("]"), int(port)


def _why(error: Exception, target: str) -> str:
    """The reason behind `trio.open_tcp_stream`, which tells of it only as its cause."""
    cause: BaseException = error
    if isinstance(error.__cause__, BaseExceptionGroup):
        cause = error.__cause__.exceptions[0]
    match cause:
        case ConnectionRefusedError():
            return f"connection refused by {target}"
        case OSError(strerror=str(reason)) if reason:
            return f"cannot connect to {target}: {reason}"
        case _:
            return f"cannot connect to {target}: {cause}"


def seconds_text(duration_ms: int) -> str:
    """A duration for people: `2 s`, `1.5 s`, `250 ms`."""
    return f"{duration_ms} ms" if duration_ms < 1_000 else f"{duration_ms / 1_000:g} s"


def tidy(text: str) -> str:
    """One line of printable characters, at most `OUTPUT_MAX`; what was cut ends in `…`."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * limits.OUTPUT_MAX])
    line = " ".join(shown.split())
    return line if len(line) <= limits.OUTPUT_MAX else line[: limits.OUTPUT_MAX - 1] + "…"


def gist(output: str) -> str:
    """The text without its timing, which differs each time and is no news."""
    before, _, rest = output.partition(_IN)
    digits, unit, after = rest.partition(_MILLISECONDS)
    return before + after if unit and digits.isascii() and digits.isdecimal() else output
