"""Register, change and remove instances of this node, and say how they are.

Rules this module keeps:

1. Only what is registered with this node is changed here; for others the client hears whom to ask.
2. Nothing is awaited between reading our newest word on an instance and proposing the next, so two
   requests for one instance are taken one after the other, whole.
3. A request is answered when what it says is durable, also if it changed nothing.
4. A registration says nothing about health: checks whose rules did not change keep their status,
   an instance in maintenance stays in it.
"""

import time
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias

import trio

from node import logs
from node.checks.checker import InstanceKey, TooManyChecksError
from node.context import NodeContext
from node.http import ApiError, invalid_field, not_found
from protocol import rules
from protocol.bodies import service_key
from protocol.commits import Dot, RecordKey
from protocol.errors import ProposalError
from protocol.events import Committed, Event
from protocol.identity import Address, NodeId, id_text
from protocol.records import CheckRecord, Health, Kind, ServiceRecord

from .claims import Claim, Request
from .drawing import DrawnIds
from .failures import begin, commit, disk_full, overloaded, refusal_of
from .updates import UpdateIds, conflict

log = logs.get()

Make = Callable[[ServiceRecord | None], ServiceRecord]


class Registered(NamedTuple):
    """What a registration came to. A named tuple, as one is made for each."""

    name: str
    id: str
    version: int
    update_id: str
    created: bool = False
    """Whether the instance was new."""


Told: TypeAlias = Callable[[Registered | ApiError], None]
"""Told once what a registration came to; must not wait or raise."""
_SAID = frozenset(field.name for field in fields(ServiceRecord)) - {
    "checks", "update_id", "updated_at",
}  # fmt: skip
_said_of = attrgetter(*sorted(_SAID))
"""All that a record says of an instance, but for its checks."""


class _Staged:
    """A change on its way to the disk.

    Args:
        record: What is to be written.
        told: Told what it came to, if somebody is; for whoever waits there is `ended`.
        created: Whether the instance is new.
        is_drawn: Whether its update id was drawn for a client that waits for nothing else.
    """

    __slots__ = ("_done", "_is_done", "created", "is_drawn", "record", "told", "version")

    def __init__(
        self, record: ServiceRecord, told: Told | None, *, created: bool, is_drawn: bool
    ) -> None:
        self.record = record
        self.told = told
        self.created = created
        self.is_drawn = is_drawn
        self._done: trio.Event | None = None
        self._is_done = False
        self.version: int | None = None
        """Of the commit that has it; None also if there was no room for that."""

    def end(self, version: int | None) -> None:
        """It is on the disk, or there is no room for it now."""
        self.version, self._is_done = version, True
        if self._done is not None:
            self._done.set()

    async def ended(self) -> int | None:
        """The version, once it is on the disk; None if there is no room."""
        if not self._is_done:
            if self._done is None:
                self._done = trio.Event()
            await self._done.wait()
        return self.version


