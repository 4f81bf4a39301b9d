"""The shared secret: who comes in, and that nothing else is told."""

import pytest

from node.auth import Authenticator
from node.http import Request

SECRET = b"s3cret-with-umlaut-\xc3\xbc"


def asking(authorization: str | None) -> Request:
    headers = {} if authorization is None else {"authorization": authorization}
    return Request("GET", "/v1/node", headers=headers)


def test_without_a_secret_everybody_comes_in() -> None:
    authenticator = Authenticator(None)
    assert authenticator.is_open
    assert authenticator.judge(asking(None)) is None
    assert authenticator.judge(asking("Bearer whatever")) is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_whoever_shows_the_secret_comes_in(scheme: str) -> None:
    authenticator = Authenticator(SECRET)
    assert authenticator.judge(asking(f"{scheme} {SECRET.decode()}")) is None
    assert authenticator.failures == 0


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Bearer x", "Basic czpz", SECRET.decode(),
        f"Bearer {SECRET.decode()}x", f"Bearer {SECRET.decode()[:-1]}",
        f"Bearer Bearer {SECRET.decode()}", "Bearer \udcff",
    ],
)  # fmt: skip
def test_everybody_else_is_refused_and_counted(authorization: str | None) -> None:
    authenticator = Authenticator(SECRET)

    refusal = authenticator.judge(asking(authorization))

    assert refusal is not None
    assert (refusal.status, refusal.code) == (401, "unauthenticated")
    assert ("WWW-Authenticate", 'Bearer realm="kith"') in refusal.headers
    assert SECRET.decode() not in refusal.message
    assert authenticator.failures == 1


def test_an_empty_secret_lets_nobody_in_by_saying_nothing() -> None:
    assert Authenticator(b"").judge(asking(None)) is not None
