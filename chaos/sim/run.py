"""One run: a plan becomes a world, faults and clients do their work, checkers judge.

    0 ──start──▶ WARM_S ──safety: faults, clients──▶ heal ──liveness: only what is lost──▶ end

In the safety phase anything may go wrong, and nothing wrong may be believed or lost. Then all is
healed but for the nodes that are lost for good, and what is left, the core, must converge.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from chaos.checkers import Limits, check_all
from chaos.history import TableSize

from .byzantine import Villain
from .clients.documents import Editors, states
from .clients.services import Workload
from .faults import Injector
from .latencies import latencies_of
from .node import SimNode
from .plan import Plan
from .result import Result
from .tables import most, sizes
from .trace import TraceSink
from .world import World

WARM_S = 6.0
"""The time that nodes have to start and join before anything goes wrong."""
START_SPREAD_S = 1.0
SAMPLE_S = 1.0
"""Between two looks at everybody's root."""
CALM_S = 4.0
"""A core that has been equal for so long has converged; the run ends then."""
SETTLE_MIN_S = 12.0
"""The liveness phase lasts at least so long, so that times after healing can be judged."""

MEASURED_MAX = 4
"""Nodes whose tables are measured at the end."""
MEASURED_MIN = 8
"""Smaller tables say nothing."""

Progress = Callable[[float, float], None]


def run(
    plan: Plan,
    *,
    trace: TraceSink | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Result:
    """Carry out a plan and judge it. The same plan always gives the same result."""
    run_of = Run(plan, trace)
    run_of.play(progress)
    return run_of.judge(limits or Limits())


class Run:
    """A world with everything that happens to it. `play`, then `judge`."""

    def __init__(self, plan: Plan, trace: TraceSink | None = None) -> None:
        self.plan = plan
        self.world = World(plan, trace)
        self.injector = Injector(self.world, Random(f"{plan.seed}/faults"))
        liars = {number for number, _ in plan.villains}
        self.honest = [node for node in self.world.nodes if node.number not in liars]
        self.core = [node for node in self.honest if node.number not in plan.lost]
        self.workload = Workload(self.world, Random(f"{plan.seed}/clients"), self.honest)
        self.editors = Editors(self.world, Random(f"{plan.seed}/editors"), self.honest)
        self.villains = [
            Villain(self.world, self.world.nodes[number], role, Random(f"{plan.seed}/v/{number}"))
            for number, role in plan.villains
        ]
        history = self.world.history
        history.villains = tuple(self.world.nodes[number].name for number, _ in plan.villains)
        history.core = tuple(node.name for node in self.core)
        history.joined = plan.joined
        for number, _ in plan.villains:
            self.world.recorder.villains[self.world.nodes[number].id] = None
            self.world.network.uncounted[number] = None
        self._equal_since: float | None = None

    @property
    def heal_at_s(self) -> float:
        """When the liveness phase begins."""
        return WARM_S + self.plan.safety_s

    def play(self, progress: Progress | None = None) -> None:
        """Let it all happen."""
        plan, timeline = self.plan, self.world.timeline
        self.injector.links_changed()
        self._start()
        for fault in plan.faults:
            timeline.at(WARM_S + fault.at_s, self.injector.inject, fault)
            timeline.at(WARM_S + fault.until_s, self.injector.heal, fault)
        timeline.at(WARM_S, self.workload.begin)
        timeline.at(WARM_S, self.editors.begin)
        for villain in self.villains:
            timeline.at(WARM_S, villain.begin)
        timeline.at(self.heal_at_s, self._heal)
        timeline.at(SAMPLE_S, self._sample)
        self.world.network.counting_from_s = WARM_S
        end = self.heal_at_s + plan.liveness_s
        while timeline.now < end and not self._converged():
            timeline.run(min(end, timeline.now + SAMPLE_S))
            if progress is not None:
                progress(timeline.now, end)

    def judge(self, limits: Limits) -> Result:
        """Close the history and let every checker read it."""
        world, history = self.world, self.world.history
        history.end_s = world.timeline.now
        history.views = [
            replace(world.view(node), documents=states(node.peer.registry, world))
            for node in self.honest
            if node.up
        ]
        for node in self.honest:
            if node.up:
                world.recorder.reported(node.name, node.peer.episodes.newest())
                world.recorder.queue(node.name, node.peer.deliveries, node.clock)
        self._measure_tables()
        world.recorder.finish()
        history.operations.sort(key=lambda operation: (operation.invoked_s, operation.number))
        traffic = world.network.traffic
        counts = {
            "virtual_s": world.timeline.now,
            "events": float(world.timeline.done),
            "datagrams": float(traffic.datagrams),
            "datagram_bytes": float(traffic.bytes),
            "lost": float(traffic.lost),
            "requests": float(traffic.requests),
            "operations": float(len(history.operations)),
            "messages_node_s_max": float(traffic.node_s_max),
        }
        for reason in sorted({reason for node in self.honest for reason in node.drops}):
            total = sum(node.drops.get(reason, 0) for node in self.honest)
            counts[f"refused_{reason}"] = float(total)
        return Result(
            self.plan,
            check_all(history, limits),
            latencies_of(history),
            counts,
            world.trace.hash,
            history,
        )

    def _measure_tables(self) -> None:
        now, nodes = self.world.timeline.now, self.plan.nodes
        for node in [node for node in self.core if node.up][:MEASURED_MAX]:
            self.world.history.tables += [
                TableSize(now, node.name, table, size, most(table, nodes))
                for table, size in sizes(node.peer).items()
                if size >= MEASURED_MIN
            ]

    def _start(self) -> None:
        spread = Random(f"{self.plan.seed}/start")
        for node in self.world.nodes:
            at_s = 0.0 if self.plan.joined else spread.random() * START_SPREAD_S
            self.world.timeline.at(at_s, node.start)

    def _heal(self) -> None:
        self.workload.writing = self.editors.writing = False
        self.injector.heal_all()
        for number in self.plan.lost:
            self.injector.lose(self.world.nodes[number])
        self.world.history.heal_at_s = self.world.timeline.now
        self.world.trace.note(self.world.timeline.now, "fault", "all healed")

    def _sample(self) -> None:
        recorder = self.world.recorder
        for node in self.honest:
            if node.up:
                recorder.root(node.name, node.peer.registry)
                recorder.stands(node.name, node.peer.membership.standing())
        self.world.timeline.after(SAMPLE_S, self._sample)
        now = self.world.timeline.now
        if now < self.heal_at_s or not self._equal():
            self._equal_since = None
        elif self._equal_since is None:
            self._equal_since = now

    def _equal(self) -> bool:
        """Whether the core holds one registry, and reaches all of itself."""
        if not all(node.up and node.peer.ready for node in self.core):
            return False
        latest = self.world.history.roots[-len(self.honest) :]
        core = set(self.world.history.core)
        if len({sample.honest for sample in latest if sample.node in core}) > 1:
            return False
        return all(_reaches(node, self.core) for node in self.core)

    def _converged(self) -> bool:
        now = self.world.timeline.now
        return (
            now >= self.heal_at_s + SETTLE_MIN_S
            and self._equal_since is not None
            and now >= self._equal_since + CALM_S
        )


def _reaches(node: SimNode, core: list[SimNode]) -> bool:
    membership = node.peer.membership
    return all(
        (status := membership.status(other.id)) is not None and status.value in ("alive", "suspect")
        for other in core
    )