class Instances:
    """The instances of this node.

    Args:
        context: The running node.
        updates: Remembers what update ids were answered with.
    """

    def __init__(self, context: NodeContext, updates: UpdateIds) -> None:
        self._context = context
        self._peer = context.peer
        self._checker = context.checker
        self._me = context.me
        self._updates = updates
        self._staged: dict[RecordKey, _Staged] = {}
        self._versions: dict[RecordKey, int] = {}
        self._watched: dict[InstanceKey, None] = {}
        self._ids = DrawnIds()
        context.driver.listen(self._heard)

    def own(self, name: str, instance: str) -> ServiceRecord | None:
        """Our newest word on an instance of ours, durable or not."""
        body = self._peer.intended(_key(name, instance))
        return body if isinstance(body, ServiceRecord) else None

    def stamp(self, request: Request) -> tuple[str, int]:
        """The update id that a change is to be known by, the client's or a drawn one, and when."""
        return request.update_id or self._ids.draw(), _wall_us()

    async def register(self, wanted: ServiceRecord, request: Request) -> Registered:
        """Register an instance, or say that it is as it should be; stamped already, or not yet.

        Raises:
            ApiError: 400 a field breaks a rule; 409 the update id is taken; 413 and 503: no room.
        """
        stamp = (wanted.update_id, wanted.updated_at) if wanted.update_id else self.stamp(request)
        return await self._settle(wanted.name, wanted.id, lambda before: wanted, request, stamp)

    def begin(
        self, wanted: ServiceRecord, told: Told, request: Request, *, more: bool = False
    ) -> Registered | Literal["begun", "await"]:
        """`register` for whoever does not wait, of a stamped record.

        Where it has begun, `told` is told how it ended, never before this returns. Where something
        else has to be awaited first, nothing was done: `register` does it. With `more`, others
        follow at once, and in the end `flush`; they share a commit. If the request has an update
        id, that was found new before (`UpdateIds.recall`).

        Raises:
            ApiError: as `register`.
        """
        key, update_id = _key(wanted.name, wanted.id), request.update_id
        before = self._before(key)
        record = _kept(wanted, before, wanted.update_id, wanted.updated_at)
        if record.checks:  # which are watched before the core judges the record
            _judge(record)
        if before is None or not _same(before, record):
            if before is not None and before.update_id == update_id != "":
                raise conflict(update_id)
            claim = self._updates.hold(request, record.name, record.id) if update_id else None
            try:
                self._begin(key, before, record, told, claim, more=more)
            except ApiError:
                if claim is not None:
                    self._updates.let_go(claim)
                raise
            return "begun"
        version = None if update_id else self._versions.get(key)
        durable = self._durable(before)
        if version is None or key in self._staged or durable is None or not _same(durable, before):
            return "await"
        return Registered(record.name, record.id, version, before.update_id)

    def flush(self) -> None:
        """Sign what has begun with `more`."""
        self._context.driver.begin({}, _ignore)

    async def update(
        self,
        name: str,
        instance: str,
        change: Callable[[ServiceRecord], ServiceRecord],
        request: Request,
    ) -> Registered:
        """Change an instance that exists; errors as `register`, and those of `check_owned`."""

        def make(before: ServiceRecord | None) -> ServiceRecord:
            if before is None:
                raise self._not_ours(name, instance)
            return change(before)

        return await self._settle(name, instance, make, request, self.stamp(request))

    async def deregister(self, name: str, instance: str) -> int:
        """Remove an instance; returns the version of the commit that did.

        Raises:
            ApiError: as `check_owned`; 503 no room on the disk.
        """
        self.check_owned(name, instance)
        key = _key(name, instance)
        dot = await commit(self._context.driver, {key: None})
        self.forget(InstanceKey(name, instance))
        return dot.version

    def forget(self, key: InstanceKey) -> None:
        """Stop checking an instance that was removed, unless it has been registered anew."""
        if self.own(key.name, key.id) is None:
            self._unwatch(key)
            self._versions.pop(_key(key.name, key.id), None)

    async def maintain(self, name: str, instance: str, reason: str | None) -> int:
        """Take an instance out of lookups for maintenance, or (None) back in; the version.

        Raises:
            ApiError: 400 the reason is too long; as `check_owned`; 503 no room on the disk.
        """
        before = self.check_owned(name, instance)
        record = replace(before, maintenance=reason, updated_at=_wall_us())
        _judge(record)
        key = _key(name, instance)
        if before.maintenance != reason or self._durable(record) != before:
            return (await commit(self._context.driver, {key: record})).version
        return self._head_version()

    def heartbeat(
        self, name: str, instance: str, check: str | None, status: Health, output: str
    ) -> None:
        """Take in a heartbeat for one ttl check, or for all of them.

        Raises:
            ApiError: as `check_owned`; 404 it has no such ttl check, 400 no such status.
        """
        self.check_owned(name, instance)
        if status is Health.MAINTENANCE:
            raise invalid_field(
                "status", "status: must be passing, warning or critical; for maintenance there is "
                f"PUT /v1/services/{name}/{instance}/maintenance",
            )  # fmt: skip
        if not self._checker.heartbeat(InstanceKey(name, instance), check, status, output):
            which = "a ttl check" if check is None else f"a ttl check {check[:128]!r}"
            raise not_found(f"{name}/{instance} has no {which}; register it again with one")

    def check_owned(self, name: str, instance: str) -> ServiceRecord:
        """Our own instance of that name.

        Raises:
            ApiError: 403 `not_owner`, it is registered elsewhere; 404, it is not registered.
        """
        record = self.own(name, instance)
        if record is None:
            raise self._not_ours(name, instance)
        return record

    def resume(self) -> None:
        """Check all instances that we own now, and no others."""
        branch = self._peer.registry.branch(self._me)
        own: dict[InstanceKey, ServiceRecord] = {}
        for body in branch.bodies.values() if branch else ():
            if isinstance(body, ServiceRecord):
                own[InstanceKey(body.name, body.id)] = body
        for key in [key for key in self._watched if key not in own]:
            if self.own(key.name, key.id) is None:
                self._unwatch(key)
        for key, record in own.items():
            newest = self.own(key.name, key.id)
            try:
                self._watch(record, (newest or record).checks)
            except ApiError as error:
                log.warning("instance_not_checked", service=key.name, id=key.id, reason=str(error))

    def _heard(self, event: Event) -> None:
        if not isinstance(event, Committed) or event.tickets:
            return
        branch = self._peer.registry.branch(self._me)
        if branch is not None and branch.head is not None and len(branch.head.parents) > 1:
            self.resume()  # a merge with a branch of ours that we had forgotten

    async def _settle(
        self, name: str, instance: str, make: Make, request: Request, stamp: tuple[str, int]
    ) -> Registered:
        if request.update_id:
            known = await self._updates.recall(request)
            if known is not None:
                return Registered(known.name, known.id, known.version, known.update_id)
        with self._updates.claim(request, name, instance) as claim:
            found = await self._apply(_key(name, instance), make, claim, stamp)
            await self._updates.settle(claim, found.version)
            return found

    async def _apply(
        self, key: RecordKey, make: Make, claim: Claim, stamp: tuple[str, int]
    ) -> Registered:
        request = claim.request
        while True:
            before = self._before(key)
            record = _kept(make(before), before, *stamp)
            _judge(record)
            if before is None or not _same(before, record):
                if before is not None and before.update_id == request.update_id != "":
                    raise conflict(request.update_id)
                claim.update_id = record.update_id
                staged = self._begin(key, before, record, None, claim)
                version = await staged.ended()
                if version is None:
                    raise disk_full(definite=False)
                return Registered(record.name, record.id, version, record.update_id, before is None)
            found = await self._version_of(key, before, claim)
            if found is not None:
                told = request.update_id or before.update_id
                return Registered(record.name, record.id, found, told)

    def _before(self, key: RecordKey) -> ServiceRecord | None:
        body = self._peer.intended(key)
        return body if isinstance(body, ServiceRecord) else None

    def _begin(
        self,
        key: RecordKey,
        before: ServiceRecord | None,
        record: ServiceRecord,
        told: Told | None,
        claim: Claim | None = None,
        *,
        more: bool = False,
    ) -> _Staged:
        """Propose a change; `told`, if any, is told what it came to.

        Raises:
            ApiError: it cannot be taken; nothing was changed.
        """
        self._watch(record, record.checks)
        staged = _Staged(record, told, created=before is None, is_drawn=claim is None)
        landed = partial(self._landed, key, staged)
        try:
            begin(self._context.driver, {key: record}, landed, claim, more=more)
        except ApiError:
            self._watch(record, before.checks if before else ())
            raise
        self._staged[key] = staged
        return staged

    def _landed(self, key: RecordKey, staged: _Staged, dot: Dot | None) -> None:
        """It is on disk, or (None) there is no room."""
        if self._staged.get(key) is staged:
            del self._staged[key]
        if dot is not None:
            self._versions[key] = max(dot.version, self._versions.get(key, 0))
        staged.end(None if dot is None else dot.version)
        told, record = staged.told, staged.record
        if told is None:
            return
        if dot is None:
            told(disk_full(definite=False))
            return
        if staged.is_drawn:
            self._updates.drew(record.update_id, record.name, record.id, dot.version)
        told(Registered(record.name, record.id, dot.version, record.update_id, staged.created))

    async def _version_of(self, key: RecordKey, before: ServiceRecord, claim: Claim) -> int | None:
        """The version at which an unchanged instance stands, durably; None: look again."""
        staged = self._staged.get(key)
        if staged is not None:
            return await staged.ended()
        durable = self._durable(before)
        if durable is None or not _same(durable, before):
            # Left over from a full disk: signed or waiting, but nobody waits with it.
            return (await commit(self._context.driver, {key: before}, claim)).version
        version = self._versions.get(key)
        if version is None:
            version = await self._updates.version_of(before.update_id, before.name, before.id)
        return version or self._head_version()

    def _durable(self, record: ServiceRecord) -> ServiceRecord | None:
        found = self._peer.registry.instance(self._me, record.name, record.id)
        return found.service if found else None

    def _head_version(self) -> int:
        branch = self._peer.registry.branch(self._me)
        return branch.dot.version if branch else 0

    def _watch(self, instance: ServiceRecord, checks: tuple[CheckRecord, ...]) -> None:
        if not checks and not self._watched:
            return  # as on nodes that check nothing
        key = InstanceKey(instance.name, instance.id)
        if not checks and key not in self._watched:
            return
        try:
            self._checker.watch(key, checks)
        except TooManyChecksError as error:
            raise overloaded(str(error)) from None
        if checks:
            self._watched[key] = None
        else:
            self._watched.pop(key, None)

    def _unwatch(self, key: InstanceKey) -> None:
        self._checker.unwatch(key)
        self._watched.pop(key, None)

    def _not_ours(self, name: str, instance: str) -> ApiError:
        registry = self._peer.registry
        owners = [
            found.owner
            for found in registry.instances(name)
            if found.service.id == instance and found.owner != self._me
        ]
        if owners:
            return self.not_owner(f"{name}/{instance}", min(owners))
        return not_found(f"no instance {instance!r} of {name!r} is registered; register it")

    def not_owner(self, what: str, owner: NodeId) -> ApiError:
        """403: only another node may change that; it says where to ask."""
        record = self._peer.registry.node(owner)
        address = str(Address(record.api_host, record.api_port)) if record else ""
        where = f"{record.name} at {address}" if record else "a node whose address is not known"
        error = ApiError(
            403, "not_owner", f"{what} is registered with {where}; only there can it be changed"
        )
        error.with_detail("owner", id_text(owner))
        return error.with_detail("owner_address", address)


