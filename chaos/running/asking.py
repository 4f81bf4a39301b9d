"""One request to a node, and what its answer says."""

from collections.abc import Mapping

from chaos.cluster.client import Answer, Client, NoAnswerError, Shape
from chaos.history import Key, Operation, Outcome

from .identities import Identities
from .record import Sample

NUMBER = "n"
"""The metadata that holds the number of the write."""
DONE = (200, 201, 204)


def asked(
    client: Client,
    method: str,
    path: str,
    body: Shape | None,
    more: Mapping[str, str] | None = None,
) -> tuple[Answer | None, Outcome, str]:
    """One request: its answer, how it ended, and why not well."""
    try:
        answer = client.call(method, path, body, more=more)
    except NoAnswerError as error:
        return None, Outcome.FAILED if error.refused else Outcome.INDEFINITE, str(error)
    if answer.status in DONE:
        return answer, Outcome.OK, ""
    said = answer.value.get("error")
    code = str(said.get("code")) if isinstance(said, dict) else ""
    # A lookup changes nothing: whatever is refused is failed.
    failed = answer.definite or method == "GET"
    return answer, Outcome.FAILED if failed else Outcome.INDEFINITE, f"{answer.status} {code}"


def shown(answer: Answer, identities: Identities) -> tuple[tuple[Key, int], ...]:
    """The instances of a lookup's answer, each with the number of the write that set it."""
    service = str(answer.value.get("service"))
    found = []
    for one in answer.rows("instances"):
        metadata = one.get("metadata")
        number = metadata.get(NUMBER) if isinstance(metadata, dict) else None
        if isinstance(number, str) and number.isdigit():
            owner = identities.name_of(str(one.get("owner")))
            found.append((Key(owner, service, str(one.get("id"))), int(number)))
    return tuple(found)


def sample_of(
    operation: Operation, why: str, *, begun_s: float | None = None, action: str = ""
) -> Sample:
    """What a report shows of it."""
    since_s = operation.invoked_s if begun_s is None else begun_s
    ms = round((operation.completed_s - since_s) * 1e3, 2)
    word = action or operation.action.value
    return Sample(round(since_s, 3), ms, operation.node, word, operation.outcome.value, why)
