"""The instances registered with this node: the use cases behind the HTTP API."""

from .batch import Batch
from .claims import Claim, Request
from .failures import commit, overloaded, refusal_of
from .instances import Instances, Registered, Told
from .news import CheckNews
from .updates import UpdateIds

__all__ = (
    "Batch",
    "CheckNews",
    "Claim",
    "Instances",
    "Registered",
    "Request",
    "Told",
    "UpdateIds",
    "commit",
    "overloaded",
    "refusal_of",
)
