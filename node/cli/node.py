"""`kith node`: one node in the foreground, until SIGTERM or Ctrl-C.

The only module of this package that imports the server, and it imports no table and no HTTP
client: a node should carry nothing that only people need.
"""

import argparse
import os
import sys
from pathlib import Path

from node import config, server

from .errors import UsageError
from .options import Command


def run(arguments: argparse.Namespace) -> int:
    """Read the configuration and serve; the server says how it ended.

    Raises:
        UsageError: the configuration cannot be used; nothing was started.
    """
    try:
        loaded = config.load(vars(arguments), os.environ, Path.read_bytes)
    except config.ConfigError as error:
        raise UsageError(str(error), hint="see: kith node --help, docs/CONFIG.md") from None
    for warning in loaded.warnings:
        print(f"kith: warning: {warning}", file=sys.stderr)
    return server.run(loaded.config)


COMMANDS = {
    "node": Command(
        config.add_flags,
        run,
        "example: kith node --name b --data-dir ./b --http 127.0.0.1:8410"
        " --gossip 127.0.0.1:8411 --seed 127.0.0.1:8401",
    )
}
