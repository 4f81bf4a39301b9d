"""The library of those who use the registry without being a node of it."""

from .guests import GuestKey, GuestKeyError, is_signed

__all__ = ("GuestKey", "GuestKeyError", "is_signed")
