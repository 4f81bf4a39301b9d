"""Which Kith this is."""

from importlib import metadata

VERSION = metadata.version("kith")
