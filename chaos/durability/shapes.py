"""Reading what nodes and the doctor say in JSON; what is not as expected reads as nothing."""

from chaos.cluster.client import Json, Shape
from protocol.commits import NOTHING, Dot


def shape(of: Shape, name: str) -> Shape:
    """A member that is an object."""
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def rows(of: Shape, name: str) -> list[Shape]:
    """A member that is a list of objects."""
    value = of.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def whole(of: Shape, name: str) -> int:
    """A member that is an integer."""
    value = of.get(name)
    return value if isinstance(value, int) else 0


def dot(of: Json) -> Dot:
    """An object of epoch and version."""
    if not isinstance(of, dict) or not isinstance(of.get("epoch"), int):
        return NOTHING
    return Dot(whole(of, "epoch"), whole(of, "version"))


def dots(of: Shape, name: str) -> dict[str, Dot]:
    """A member that says of each of many how far it is."""
    return {key: dot(value) for key, value in shape(of, name).items()}
