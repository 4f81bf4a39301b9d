"""One connection: read, answer in order, and give up in time.

Requests of one connection are served one after the other. Those that a client pipelines wait in the
reader's buffer and in the kernel's, so nothing here grows with them, and answers leave in order.

Rules this module keeps:

1. Each phase (waiting for a request, headers, body, writing) has one deadline, however many reads
   it takes. A deadline may only cut off waiting, never a handler.
2. Requests whose handlers need no waiting are served in a burst and their answers written at once.
3. An answer that comes later (see `later`) is waited for by reading on, so that a client that hangs
   up is noticed; an end of what it sends counts as that, but not where the answer comes soon.
4. After the last answer we stop sending, then read and discard for a moment, so that the client
   gets that answer and not a reset.
"""

from math import inf
from typing import Literal, TypeAlias

import trio

from .clients import Client, Clients
from .dispatch import Answer, Dispatcher, Later, Pending, Resolved
from .encode import CONTINUE, Encoder
from .errors import ApiError, internal_error, rate_limited
from .head import Head
from .later import Deferred, Outlet, StreamResponse
from .limits import HttpLimits
from .messages import Response, error_response
from .reader import Kept, RequestReader
from .router import Route
from .wire import Wire

CLIENT_WENT = 499
"""What is counted for a request whose client went before its answer came, as nginx has it."""

SEND_LATER_BYTES_MAX = 16 * 1024
"""Bytes of answers that wait for those of other connections to be made, before all are sent."""

_AFTER_IDLE = 1e12
"""Added to the rank of what is not idle; more than any clock shows."""

_Next: TypeAlias = Pending | Literal["read", "yield", "close", "stream", "answer"]


class Service:
    """What all connections of one server share."""

    def __init__(self, dispatcher: Dispatcher, encoder: Encoder, limits: HttpLimits) -> None:
        self.dispatcher = dispatcher
        self.encoder = encoder
        self.limits = limits
        self.clients: Clients[Connection] = Clients(limits)
        self.kept_heads: Kept = {}
        self.draining = False
        """Each connection closes after the request it is serving."""

    def refusal(self, error: ApiError) -> bytes:
        """An answer that belongs to no request that could be read; the connection must close."""
        request_id = self.dispatcher.new_request_id()
        self.dispatcher.report_unreadable(error.status)
        return self.encoder.encode(
            error_response(error, request_id), request_id, connection="close", with_body=True
        )


