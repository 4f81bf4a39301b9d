"""One kept HTTP connection to a node, as any client of it would hold."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Shape: TypeAlias = dict[str, Json]

HOST = "127.0.0.1"
TIMEOUT_S = 10.0
LINE_MAX = 64 * 1024


class NoAnswerError(Exception):
    """The connection ended, or nobody listens. What was asked may have been done all the same.

    Attributes:
        refused: nobody listens, so it surely was not.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said."""

    status: int
    value: Shape

    @property
    def definite(self) -> bool:
        """Of an error: whether what was asked surely was not done."""
        error = self.value.get("error")
        return isinstance(error, dict) and error.get("definite") is True

    def whole(self, name: str) -> int:
        """A member that is an integer.

        Raises:
            TypeError: it is none.
        """
        value = self.value.get(name)
        if not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}")
        return value

    def rows(self, name: str) -> list[Shape]:
        """A member that is a list of objects; whatever is no object is left out."""
        value = self.value.get(name)
        return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


Dial = Callable[[], socket.socket]
"""Opens a TCP socket that is not connected yet, perhaps in another network than ours."""


class Dialled(http.client.HTTPConnection):
    """A connection whose socket is opened by somebody else."""

    def __init__(self, host: str, port: int, *, timeout_s: float, dial: Dial) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._dial = dial
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Open the socket, and connect it. Raises OSError."""
        opened = self._dial()
        opened.settimeout(self._timeout_s)
        self.sock = opened
        opened.connect((self.host, self.port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def plain() -> socket.socket:
    """A socket here."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


class Client:
    """A connection to `port`; opened anew after a break.

    Args:
        port: of the node's HTTP API.
        host: its address.
        timeout_s: for one answer, and for connecting.
        token: shown with every request, if there is one.
        dial: opens the socket; without, here.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = HOST,
        timeout_s: float = TIMEOUT_S,
        token: str = "",
        dial: Dial = plain,
    ) -> None:
        self._connection = Dialled(host, port, timeout_s=timeout_s, dial=dial)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection up; it is opened anew if it is used again."""
        self._connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: Shape | None = None,
        *,
        request_id: str = "",
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request in JSON; `more`: further headers.

        Raises:
            NoAnswerError: no whole answer.
        """
        headers = {**self._headers, **(more or {})}
        if request_id:
            headers["X-Request-Id"] = request_id
        encoded = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, encoded, headers)
            response = self._connection.getresponse()
            raw = response.read()
            value: Json = json.loads(raw) if raw else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            refused = isinstance(error, ConnectionRefusedError)
            raise NoAnswerError(f"{method} {path}: {error!r}", refused=refused) from None
        return Answer(response.status, value if isinstance(value, dict) else {})

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of an answer without end, such as `/v1/events`, as they come.

        Raises:
            NoAnswerError: it ended after all, is refused, or no line came within the time.
        """
        try:
            self._connection.request("GET", path, headers=self._headers)
            response = self._connection.getresponse()
            while response.status == HTTPStatus.OK and (line := response.readline(LINE_MAX)):
                yield line
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswerError(f"GET {path}: {error!r}") from None
        finally:
            self._connection.close()
        raise NoAnswerError(f"GET {path}: status {response.status}, and it is over")
