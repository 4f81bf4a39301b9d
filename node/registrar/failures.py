"""What the core and the disk refuse, in the words of the API."""

from collections.abc import Mapping

from node.driver import Answer, DiskFull, Done, Driver
from node.http import ApiError, invalid_field, too_large
from protocol.bodies import Body
from protocol.commits import Dot, RecordKey
from protocol.delivery.standing import Priority
from protocol.errors import ProposalError

from .claims import Claim

RETRY_AFTER_S = 1
"""What a client is told to wait when there is no room."""
_BUSY = ("overloaded", "limit", "waiting")


def refusal_of(error: ProposalError) -> ApiError:
    """The answer to a change that cannot be taken; nothing was changed."""
    message = str(error)
    if error.field in _BUSY:
        return overloaded(error.message)
    if error.field == "record":
        return too_large("record", message)
    return invalid_field(error.field, message)


def overloaded(message: str) -> ApiError:
    """503: no room for that; nothing was changed."""
    return ApiError(503, "overloaded", message, headers=_retry(RETRY_AFTER_S))


def disk_full(*, definite: bool) -> ApiError:
    """503: no room on the disk."""
    message = (
        "there is no room on this node's disk; nothing was changed"
        if definite
        else "there is no room on this node's disk; the change was signed and takes effect when "
        "there is: look, or repeat it with the same update_id"
    )
    return ApiError(503, "disk_full", message, definite=definite, headers=_retry(RETRY_AFTER_S))


async def commit(
    driver: Driver,
    changes: Mapping[RecordKey, Body | None],
    claim: Claim | None = None,
    *,
    priority: Priority = Priority.NORMAL,
) -> Dot:
    """`Driver.propose`, with the errors of the API. Begins without waiting.

    The result of a claimed update id is durable together with the commit.

    Raises:
        ApiError: 400, 413, 503; see `refusal_of` and `disk_full`.
    """
    if claim is None:
        return await _propose(driver, changes, None, priority)
    claim.taken = True
    try:
        return await _propose(driver, changes, claim.sign, priority)
    except ApiError as error:
        claim.taken = not error.definite
        raise


async def _propose(
    driver: Driver,
    changes: Mapping[RecordKey, Body | None],
    answer: Answer | None,
    priority: Priority,
) -> Dot:
    try:
        return await driver.propose(changes, answer, priority=priority)
    except ProposalError as error:
        raise refusal_of(error) from None
    except DiskFull as error:
        raise disk_full(definite=error.definite) from None


def begin(
    driver: Driver,
    changes: Mapping[RecordKey, Body | None],
    done: Done,
    claim: Claim | None = None,
    *,
    more: bool = False,
) -> None:
    """`Driver.begin`, with the errors of the API.

    The result of a claimed update id is durable together with the commit.

    Raises:
        ApiError: 400, 413, 503; see `refusal_of` and `disk_full`. Nothing was taken.
    """
    try:
        driver.begin(changes, done, claim.sign if claim else None, more=more)
    except ProposalError as error:
        raise refusal_of(error) from None
    except DiskFull:
        raise disk_full(definite=True) from None
    if claim is not None:
        claim.taken = True


def _retry(seconds: int) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(seconds)),)