class Connection:
    """Serves one client until one side closes. Cancel `scope` to cut it off."""

    def __init__(
        self, wire: Wire, host: str, client: "Client[Connection]", service: Service
    ) -> None:
        self.scope = trio.CancelScope()
        self.held_bytes = 0
        """See `Occupant`."""
        self._wire = wire
        self._host = host
        self._client = client
        self._service = service
        self._reader = RequestReader(service.limits, service.kept_heads)
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._reading = False
        self._closing = False
        self._served = 0
        self._waiting_for: tuple[str, int] = ("head", 0)
        self._deadline = 0.0
        self._timer = trio.CancelScope()
        self._last: tuple[Head, Resolved] | None = None
        self._later: Later | None = None
        """The request whose answer comes later; nothing after it is served before."""
        self._is_soon = False
        """Its answer is being made: it is no long poll, and no stream."""
        self._outlet: Outlet | None = None
        self._is_nudged = False
        """There is more to do than to wait for bytes."""
        self._answered: trio.Event | None = None
        """Waited for where there is nothing to read meanwhile."""

    @property
    def idle(self) -> bool:
        """Whether it may be cut off without a request being lost on our side."""
        return self._reading and self._reader.phase == "idle" and self._later is None

    def spare_rank(self, late: float) -> float | None:
        """See `Occupant`: what is idle for longest first, then what was begun longest ago."""
        if not self._reading or self._later is not None or self._output:
            return None
        phase, limits = self._reader.phase, self._service.limits
        if phase == "idle":
            # A new connection has the time of a request's head for its first one.
            return self._deadline - (limits.idle_s if self._served else limits.header_s)
        since = self._deadline - (limits.header_s if phase == "head" else limits.body_s)
        return since + _AFTER_IDLE if since < late else None

    def cut_off(self) -> bool:
        """See `Occupant`."""
        if self.idle and self._wire.has_unread():
            return False
        self.held_bytes = 0
        self._wire.close()
        self.scope.cancel()
        return True

    def wind_up(self) -> None:
        """End what has no end of its own; the last words are still sent."""
        if self._outlet is not None:
            self._outlet.end("draining")

    async def run(self) -> None:
        """Serve until one side closes; the wire is closed then."""
        try:
            with self.scope:
                await self._serve()
        except BrokenPipeError:
            return
        finally:
            self._drop_later()
            self._hold(0)
            self._wire.close()

    async def _serve(self) -> None:
        self._set_deadline(trio.current_time() + self._service.limits.header_s)
        following: _Next = "read"
        while following != "close":
            await self._flush()
            if isinstance(following, Pending):
                answer = await self._service.dispatcher.finish(following)
                self._write(following.head, answer)
                following = self._advance()
            elif following == "yield":
                await trio.lowlevel.checkpoint()
                following = self._advance()
            elif following == "stream":
                following = await self._stream()
            elif following == "answer":
                following = await self._await_answer()
            else:
                following = await self._pump()
        await self._flush()
        if self._closing:
            await linger(self._wire, self._service.limits.linger_s)

    async def _pump(self) -> _Next:
        """Read and serve while nothing but reading has to be waited for."""
        if self._is_nudged:
            self._is_nudged = False
            return self._advance()
        self._reading = True
        try:
            with trio.CancelScope(deadline=self._deadline) as self._timer:
                return await self._wire.pump(self._take_in, self._send_out)
        finally:
            self._reading = False
        # The scope is armed lazily (see `_set_deadline`), so it may have fired for an old deadline.
        return "read" if trio.current_time() < self._deadline else self._time_out()

    def _take_in(self, data: bytes) -> _Next | None:
        """Serve what was received, in whatever task; None while there is nothing but to read on."""
        self._reader.feed(data)
        if self._is_soon:
            return "answer"
        if not data:
            return "close"
        if self._later is not None:
            self._hold(self._reader.waiting_bytes)
            too_much = self._reader.waiting_bytes > self._service.limits.parked_bytes_max
            return "close" if too_much else None
        following = self._advance()
        if following != "read":
            return following
        return self._send_out() if self._output_bytes > SEND_LATER_BYTES_MAX else None

    def _send_out(self) -> _Next | None:
        """Send what was answered; None where there is nothing but to read on."""
        return None if self._send_now() else "read"

    def _advance(self) -> _Next:
        """Serve the requests that are complete, up to one that has to be awaited."""
        limits, reader = self._service.limits, self._reader
        allowance = self._client.allowance
        now = 0.0 if allowance is None else trio.current_time()
        for _ in range(limits.burst_max):
            if self._closing:
                return "close"
            if self._output_bytes > limits.output_bytes_max:
                return "yield"
            try:
                incoming = reader.take(self._body_max)
            except ApiError as error:
                return self._refuse(error)
            if incoming is None:
                return self._await_more()
            self._served += 1
            head, body = incoming
            if self.held_bytes:
                self._hold(0)
            if allowance is None or not (wait_s := allowance.take(now)):
                resolved = self._resolve(head)
            else:
                resolved = rate_limited(wait_s)
            answer = self._service.dispatcher.begin(head, body, resolved, self._host)
            if isinstance(answer, (Pending, Later)):
                return self._put_off(answer)
            self._write(head, answer)
        return "close" if self._closing else "yield"

    def _put_off(self, later: Pending | Later) -> _Next:
        if isinstance(later, Pending):
            return later
        self._later, what = later, later.what
        # The client may wait as long as the answer does; who made it has bounded that.
        self._deadline = inf
        self._is_soon = isinstance(what, Deferred) and what.is_soon
        if not self._is_soon:
            self._last = None
            self._reader.forget()
        if isinstance(what, Deferred):
            what.begin(self._take)
            return "read"
        return self._open_stream(later, what)

    def _take(self, response: Response | ApiError) -> None:
        """Send the answer that came later, in whatever task the news is told: it must not raise."""
        later = self._later
        if later is None:
            return
        try:
            self._settle(later, response)
        except Exception as error:
            # A bug of ours ends this connection, not whoever had news for many.
            self._service.dispatcher.report_failure(later.request_id, error)
            self.scope.cancel()

    def _settle(self, later: Later, response: Response | ApiError) -> None:
        self._later, self._is_soon = None, False
        if isinstance(response, ApiError):
            response = error_response(response, later.request_id)
        self._write(later.head, (response, later.request_id))
        self._service.dispatcher.finished(later, response.status)
        self._waiting_for = ("idle", self._served)
        self._set_deadline(trio.current_time() + self._service.limits.idle_s)
        if self._reading:
            try:
                is_done = self._send_now()
            except BrokenPipeError:
                is_done, self._closing = False, True
            if is_done and not self._closing and not self._reader.waiting_bytes:
                return
            self._timer.cancel()
        self._is_nudged = True
        if self._answered is not None:
            self._answered.set()

    async def _await_answer(self) -> _Next:
        """Read no more before the answer is there: what the client sends waits in the kernel."""
        self._answered = trio.Event()
        if self._later is not None:
            await self._answered.wait()
        self._answered = None
        return "read"

    def _open_stream(self, later: Later, response: StreamResponse) -> _Next:
        is_head, chunked = later.head.method == "HEAD", later.head.minor_version > 0
        limits, source = self._service.limits, response.source
        self._outlet = Outlet(
            self._wire, source, chunked=chunked,
            bytes_max=limits.stream_bytes_max, write_s=limits.write_s,
        )  # fmt: skip
        encode = self._service.encoder.encode_head
        self._append(encode(response, later.request_id, chunked=chunked))
        self._closing = True
        return "close" if is_head else "stream"

    async def _stream(self) -> _Next:
        outlet, later = self._outlet, self._later
        assert outlet is not None
        assert later is not None
        assert isinstance(later.what, StreamResponse)
        self._wire.hold_back(self._service.limits.stream_bytes_max)
        if self._service.draining:
            outlet.end("draining")
        if outlet.is_open:
            later.what.source.opened(outlet)
        await outlet.drive()
        return "close"

    def _drop_later(self) -> None:
        """The connection is over: nobody waits for an answer or a stream any more."""
        later, self._later = self._later, None
        if later is None:
            return
        if isinstance(later.what, Deferred):
            later.what.abandon()
            self._service.dispatcher.finished(later, CLIENT_WENT)
        else:
            if self._outlet is not None:
                self._outlet.abandon()
            self._service.dispatcher.finished(later, later.what.status)

    def _resolve(self, head: Head) -> Resolved:
        # The reader gives the very same head for equal bytes; its route is the same, too.
        if self._last is None or self._last[0] is not head:
            self._last = (head, self._service.dispatcher.resolve(head))
        return self._last[1]

    def _body_max(self, head: Head) -> int:
        resolved = self._resolve(head)
        route = None if isinstance(resolved, ApiError) else resolved.route
        own = route.body_bytes_max if isinstance(route, Route) else None
        return own or self._service.limits.body_bytes_max

    def _await_more(self) -> _Next:
        reader, limits = self._reader, self._service.limits
        if reader.continue_due:
            reader.continue_due = False
            self._append(CONTINUE)
        phase = reader.phase
        waiting_for = (phase, self._served)
        if phase != "idle":
            self._hold(reader.held_bytes)
        if waiting_for != self._waiting_for:
            self._waiting_for = waiting_for
            if phase == "idle":
                seconds = limits.idle_s
            else:
                seconds = limits.header_s if phase == "head" else limits.body_s
            self._set_deadline(trio.current_time() + seconds)
        return "read"

    def _set_deadline(self, at: float) -> None:
        # Moving a scope's deadline costs more than a lookup. It is moved only when it must come
        # earlier; when it fires too early, `_pump` starts a new one.
        self._deadline = at
        if at < self._timer.deadline:
            self._timer.deadline = at

    def _time_out(self) -> _Next:
        phase = self._reader.phase
        if phase == "idle":
            return "close"
        limits = self._service.limits
        seconds = limits.header_s if phase == "head" else limits.body_s
        what = "headers" if phase == "head" else "body"
        message = f"the {what} did not arrive within {seconds:g} s"
        return self._refuse(ApiError(408, "timeout", message, what))

    def _refuse(self, error: ApiError) -> _Next:
        self._append(self._service.refusal(error))
        self._closing = True
        return "close"

    def _write(self, head: Head, answer: Answer) -> None:
        keep = head.keep_alive and not self._service.draining
        connection = None
        if not keep:
            connection, self._closing = "close", True
        elif head.minor_version == 0:
            connection = "keep-alive"
        response, request_id = answer
        with_body = head.method != "HEAD"
        encode = self._service.encoder.encode
        try:
            data = encode(response, request_id, connection=connection, with_body=with_body)
        except ValueError as error:
            self._service.dispatcher.report_failure(request_id, error)
            response = error_response(internal_error(), request_id)
            data = encode(response, request_id, connection=connection, with_body=with_body)
        self._append(data)

    def _hold(self, held_bytes: int) -> None:
        more_bytes = held_bytes - self.held_bytes
        if more_bytes:
            self.held_bytes = held_bytes
            self._service.clients.hold(more_bytes)

    def _append(self, data: bytes) -> None:
        self._output.append(data)
        self._output_bytes += len(data)

    def _send_now(self) -> bool:
        """Send what the kernel takes; True when nothing is left."""
        if not self._output:
            return True
        data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        rest = data[self._wire.send_now(data) :]
        self._output = [rest] if rest else []
        self._output_bytes = len(rest)
        return not rest

    async def _flush(self) -> None:
        if self._send_now():
            return
        data, self._output, self._output_bytes = self._output[0], [], 0
        self._hold(len(data))
        with trio.move_on_after(self._service.limits.write_s) as scope:
            await self._wire.send(data)
        self._hold(0)
        if scope.cancelled_caught:
            raise BrokenPipeError


async def linger(wire: Wire, seconds: float) -> None:
    """Stop sending, then discard what comes until the other end closes, or time is up."""
    with trio.move_on_after(seconds):
        await wire.end_sending()
        while await wire.receive():
            continue
