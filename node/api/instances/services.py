"""`/v1/services`: register, look up, change and remove instances."""

from collections.abc import Mapping

from node.api.confirming import (
    CHANGE_S,
    CONFIRM,
    HANDLER_S,
    PARAMETERS,
    UNCONFIRMED,
    Confirming,
    in_time,
)
from node.api.fields import Fields
from node.api.finding import OWNER, the_instance, the_owner
from node.api.lookup import LOOKUP_QUERY, Lookups
from node.api.reading import patched, request_of
from node.api.shapes import instance_shape
from node.api.table import Endpoint, Parameter, choice
from node.context import NodeContext
from node.http import (
    AnyAnswer,
    Request,
    Response,
    Route,
    SyncRoute,
    json_response,
    not_found,
)
from node.registrar import Instances, Registered
from protocol.identity import id_text
from protocol.records import Health, ServiceRecord

from .underway import AllUnderWay, UnderWay
from .wanted import Wanted, registered_shape

_OUTPUT_MAX = 4_096
_STATUSES = tuple(status.value for status in Health if status is not Health.MAINTENANCE)


class ServiceRoutes:
    """The handlers of `/v1/services`."""

    def __init__(
        self, context: NodeContext, instances: Instances, lookups: Lookups, confirming: Confirming
    ) -> None:
        self._context = context
        self._peer = context.peer
        self._me_text = id_text(context.me)
        self._instances = instances
        self._lookups = lookups
        self._confirming = confirming
        self._under_way = AllUnderWay(CHANGE_S)
        self._wanted = Wanted(context, instances)

    async def run(self) -> None:
        """Bound what is under way, until cancelled."""
        await self._under_way.run()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The routes."""
        return (*self._of_all(), *self._of_one())

    def _of_all(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                route=Route(
                    "POST",
                    "/v1/services",
                    self.register,
                    handler_s=HANDLER_S,
                    at_once=self.register_at_once,
                ),
                summary="Register an instance with this node.",
                query=CONFIRM,
                body="Registration",
                answers={
                    200: "Unchanged, or changed: then with a new version.",
                    201: "New.",
                    **UNCONFIRMED,
                },
                answer="Registered",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/services", self._lookups.overview),
                summary="All services, with how many instances they have.",
                query=(
                    Parameter(
                        "node",
                        "`self`: only what is registered with this node.",
                        schema=choice("self"),
                    ),
                ),
                answer="Services",
            ),
            Endpoint(
                route=SyncRoute("GET", "/v1/services/{name}", self._lookups.find),
                summary="The instances of a service; an unknown service has none.",
                query=LOOKUP_QUERY,
                answers={
                    200: "The instances.",
                    304: "Nothing changed since that ETag.",
                    429: "Too many wait from this address.",
                    503: "Too many wait, or the node ends; see `Retry-After`.",
                },
                answer="Lookup",
            ),
        )

    def _of_one(self) -> tuple[Endpoint, ...]:
        one = "/v1/services/{name}/{id}"
        return (
            Endpoint(
                route=SyncRoute("GET", one, self.show),
                summary="One instance.",
                query=(OWNER,),
                answer="Instance",
            ),
            Endpoint(
                route=Route("PATCH", one, self.change, handler_s=HANDLER_S),
                summary="Change an instance of this node; what is not given stays.",
                query=(OWNER, *CONFIRM),
                body="InstancePatch",
                answers={200: "Changed, or unchanged.", **UNCONFIRMED},
                answer="Registered",
            ),
            Endpoint(
                route=Route("DELETE", one, self.deregister, handler_s=HANDLER_S),
                summary="Remove an instance of this node.",
                query=(OWNER, *CONFIRM),
                answers={200: "Removed.", **UNCONFIRMED},
                answer="Removed",
            ),
            Endpoint(
                route=SyncRoute("PUT", f"{one}/heartbeat", self.heartbeat),
                summary="Say that an instance with a ttl check lives, and how it is.",
                query=(OWNER,),
                body="Heartbeat",
                answer="Beaten",
            ),
            Endpoint(
                route=Route("PUT", f"{one}/maintenance", self.maintain, handler_s=HANDLER_S),
                summary="Take an instance out for maintenance, or back in.",
                query=(OWNER, *CONFIRM),
                body="Maintenance",
                answers={200: "Done.", **UNCONFIRMED},
                answer="Maintained",
            ),
        )

    def register_at_once(self, request: Request) -> AnyAnswer | None:
        """`POST /v1/services` without `confirm` and `update_id`, as most are."""
        if request.query.pairs:
            return None
        document = request.json_object()
        asked = request_of(document, "register")
        if asked.update_id:
            return None
        wanted = self._wanted.record(document, asked)
        under_way = UnderWay(request.request_id, self._answer, self._under_way.end)
        found = self._instances.begin(wanted, under_way.told, asked)
        if found == "begun":
            self._under_way.add(under_way)
            return under_way
        return None if found == "await" else self._answer(found)

    async def register(self, request: Request) -> Response:
        """`POST /v1/services`."""
        request.query.check_known(*PARAMETERS)
        with self._confirming.wish(request) as wish:
            document = request.json_object()
            asked = request_of(document, "register")
            wanted = self._wanted.record(document, asked)
            with in_time():
                done = await self._instances.register(wanted, asked)
            status = 201 if done.created else 200
            return await self._confirming.answer(status, self._registered(done), done.version, wish)

    def show(self, request: Request) -> Response:
        """`GET /v1/services/{name}/{id}`."""
        request.query.check_known("owner")
        found = the_instance(self._peer, request)
        partition = self._peer.membership.partition().value
        shape = {"service": found.service.name, **instance_shape(self._peer, found)}
        return json_response(200, shape, (("X-Kith-Partition", partition),))

    async def change(self, request: Request) -> Response:
        """`PATCH /v1/services/{name}/{id}`."""
        name, instance = self._own(request, *PARAMETERS)
        defaults = self._wanted.defaults()
        with self._confirming.wish(request) as wish:
            document = request.json_object()

            def merge(before: ServiceRecord) -> ServiceRecord:
                return patched(before, document, defaults)

            asked = request_of(document, f"change {name}/{instance}")
            with in_time():
                done = await self._instances.update(name, instance, merge, asked)
            return await self._confirming.answer(200, self._registered(done), done.version, wish)

    async def deregister(self, request: Request) -> Response:
        """`DELETE /v1/services/{name}/{id}`."""
        name, instance = self._own(request, *PARAMETERS)
        with self._confirming.wish(request) as wish:
            with in_time():
                version = await self._instances.deregister(name, instance)
            shape = self._versioned(name, instance, version)
            return await self._confirming.answer(200, shape, version, wish)

    def heartbeat(self, request: Request) -> Response:
        """`PUT /v1/services/{name}/{id}/heartbeat`."""
        name, instance = self._own(request)
        document = request.json_object() if request.body else {}
        fields = Fields(document, ("check", "status", "output"))
        check = fields.text("check") or None
        status = Health(fields.choice("status", _STATUSES, Health.PASSING.value))
        output = fields.text("output")
        if len(output) > _OUTPUT_MAX:
            fields.refuse("output", f"has {len(output)} characters; at most {_OUTPUT_MAX}")
        self._instances.heartbeat(name, instance, check, status, output)
        return json_response(200, {"name": name, "id": instance, "status": status.value})

    async def maintain(self, request: Request) -> Response:
        """`PUT /v1/services/{name}/{id}/maintenance`."""
        name, instance = self._own(request, *PARAMETERS)
        fields = Fields(request.json_object(), ("enable", "reason"))
        fields.require("enable")
        enable = fields.flag("enable", default=True)
        if not enable and fields.has("reason"):
            fields.refuse("reason", "goes with enable: true only")
        reason = fields.text("reason") if enable else None
        with self._confirming.wish(request) as wish:
            with in_time():
                version = await self._instances.maintain(name, instance, reason)
            shape = {**self._versioned(name, instance, version), "maintenance": enable}
            return await self._confirming.answer(200, shape, version, wish)

    def _answer(self, done: Registered) -> Response:
        return json_response(201 if done.created else 200, self._registered(done))

    def _registered(self, done: Registered) -> Mapping[str, object]:
        return registered_shape(self._me_text, done)

    def _versioned(self, name: str, instance: str, version: int) -> Mapping[str, object]:
        return {"name": name, "id": instance, "owner": self._me_text, "version": version}

    def _own(self, request: Request, *parameters: str) -> tuple[str, str]:
        """Name and id of an instance that the caller wants to change: it must be ours.

        Args:
            request: With `name` and `id` in its path.
            parameters: What its query may have besides `owner`.

        Raises:
            ApiError: 403 `not_owner`, 404; 400 for `owner`.
        """
        request.query.check_known("owner", *parameters)
        name, instance = request.params["name"], request.params["id"]
        owner = the_owner(self._peer, request)
        if owner is not None and owner != self._context.me:
            if self._peer.registry.instance(owner, name, instance) is None:
                raise not_found(f"that owner has no instance {instance!r} of {name!r}")
            raise self._instances.not_owner(f"{name}/{instance}", owner)
        if owner is not None and self._instances.own(name, instance) is None:
            raise not_found(f"this node has no instance {instance!r} of {name!r}")
        self._instances.check_owned(name, instance)
        return name, instance
