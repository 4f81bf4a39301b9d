"""`kith version`: what this program is."""

import argparse
import json
import platform

from node.version import VERSION

from .errors import GOOD
from .options import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes the global options only."""
    parser.set_defaults(verb="version")


def run(arguments: argparse.Namespace) -> int:
    """Print the version, without asking a node."""
    facts = {"version": VERSION, "python": platform.python_version()}
    if getattr(arguments, "json", False):
        print(json.dumps(facts, indent=2))
    else:
        print(f"kith {facts['version']} (Python {facts['python']})")
    return GOOD


COMMANDS = {"version": Command(add_arguments, run)}
