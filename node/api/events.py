"""`GET /v1/events`: what happens here, as server-sent events."""

from node.http import Request, StreamResponse, SyncRoute, invalid_field
from node.watching.events import KINDS
from node.watching.streams import Streams, Wanted
from protocol.limits import NAME_MAX

from .table import Endpoint, Parameter

EVENT_STREAM = "text/event-stream"
HEADERS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
"""Neither kept nor gathered by proxies on the way."""
SERVICES_MAX = 32
"""Different services that one stream may name; it may have all."""
ID_CHARS_MAX = 128
QUERY = (
    Parameter("since", "The id of the last event that you have; `Last-Event-ID` goes before it."),
    Parameter("service", "Only of this service; may be repeated."),
    Parameter("kind", f"Only of this kind: {', '.join(KINDS)}; may be repeated."),
)


class EventRoutes:
    """The handler of `/v1/events`."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The route."""
        return (
            Endpoint(
                route=SyncRoute("GET", "/v1/events", self.follow),
                summary="Every change once, in order, as server-sent events without end.",
                query=QUERY,
                answers={
                    200: "Events.",
                    429: "Too many streams from this address; see `Retry-After`.",
                    503: "Too many streams; see `Retry-After`.",
                },
                media=EVENT_STREAM,
            ),
        )

    def follow(self, request: Request) -> StreamResponse:
        """`GET /v1/events`."""
        query = request.query
        query.check_known("since", "service", "kind")
        since = request.headers.get("last-event-id", query.get("since"))
        if since is not None and (len(since) > ID_CHARS_MAX or not since.isprintable()):
            raise invalid_field("since", "since: give the id of an event as it was sent")
        kinds, services = frozenset(query.all("kind")), frozenset(query.all("service"))
        for kind in kinds.difference(KINDS):
            raise invalid_field("kind", f"kind: {kind[:32]!r} is unknown; use {', '.join(KINDS)}")
        if len(services) > SERVICES_MAX or any(len(one) > NAME_MAX for one in services):
            raise invalid_field(
                "service", f"service: at most {SERVICES_MAX} names, of {NAME_MAX} characters each"
            )
        source = self._streams.admit(Wanted(kinds, services), since, client=request.client)
        return StreamResponse(source, EVENT_STREAM, HEADERS)
