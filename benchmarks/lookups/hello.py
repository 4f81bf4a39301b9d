"""The least that an ASGI application can be: what a full HTTP stack on trio costs by itself.

Run by `hypercorn --worker-class trio benchmarks.lookups.hello:app`; `sides` starts it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

# The types of ASGI, which has none of its own: dictionaries with values of any type.
Message: TypeAlias = dict[str, Any]  # type: ignore[explicit-any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY = b'{"hello":"world"}\n'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer every request with the same few bytes."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
