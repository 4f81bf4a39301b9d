"""The instances registered with this node: the use cases behind the HTTP API."""

from .failures import commit, refusal_of
from .instances import Instances, Registered
from .news import CheckNews
from .updates import Request, UpdateIds

__all__ = (
    "CheckNews",
    "Instances",
    "Registered",
    "Request",
    "UpdateIds",
    "commit",
    "refusal_of",
)
