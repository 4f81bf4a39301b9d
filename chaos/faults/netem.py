"""The kernel's own queue that delays, a class for each peer.

    root 1: htb ─┬─ 1:1  all else
                 ├─ 1:2  to the first peer    netem
                 └─ …

Rules this module keeps:

1. It says the words; who runs them is not its business.
"""

from collections.abc import Mapping

from .delayline import PACKETS_MAX, Shape

DEVICE = "eth0"
_BY_ADDRESS = "protocol ip prio 1 u32 match ip dst"
_WIDE = "rate 10gbit ceil 10gbit quantum 60000"


def netem_lines(shapes: Mapping[str, Shape]) -> str:
    """For `tc -batch`: hold back what is sent to these addresses."""
    lines = [
        f"qdisc replace dev {DEVICE} root handle 1: htb default 1",
        f"class replace dev {DEVICE} parent 1: classid 1:1 htb {_WIDE}",
    ]
    for number, (address, shape) in enumerate(shapes.items(), 2):
        lines += [
            f"class replace dev {DEVICE} parent 1: classid 1:{number:x} htb {_WIDE}",
            f"qdisc replace dev {DEVICE} parent 1:{number:x} netem {_words(shape)}",
            f"filter add dev {DEVICE} parent 1: {_BY_ADDRESS} {address}/32 flowid 1:{number:x}",
        ]
    return "".join(f"{line}\n" for line in lines)


def clear_words() -> tuple[str, ...]:
    """What takes all of it away."""
    return ("tc", "qdisc", "del", "dev", DEVICE, "root")


def _words(shape: Shape) -> str:
    words = [f"limit {PACKETS_MAX} delay {shape.latency_s * 1000:.3f}ms"]
    if shape.jitter_s:
        words.append(f"{shape.jitter_s * 1000:.3f}ms")
    if shape.reorder:
        words.append(f"reorder {shape.reorder * 100:.3f}%")
    if shape.duplicate:
        words.append(f"duplicate {shape.duplicate * 100:.3f}%")
    return " ".join(words)