def _key(name: str, instance: str) -> RecordKey:
    return RecordKey(Kind.SERVICE, service_key(name, instance))


def _ignore(_dot: Dot | None) -> None:
    """Nobody waits for this."""


def _wall_us() -> int:
    return time.time_ns() // 1_000


def _judge(record: ServiceRecord) -> None:
    try:
        rules.check_service(record)
    except ProposalError as error:
        raise refusal_of(error) from None


def rules_of(check: CheckRecord) -> CheckRecord:
    """A check without its results."""
    return replace(check, status=Health.PASSING, output="", changed_at=0)


def _same(ours: ServiceRecord, theirs: ServiceRecord) -> bool:
    """Whether two records say the same of an instance, whatever its checks found."""
    if _said_of(ours) != _said_of(theirs):
        return False
    if ours.checks is theirs.checks:
        return True
    return [rules_of(check) for check in ours.checks] == [
        rules_of(check) for check in theirs.checks
    ]


def _kept(
    wanted: ServiceRecord, before: ServiceRecord | None, update_id: str, now_us: int
) -> ServiceRecord:
    """What is to be written: as wanted, with what only this node knows of the instance."""
    checks = _kept_checks(wanted, before, now_us) if wanted.checks else ()
    maintenance = before.maintenance if before else None
    is_whole = (
        checks is wanted.checks
        and maintenance == wanted.maintenance
        and wanted.update_id == update_id
        and wanted.updated_at == now_us
    )
    if is_whole:
        return wanted  # as most are; copying it would cost as much as reading it did
    return replace(
        wanted, checks=checks, maintenance=maintenance, update_id=update_id, updated_at=now_us
    )


def _kept_checks(
    wanted: ServiceRecord, before: ServiceRecord | None, now_us: int
) -> tuple[CheckRecord, ...]:
    known = {check.id: check for check in before.checks} if before else {}
    checks = []
    for check in wanted.checks:
        old = known.get(check.id)
        if old is None or rules_of(old) != rules_of(check):
            checks.append(replace(check, changed_at=now_us))
        else:
            checks.append(old)
    return tuple(checks)
