"""Cores that deliver badly: they are wrong about a peer, forget to try, or vouch too soon."""

from dataclasses import replace
from random import Random

from chaos.sim.plan import Fault, FaultKind
from protocol.clocks import Instant
from protocol.commits import Dot
from protocol.delivery.attempts import Attempts
from protocol.delivery.courier import Courier
from protocol.delivery.deliveries import Deliveries
from protocol.delivery.standing import Queue
from protocol.effects import Effect, Mark
from protocol.identity import NodeId
from protocol.peer import Peer

from .mutant import Mutant, Patch, small_plan

_DONE = vars(Peer)["_done"]
_ACKNOWLEDGED = Deliveries.acknowledged
_RESTORE = Courier.restore
_YEAR_S = 365 * 86_400.0


def _vouch_at_once(self: Peer, effects: list[Effect]) -> list[Effect]:
    done: list[Effect] = _DONE(self, effects)
    marks = [effect for effect in done if isinstance(effect, Mark)]
    kept: list[Effect] = [effect for effect in done if not isinstance(effect, Mark)]
    for mark in marks:
        kept += self._courier.stored(mark.number, self._now, ok=True)
    return kept


def _acknowledge_all(
    self: Deliveries, peer: NodeId, dot: Dot, now: Instant, *, stored: bool = False
) -> list[Effect]:
    return _ACKNOWLEDGED(self, peer, max(dot, self.outbox.head), now, stored=stored)


def _restore_as_done(self: Courier, queue: Queue, now: Instant) -> None:
    branch = self._around.registry.branch(self._around.me)
    if branch is not None and branch.head is not None:
        rows = tuple(replace(row, held=branch.dot) for row in queue.deliveries)
        queue = replace(queue, deliveries=rows)
    _RESTORE(self, queue, now)


def _never_again(self: Attempts, rng: Random) -> float:
    return _YEAR_S


_POWER = Fault(FaultKind.POWER_LOSS, 6.0, 7.0, (1,))
_AWAY = Fault(FaultKind.ISOLATE, 3.0, 12.0, (1,))

DELIVERY: tuple[Mutant, ...] = (
    Mutant(
        "vouch-at-once",
        "a receipt is given for what is not on the disk yet",
        "delivery",
        small_plan(_POWER, nodes=3, safety_s=10.0, operations_per_s=40.0),
        (Patch(Peer, "_done", _vouch_at_once),),
    ),
    Mutant(
        "acknowledge-all",
        "whoever acknowledges anything is taken for holding everything",
        "delivery",
        small_plan(_AWAY, nodes=3, operations_per_s=40.0),
        (Patch(Deliveries, "acknowledged", _acknowledge_all),),
    ),
    Mutant(
        "restore-as-done",
        "after a start nobody is taken for lacking anything",
        "delivery",
        replace(
            small_plan(
                Fault(FaultKind.ISOLATE, 2.0, 14.0, (1,)),
                Fault(FaultKind.CRASH, 6.0, 7.0, (0,)),
                nodes=3,
                operations_per_s=20.0,
            ),
            lost=(2,),
        ),
        (Patch(Courier, "restore", _restore_as_done),),
    ),
    Mutant(
        "try-once",
        "who did not answer a delivery is not tried again",
        "delivery",
        replace(
            small_plan(Fault(FaultKind.CRASH, 3.0, 40.0, (3,)), operations_per_s=10.0), lost=(3,)
        ),
        (Patch(Attempts, "backoff_s", _never_again),),
    ),
)
