"""Critical changes: those that two halves of a cluster must not make apart.

Who owns a document, or which key speaks for a node: such a change, made on both sides of a
partition, could only be settled by undoing one. So it is made on the side that reaches the
majority; on exactly half of the members, or fewer, it is refused.
"""

from node.http import ApiError
from protocol.detector.partition import Partition
from protocol.peer import Peer

_CUT_OFF = {Partition.MINORITY: "fewer than half", Partition.EVEN: "only half"}
"""`forget` is not critical: with it an operator ends a state that will not mend itself."""


def require_majority(peer: Peer, what: str) -> None:
    """Refuse a critical change where this node may not make it.

    Args:
        peer: the machine, whose membership knows on which side of a partition we are.
        what: the change, as the subject of a sentence: `rotating this node's key`.

    Raises:
        ApiError: 503 `minority`; nothing was changed.
    """
    side = peer.membership.partition()
    share = _CUT_OFF.get(side)
    if share is not None:
        reached, known = peer.membership.reach()
        raise ApiError(
            503, "minority", f"{what} needs the majority, and this node reaches {share} of the "
            f"members that it knew ({side.value}: {reached} of {known}); ask a node on the other "
            "side, wait until the network is whole, or forget members that are gone for good",
        )  # fmt: skip
