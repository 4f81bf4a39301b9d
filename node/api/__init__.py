"""The native HTTP API, a module per resource; `Edge` puts them together."""

from .edge import Edge

__all__ = ("Edge",)
