"""Nodes as they run where Kith is deployed: what the benchmarks start, unless they say otherwise.

The container image and the systemd unit run Python without docstrings and asserts, and find its
bytecode ready. A checkout has neither, and would be measured as what nobody runs in production.
"""

import compileall
import os
import subprocess

from node.cli.local_cluster import NODE_COMMAND, ROOT

from .cluster.fleet import BenchError

NODE = (NODE_COMMAND[0], "-OO", *NODE_COMMAND[1:])
"""Starts one node, before its flags; `-OO` is what `PYTHONOPTIMIZE=2` says."""
_LAYERS = ("protocol", "storage", "node", "mesh")
_LOADED_WITHIN_S = 120.0


def prepare() -> None:
    """Write the bytecode of all modules, Python's own too, as it lies in the image.

    Otherwise each node compiles them anew as it starts, where PYTHONDONTWRITEBYTECODE is set.

    Raises:
        BenchError: the node's modules cannot be loaded.
    """
    for layer in _LAYERS:
        for optimize in (0, 2):
            compileall.compile_dir(ROOT / layer, quiet=1, optimize=optimize)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for command in (NODE, NODE_COMMAND):
        done = subprocess.run(
            (*command, "--help"), capture_output=True, env=environ, check=False,
            timeout=_LOADED_WITHIN_S,
        )  # fmt: skip
        if done.returncode:
            raise BenchError(f"kith node --help: {done.stderr[-200:]!r}")
