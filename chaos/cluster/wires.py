"""What this machine can do to links: cut them, thin them, hold packets back, and by which means.

    netem    a queue of the kernel (tc-netem(8)) for each peer, where the kernel has it
    tun      a delay line of ours in each node's network, anywhere else

Rules this module keeps:

1. What can be had is tried in a network of its own, once in this process, and not guessed.
2. A reason says what is missing and what brings it.
"""

import functools
import shutil
import threading

from .cluster import ClusterError
from .commands import run
from .names import new_name

NETEM, TUN = "netem", "tun"
_DEVICE_FILE = "/dev/net/tun"
_NETEM = ("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
_TUN = ("ip", "tuntap", "add", "dev", "kith-trial", "mode", "tun")
_BUCKET = (
    *("tc", "qdisc", "add", "dev", "lo", "root"),
    *("tbf", "rate", "1mbit", "burst", "16kb", "latency", "400ms"),
)
_LOCK = threading.Lock()


def why_no_cuts() -> str:
    """What keeps this machine from cutting and loosening links; empty if nothing does."""
    return _why_no_tools("iptables")


def why_no_bandwidth() -> str:
    """What keeps this machine from thin lines; empty if nothing does."""
    if reason := _why_no_tools("ip", "iptables", "tc"):
        return reason
    if refused := _refusal(_BUCKET):
        return f"the kernel has no token bucket (tc-tbf), module sch_tbf: {refused}"
    return ""


def why_no_delay() -> str:
    """What keeps this machine from delays on links; empty if nothing does."""
    if reason := _why_no_tools("ip", "iptables", "tc"):
        return reason
    if delay_means() == NETEM or not (refused := _refusal(_TUN)):
        return ""
    return (
        "the kernel has neither netem (module sch_netem) nor tun devices (module tun, and "
        f"{_DEVICE_FILE}): {refused}"
    )


def delay_means() -> str:
    """By which means delays are made on this machine: `netem` or `tun`."""
    return TUN if _refusal(_NETEM) else NETEM


def _refusal(words: tuple[str, ...]) -> str:
    """What is said when that is tried in a network of its own; empty if it can be done."""
    with _LOCK:
        return _tried(words)


@functools.cache
def _tried(words: tuple[str, ...]) -> str:
    name = f"{new_name()}-trial"
    try:
        run(["ip", "netns", "add", name])
    except ClusterError as error:
        return str(error)
    try:
        run(["ip", "netns", "exec", name, *words])
    except ClusterError as error:
        return str(error)
    else:
        return ""
    finally:
        run(["ip", "netns", "delete", name])


def _why_no_tools(*tools: str) -> str:
    missing = [tool for tool in tools if not shutil.which(tool)]
    if not missing:
        return ""
    return f"no {' and no '.join(missing)}; on Debian: apt-get install iproute2 iptables"
