"""One attack on one fresh cluster.

Start all, wait until each sees all others alive, rest, look for a second in calm, lie, look on for
as long as was asked. The caller ends the processes.
"""

import time

from benchmarks.cluster.fleet import BenchError

from .attacks import Attack, Pace
from .samples import Trial
from .sides import Side, honest
from .watching import watched

JOIN_WITHIN_S = 60.0
REST_S = 3.0
"""After joining: adverts, repairs and first round-trip times are over by then."""
CALM_S = 1.0


def start(side: Side) -> None:
    """Start all, and wait until each sees all others alive.

    Raises:
        BenchError: they did not join.
        ClusterError: a process cannot be started.
    """
    fleet = side.fleet
    for index in range(len(fleet)):
        fleet.start(index)
    if not fleet.wait(fleet.all_joined, JOIN_WITHIN_S):
        raise BenchError(f"{side.name}: not joined in {JOIN_WITHIN_S:.0f} s: {fleet.missing()}")
    time.sleep(REST_S)
    side.prepare()


def run_trial(side: Side, attack: Attack, pace: Pace) -> Trial:
    """Attack a cluster that was started.

    Raises:
        BenchError: it cannot go on, or the accused was not taken for alive before.
    """
    fleet = side.fleet
    looks = {fleet.names[index]: side.look_at(index) for index in honest(len(fleet))}
    with watched(looks) as seen:
        time.sleep(CALM_S)
        if not all(each and each[-1].status and not each[-1].gone for each in seen.values()):
            raise BenchError(f"{side.name}: the accused is not alive before anything was said")
        began_s = time.monotonic()
        told = side.lie(attack, pace)
        ended_s = time.monotonic()
        # Raises if a process has ended.
        fleet.wait(lambda: False, pace.watch_s)
    return Trial(seen, began_s, ended_s, told, side.logged())
