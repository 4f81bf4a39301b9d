"""The knobs of the failure detector, with the reason for each default.

Times are in seconds. A value that cannot work is refused here, once, with a message that names the
field; nothing else checks it again. The plain defaults are the `lan` profile.
"""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipConfig:
    """How eagerly we watch, how long we doubt, how much we say."""

    rings: int = 8
    """K: how many observers a member has, if there are so many others (`K = n − 1` below that).

    Each costs nothing while nothing happens: a member sends one heartbeat an interval, to each
    observer in turn. More observers withstand more liars and make verdicts slower to agree.
    """

    majority: int = 5
    """How many of all K observers certify; with k < K of them ⌊k/2⌋ + 1 and the same share of what
    this exceeds ⌊K/2⌋ + 1 by. Strictly more than half, so two certificates share an observer.
    """

    heartbeat_interval_s: float = 0.5
    """Between two heartbeats of a node. Each observer hears every `K · heartbeat_interval_s`.

    The first observer to miss one does so within an interval and the grace, so detection grows
    with this and with nothing else; idle traffic is its inverse.
    """

    grace_s: float = 0.15
    """How late a heartbeat, or our own event loop, may be. Above the worst scheduling delay."""

    ping_spacing_s: float = 0.1
    """Between two pings of a check; above the 99th percentile of the round trip."""

    last_wait_s: float = 0.1
    """How much longer than the spacing the last try may take, which goes over TCP as well."""

    pings_min: int = 3
    pings_max: int = 10
    check_error: float = 0.001
    """A check pings between `pings_min` and `pings_max` times: as often as makes a failure by
    chance rarer than `check_error`, at the loss measured on heartbeats. It lasts
    `pings · ping_spacing_s + last_wait_s`; beyond four pings they come closer, down to half the
    spacing.
    """

    ask_unless_heard_s: float = 0.3
    """Who was answered by the subject within this does not check it again because another asks."""

    stand_s: float = 0.6
    """How long votes short of a majority stand before each node judges for itself; above the time
    in which a refutation reaches everybody (about 0.1 s a hop when the gossip is busy).
    """

    recheck_s: float = 0.5
    """How often a node checks a member again over which votes stand undecided."""

    refuted_within_s: float = 2.0
    hold_min_s: float = 2.0
    hold_max_s: float = 60.0
    """A vote refuted within `refuted_within_s` puts its author's votes on that subject on hold for
    `hold_min_s`, doubling each time to `hold_max_s`, unless another observer votes too.
    """

    signature_interval_s: float = 0.25
    """At most one new signed ack in this; the same one serves everybody who asks."""

    sweep_interval_s: float = 2.0
    """At most this often a node checks everybody."""

    reconnect_interval_s: float = 1.0
    """How often one unreachable member, at random, is tried."""

    dead_contact_interval_s: float = 10.0
    """How often one dead member, at random, is tried: two sides find each other after any time."""

    evict_after_s: float = 15.0
    """How long a member must be unreachable, certified, before it is dead.

    Above any pause of a healthy machine (collection, live migration). Only being dropped from the
    rings waits for it: lookups leave a member out as soon as it is unreachable.
    """

    stopping_grace_s: float = 60.0
    """How long a member that said `stopping` is left in peace: a restart with an upgrade."""

    reap_after_s: float = 24 * 3600.0
    """How long a dead or departed member is remembered."""

    budget_per_s: float = 36.0
    budget_burst: float = 10.0
    """Token bucket for everything but heartbeats, in messages. It bounds what a storm of failures
    or lies makes a node send: in no second more than rate and burst, and a burst of answers owed.
    """

    gossip_interval_s: float = 0.1
    gossip_targets: int = 4
    gossip_repeats: int = 2
    """At most one datagram an interval to each of so many ring neighbours, each item so often:
    with `l` loss and `t` targets a hop fails with `l^(t · repeats)` at the worst.
    """

    members_max: int = 10_000
    """Including dead ones; see `limits.MEMBERS_MAX`."""

    def __post_init__(self) -> None:
        _check(1 <= self.rings <= 64, "rings must be in 1..64")
        _check(
            self.rings // 2 < self.majority <= self.rings,
            "majority must be more than half of rings, and no more than rings",
        )
        for name in _POSITIVE:
            _check(getattr(self, name) > 0, f"{name} must be positive")
        _check(
            1 <= self.pings_min <= self.pings_max <= 100, "pings_min..pings_max must be in 1..100"
        )
        _check(0 < self.check_error < 1, "check_error must be between 0 and 1")
        _check(self.hold_min_s <= self.hold_max_s, "hold_max_s must not be below hold_min_s")
        _check(
            self.budget_burst >= self.gossip_targets + 1,
            "budget_burst must exceed gossip_targets, or nothing could ever be sent",
        )
        _check(1 <= self.gossip_targets <= 16, "gossip_targets must be in 1..16")
        _check(1 <= self.gossip_repeats <= 16, "gossip_repeats must be in 1..16")
        _check(2 <= self.members_max <= 1_000_000, "members_max must be in 2..1000000")

    @classmethod
    def local(cls) -> Self:
        """All nodes on one machine: quicker, since nothing but a busy processor delays."""
        return cls(
            heartbeat_interval_s=0.25,
            grace_s=0.1,
            ping_spacing_s=0.06,
            stand_s=0.4,
            evict_after_s=10.0,
        )

    @classmethod
    def lan(cls) -> Self:
        """One data centre; the defaults."""
        return cls()

    @classmethod
    def wan(cls) -> Self:
        """Several regions: round trips of up to 400 ms, and links that come and go."""
        return cls(
            heartbeat_interval_s=1.0,
            grace_s=0.6,
            ping_spacing_s=0.45,
            last_wait_s=0.4,
            ask_unless_heard_s=1.0,
            stand_s=2.0,
            recheck_s=1.5,
            refuted_within_s=4.0,
            hold_min_s=4.0,
            sweep_interval_s=5.0,
            evict_after_s=60.0,
        )

    @classmethod
    def hostile(cls) -> Self:
        """As `lan`, where up to a third of the nodes may lie: 11 of 16 observers must agree."""
        return cls(rings=16, majority=11)

    def majority_of(self, observers: int) -> int:
        """How many votes certify, of so many observers."""
        excess = self.majority - (self.rings // 2 + 1)
        return observers // 2 + 1 + excess * observers // self.rings

    def late_after_s(self, observers: int) -> float:
        """How long an observer waits for a heartbeat of a subject that has so many observers."""
        return observers * self.heartbeat_interval_s + self.grace_s


_POSITIVE = (
    "heartbeat_interval_s",
    "grace_s",
    "ping_spacing_s",
    "last_wait_s",
    "ask_unless_heard_s",
    "stand_s",
    "recheck_s",
    "refuted_within_s",
    "hold_min_s",
    "signature_interval_s",
    "sweep_interval_s",
    "reconnect_interval_s",
    "dead_contact_interval_s",
    "evict_after_s",
    "stopping_grace_s",
    "reap_after_s",
    "budget_per_s",
    "gossip_interval_s",
)


def _check(holds: bool, complaint: str) -> None:
    if not holds:
        raise ValueError(complaint)
