"""One kept HTTP connection to a node, as any client of it would hold."""

import http.client
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Shape: TypeAlias = dict[str, Json]

HOST = "127.0.0.1"
TIMEOUT_S = 10.0


class NoAnswerError(Exception):
    """The connection ended, or nobody listens. What was asked may have been done all the same."""


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


class Client:
    """A connection to `port` on loopback; opened anew after a break."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def call(
        self, method: str, path: str, body: Shape | None = None, *, request_id: str = ""
    ) -> Answer:
        """One request in JSON.

        Raises:
            NoAnswerError: no whole answer.
        """
        headers = {"Content-Type": "application/json"}
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
            raise NoAnswerError(f"{method} {path}: {error!r}") from None
        return Answer(response.status, value if isinstance(value, dict) else {})
