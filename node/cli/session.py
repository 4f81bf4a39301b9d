"""One command's conversation with a node: asks, and turns every refusal into a sentence.

What a node answers is checked only as far as it is used: a document of the wrong shape ends the
command with "not a kith node", a missing detail is shown as `-`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import quote

import orjson

from node.client import (
    ApiClient,
    ApiError,
    ApiRefused,
    ApiStrange,
    ApiUnreachable,
    Json,
    Reply,
    ServerEvent,
)

from .errors import DEGRADED, UNKNOWN, CommandError, UsageError
from .options import current_settings

HINTS = {
    "unauthenticated": "give the cluster's secret: --token-file FILE, or KITH_TOKEN",
    "rate_limited": "wait a moment, then repeat",
    "precondition_failed": "read it again: 'kith document get KEY' shows the newest etag",
    "minority": "this node is cut off from most of the cluster; ask one on the other side",
    "shutting_down": "the node is stopping; ask another one with --api URL",
}
DEFINITE_HINT = "it is not certain that nothing was changed: look before you repeat it"
START_HINT = "is a node running there? 'kith dev' starts a cluster; --api URL picks another node"


class Session:
    """Asks one node; every failure is a CommandError."""

    def __init__(self, client: ApiClient, *, json: bool) -> None:
        self._client = client
        self.json = json

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> Reply:
        """Like `ApiClient.call`.

        Raises:
            CommandError: no usable answer; 2 if nobody or nothing is there, else 1.
        """
        try:
            return self._client.call(
                method, path, query=query, body=body, headers=headers, accept=accept
            )
        except ApiError as error:
            raise explained(error) from None

    @property
    def timeout_s(self) -> float:
        """The longest wait for one answer."""
        return self._client.timeout_s

    def ask(self, method: str, path: str, *, query: Sequence[tuple[str, str]] = ()) -> Reply:
        """Like `ApiClient.call`, errors too: for who may try again."""
        return self._client.call(method, path, query=query)

    def follow(
        self, path: str, query: Sequence[tuple[str, str]], last_id: str | None, silence_s: float
    ) -> Iterator[ServerEvent]:
        """Like `ApiClient.follow`, errors too."""
        return self._client.follow(path, query=query, last_id=last_id, silence_s=silence_s)

    def get(
        self, path: str, *, query: Sequence[tuple[str, str]] = (), accept: Sequence[int] = ()
    ) -> dict[str, Json]:
        """The JSON object at `path`.

        Raises:
            CommandError: as `call`, or the answer is no object.
        """
        return self.document(self.call("GET", path, query=query, accept=accept))

    def document(self, reply: Reply) -> dict[str, Json]:
        """The object that a reply holds.

        Raises:
            CommandError: it holds something else.
        """
        if not isinstance(reply.value, dict):
            raise self.strange("not a JSON object")
        return reply.value

    def rows(self, document: dict[str, Json], key: str) -> list[dict[str, Json]]:
        """The objects listed under `key`.

        Raises:
            CommandError: there is no such list.
        """
        value = document.get(key)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.strange(f"{key!r} is not a list of objects")
        return [row for row in value if isinstance(row, dict)]

    def strange(self, reason: str) -> CommandError:
        """The error for an answer that no node gives."""
        return explained(ApiStrange(self._client.url, reason))


@contextmanager
def session_of(arguments: argparse.Namespace) -> Iterator[Session]:
    """Open the conversation that the global options describe.

    Raises:
        UsageError: the options name no usable address or token.
    """
    settings = current_settings(arguments)
    try:
        client = ApiClient(settings.api, settings.token, settings.timeout_s)
    except ValueError as error:
        raise UsageError(str(error)) from None
    with client:
        yield Session(client, json=settings.json)


def explained(error: ApiError) -> CommandError:
    """What to tell the user, and which exit code it is."""
    if isinstance(error, ApiUnreachable):
        return CommandError(plain(str(error)), UNKNOWN, hint=START_HINT, code="unreachable")
    if isinstance(error, ApiRefused):
        where = f" (field {error.field})" if error.field else ""
        hint = HINTS.get(error.code, "")
        if error.code == "not_owner" and error.owner_address:
            hint = f"ask its owner: --api http://{error.owner_address}"
        if not hint and error.status >= 500 and not error.definite:
            hint = DEFINITE_HINT
        return CommandError(
            plain(f"{error.message}{where} [{error.code}]"),
            UNKNOWN if error.status == 404 else DEGRADED,
            hint=plain(hint),
            code=error.code,
            field=error.field,
        )
    return CommandError(
        plain(str(error)), UNKNOWN, hint="does --api name a node's HTTP port?", code="strange"
    )


def plain(text: str) -> str:
    """`text` without what could steer a terminal: others wrote it."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def show_json(document: Json) -> None:
    """Print one document, keys in the order of the API."""
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def note(message: str) -> None:
    """A message for people, beside the data."""
    print(f"kith: {plain(message)}", file=sys.stderr)


def text_of(document: dict[str, Json], key: str) -> str:
    """The text or number under `key`, or empty."""
    value = document.get(key)
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else str(value) if _is_int(value) else ""


def count_of(document: dict[str, Json], key: str) -> int:
    """The whole number under `key`, or 0."""
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def texts_of(document: dict[str, Json], key: str) -> list[str]:
    """The texts listed under `key`, or none."""
    value = document.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def objects_of(document: dict[str, Json], key: str) -> list[dict[str, Json]]:
    """The objects listed under `key`, or none."""
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_int(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
