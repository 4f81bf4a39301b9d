"""What queues in the kernel do to all that leaves a node: one bucket, and delays by netem.

    root 77: tbf ── 1: htb ─┬─ 1:1  all else
       a thin line          ├─ 1:2  to the first peer    netem
                            └─ …

Without a thin line htb is the root, without delays there is only tbf. What comes in is not held up
by any of it: the other end's queues do that.

Rules this module keeps:

1. One table for a stage holds what all faults want; a node whose faults are healed has no queue.
2. A node with several thin lines has the thinnest.
3. A node without a network, since it does not run, is no error; `again` gives it its queues.
"""

import contextlib
import threading
from collections.abc import Mapping

from chaos.cluster.cluster import Member, NoNetworkError

from .delayline import PACKETS_MAX, Shape
from .fault import FaultError, Stage
from .links import run_inside

DEVICE = "eth0"
_KEY = "egress"
_CLEAR = ("tc", "qdisc", "del", "dev", DEVICE, "root")
_NONE_THERE = ("No such file", "handle of zero", "Invalid handle")
_BUCKET = "burst 16kb latency 400ms"
_WIDE = "htb rate 10gbit ceil 10gbit quantum 60000"
_BY_ADDRESS = "protocol ip prio 1 u32 match ip dst"


class Egress:
    """The queues of all nodes' devices; one for a stage."""

    def __init__(self) -> None:
        self._rates: dict[str, dict[object, int]] = {}
        self._shapes: dict[str, Mapping[str, Shape]] = {}
        self._in_force: set[str] = set()
        self._lock = threading.RLock()

    @staticmethod
    def of(stage: Stage) -> "Egress":
        """The stage's own."""
        table = stage.held.get(_KEY)
        if not isinstance(table, Egress):
            table = stage.held[_KEY] = Egress()
        return table

    def thin(self, member: Member, owner: object, rate_bits: int | None) -> None:
        """Let a fault thin a node's line to so many bits a second, or no more.

        Raises:
            FaultError: its queues could not be set.
        """
        with self._lock:
            rates = self._rates.setdefault(member.name, {})
            rates.pop(owner, None)
            if rate_bits is not None:
                rates[owner] = rate_bits
            self._apply(member)

    def hold(self, member: Member, shapes: Mapping[str, Shape]) -> None:
        """Hold back so what goes to these addresses, by netem. Raises FaultError as `thin`."""
        with self._lock:
            self._shapes[member.name] = shapes
            self._apply(member)

    def again(self, member: Member) -> None:
        """Set a node's queues, which its network may have lost. Raises FaultError as `thin`."""
        with self._lock:
            if member.name in self._in_force:
                self._apply(member)

    def _apply(self, member: Member) -> None:
        if member.name in self._in_force:
            try:
                run_inside(member, "", *_CLEAR)
            except NoNetworkError:
                pass  # its queues went with it
            except FaultError as error:
                # Where there is none, tc says so, and nothing has to be done.
                if not any(words in str(error) for words in _NONE_THERE):
                    raise
            self._in_force.discard(member.name)
        rate_bits = min(self._rates.get(member.name, {}).values(), default=0)
        if lines := egress_lines(rate_bits, self._shapes.get(member.name, {})):
            self._in_force.add(member.name)
            with contextlib.suppress(NoNetworkError):
                run_inside(member, lines, "tc", "-batch", "-")


def egress_lines(rate_bits: int, shapes: Mapping[str, Shape]) -> str:
    """For `tc -batch`, on a device without queues of ours: 0 bits a second are no thin line."""
    lines, parent = [], "root"
    if rate_bits:
        lines.append(f"qdisc add dev {DEVICE} root handle 77: tbf rate {rate_bits}bit {_BUCKET}")
        parent = "parent 77:1"
    if shapes:
        lines += [
            f"qdisc add dev {DEVICE} {parent} handle 1: htb default 1",
            f"class add dev {DEVICE} parent 1: classid 1:1 {_WIDE}",
        ]
    for number, (address, shape) in enumerate(shapes.items(), 2):
        lines += [
            f"class add dev {DEVICE} parent 1: classid 1:{number:x} {_WIDE}",
            f"qdisc add dev {DEVICE} parent 1:{number:x} netem {_netem(shape)}",
            f"filter add dev {DEVICE} parent 1: {_BY_ADDRESS} {address}/32 flowid 1:{number:x}",
        ]
    return "".join(f"{line}\n" for line in lines)


def _netem(shape: Shape) -> str:
    words = [f"limit {PACKETS_MAX} delay {shape.latency_s * 1000:.3f}ms"]
    if shape.jitter_s:
        words.append(f"{shape.jitter_s * 1000:.3f}ms")
    if shape.reorder:
        words.append(f"reorder {shape.reorder * 100:.3f}%")
    if shape.duplicate:
        words.append(f"duplicate {shape.duplicate * 100:.3f}%")
    return " ".join(words)
