"""`/v1/services`, what changes it: one instance, one answer that is on its way, or many at once."""

from .batch import BatchRoutes
from .services import ServiceRoutes

__all__ = ("BatchRoutes", "ServiceRoutes")
