"""The command line's own words: the parser, and the options that every verb shares.

Global options may stand before or after the verb. They have no defaults here, so that a value
given before the verb survives the second parse; `settings_of` fills in environment and defaults.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from node.durations import DurationError, parse_s

from .errors import UsageError

API_DEFAULT = "http://127.0.0.1:8400"
TIMEOUT_DEFAULT_S = 10.0
TIMEOUT_MAX_S = 3600.0
TOKEN_BYTES_MAX = 4096
GLOBAL_NAMES = {
    "api": "--api",
    "token_file": "--token-file",
    "json": "--json",
    "timeout": "--timeout",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One verb: its arguments, what it does, and the examples that end its help."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Takes the parsed arguments, returns the exit code; raises CommandError."""
    examples: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options with environment and defaults applied."""

    api: str
    token: str | None
    json: bool
    timeout_s: float


class KithParser(argparse.ArgumentParser):
    """argparse, except that a wrong command line is an error value and not an exit."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line.

        Raises:
            UsageError: always.
        """
        raise UsageError(message, hint=f"see: {self.prog} --help")


def global_options() -> argparse.ArgumentParser:
    """A parent parser with the options that every verb which asks a node understands."""
    parent = KithParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    group = parent.add_argument_group("global options")
    group.add_argument("--api", metavar="URL", help=f"node to ask (KITH_API, {API_DEFAULT})")
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="file that holds the cluster's secret (KITH_TOKEN_FILE; or KITH_TOKEN, the secret)",
    )
    group.add_argument("--json", action="store_true", help="print one JSON document")
    group.add_argument(
        "--timeout",
        metavar="TIME",
        type=duration_s,
        help=f"longest wait for an answer, such as 5s or 500ms ({TIMEOUT_DEFAULT_S:g}s)",
    )
    return parent


def whole(low: int, high: int) -> Callable[[str], int]:
    """What reads a number within these bounds, and raises ArgumentTypeError for another."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return int(text)

    return read


def duration_s(text: str) -> float:
    """Read `500ms`, `5s`, `1m` as seconds.

    Raises:
        argparse.ArgumentTypeError: not a duration, zero, or over an hour.
    """
    try:
        seconds = parse_s(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not 0 < seconds <= TIMEOUT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1ms and 1h")
    return seconds


def settings_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Combine flags, environment and defaults; flags win.

    Raises:
        UsageError: no usable URL or token; the message names where it came from.
    """
    given: str | None = getattr(arguments, "api", None)
    origin = "--api" if given is not None else "KITH_API"
    api = given if given is not None else environ.get("KITH_API") or API_DEFAULT
    return Settings(
        api=_url(api, origin),
        token=_token(getattr(arguments, "token_file", None), environ),
        json=bool(getattr(arguments, "json", False)),
        timeout_s=float(getattr(arguments, "timeout", TIMEOUT_DEFAULT_S)),
    )


def current_settings(arguments: argparse.Namespace) -> Settings:
    """`settings_of` with this process's environment."""
    return settings_of(arguments, os.environ)


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def _url(text: str, origin: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        hint = f"give the address of a node's HTTP API, such as {API_DEFAULT}"
        raise UsageError(f"{origin} is {text!r}, which is not an http URL", hint=hint)
    return url


def _token(flag: str | None, environ: Mapping[str, str]) -> str | None:
    token, origin = environ.get("KITH_TOKEN", "").strip(), "KITH_TOKEN"
    path = flag or (None if token else environ.get("KITH_TOKEN_FILE"))
    if path is None and not token:
        return None
    if path is not None:
        origin = f"{'--token-file' if flag else 'KITH_TOKEN_FILE'} {path}"
        try:
            with Path(path).open("rb") as file:
                raw = file.read(TOKEN_BYTES_MAX + 1)
        except OSError as error:
            raise UsageError(f"{origin} cannot be read: {error.strerror}") from None
        token = raw.decode("utf-8", "replace").strip()
        if not token:
            raise UsageError(f"{origin} is empty", hint="put the cluster's secret into it")
    if len(token) > TOKEN_BYTES_MAX or not all("!" <= char <= "~" for char in token):
        hint = f"a token is up to {TOKEN_BYTES_MAX} visible ASCII characters without spaces"
        raise UsageError(f"{origin} holds no usable token", hint=hint)
    return token
