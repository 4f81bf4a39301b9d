"""`kith dev`: a throw-away cluster on this machine, with a real service registered in it.

Stays in the foreground. Signals only set a flag that every wait looks at, so that ending is orderly
at any moment: children first, then their data, then exit 0.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from node.client import ApiClient, ApiError, Json

from .errors import DEGRADED, GOOD, UNKNOWN, CommandError
from .local_cluster import (
    HOST,
    NODES_MAX,
    POLL_S,
    PORTS_APART,
    ClusterError,
    LocalCluster,
    is_free,
)
from .options import Command, whole

SERVICE = "demo"
SERVICE_WAIT_S = 15.0
READY_WAIT_S = 60.0
PORT_LAST = 65_000
ENDING = (signal.SIGINT, signal.SIGTERM)
STOP_SIGNALS = (*ENDING, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many nodes, where, and whether with a service."""
    parser.add_argument(
        "--nodes", type=whole(1, NODES_MAX), default=3, metavar="N", help=f"1 to {NODES_MAX} (3)"
    )
    parser.add_argument(
        "--http-port",
        type=_port,
        default=8400,
        metavar="PORT",
        help="of the first node; the others follow ten apart; 0: any free ones (8400)",
    )
    parser.add_argument(
        "--service",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start and register a small HTTP service (yes)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="the nodes' logs on standard error, not in files"
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text) <= PORT_LAST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {PORT_LAST}")
    return int(text)


class StopFlag:
    """Set by the first signal to stop; every wait looks at it."""

    def __init__(self) -> None:
        self._signals = 0

    def install(self) -> Callable[[], None]:
        """Take over the signals; the result gives them back."""
        # Under nohup, hanging up is ignored and shall be.
        wanted = [n for n in STOP_SIGNALS if n in ENDING or signal.getsignal(n) != signal.SIG_IGN]
        before = [(number, signal.signal(number, self._note)) for number in wanted]

        def restore() -> None:
            for number, handler in before:
                signal.signal(number, handler)

        return restore

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._signals > 0

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1


def run(arguments: argparse.Namespace) -> int:
    """Run the cluster until it is told to stop; 0 then, 1 if the nodes ended by themselves."""
    stop = StopFlag()
    restore = stop.install()
    try:
        with LocalCluster(
            arguments.nodes, http_port=arguments.http_port, verbose=arguments.verbose
        ) as cluster:
            code = _drive(cluster, arguments, stop)
            _say("stopping …")
    except ClusterError as error:
        hint = "the last lines above are the end of its log; --verbose shows all of it"
        raise CommandError(str(error), UNKNOWN, hint=hint, code="not_started") from None
    finally:
        restore()
    _say("all ended; data removed")
    return code


def _drive(cluster: LocalCluster, arguments: argparse.Namespace, stop: StopFlag) -> int:
    if arguments.http_port not in {0, _first_port(cluster)}:
        _say(f"ports from {arguments.http_port} on are taken; using {_first_port(cluster)}")
    _say(f"starting {len(cluster)} nodes, data in {cluster.directory} …")
    cluster.start()
    if not cluster.wait_ready(READY_WAIT_S, say=_say, cancelled=stop.is_set):
        return GOOD
    service_url = ""
    if arguments.service:
        service_url = _start_service(cluster, stop)
    if not stop.is_set():
        print(_guide(cluster, service_url), flush=True)
    return _watch(cluster, stop)


def _first_port(cluster: LocalCluster) -> int:
    return int(cluster.api_url(0).rpartition(":")[2])


def _watch(cluster: LocalCluster, stop: StopFlag) -> int:
    while not stop.is_set():
        for fallen in cluster.newly_fallen():
            _say(str(fallen))
        if not any(cluster.pid(index) for index in range(len(cluster))):
            _say("no node is left")
            return DEGRADED
        time.sleep(POLL_S)
    return GOOD


def _start_service(cluster: LocalCluster, stop: StopFlag) -> str:
    """Start, register and find the demo service; its URL. What fails is said, and is not fatal."""
    wish = _first_port(cluster) + PORTS_APART - 1
    port = cluster.start_service(SERVICE, wish if is_free(wish) else 0)
    url = f"http://{HOST}:{port}"
    check: Json = {"type": "http", "url": f"{url}/health", "interval": "2s", "timeout": "1s"}
    body: Json = {"name": SERVICE, "port": port, "address": HOST, "checks": [check]}
    try:
        with ApiClient(cluster.api_url(0), None, SERVICE_WAIT_S) as api:
            api.call("POST", "/v1/services", body=body)
    except ApiError as error:
        _say(f"the demo service could not be registered: {error}")
        return url
    last = len(cluster) - 1
    deadline = time.monotonic() + SERVICE_WAIT_S
    while not stop.is_set() and time.monotonic() < deadline:
        if _is_found(cluster.api_url(last)):
            _say(
                f"service {SERVICE} registered with {cluster.node_name(0)},"
                f" found through {cluster.node_name(last)}"
            )
            return url
        time.sleep(POLL_S)
    if not stop.is_set():
        _say(f"the demo service is not passing on {cluster.node_name(last)} yet")
    return url


def _is_found(api_url: str) -> bool:
    try:
        with ApiClient(api_url, None, 1.0) as api:
            query = [("health", "passing")]
            found = api.call("GET", f"/v1/services/{SERVICE}", query=query).value
    except ApiError:
        return False
    return isinstance(found, dict) and bool(found.get("instances"))


def _guide(cluster: LocalCluster, service_url: str) -> str:
    """Where to look, and commands to copy."""
    kith, last = _own_command(), len(cluster) - 1
    lines = ["", f"A cluster of {len(cluster)} is up. Ctrl-C ends it and removes its data.", ""]
    for index in range(len(cluster)):
        log = cluster.log_path(index)
        where = f"   log {log}" if log else ""
        name, url = cluster.node_name(index), cluster.api_url(index)
        lines.append(f"  node {name:<3} {url}   pid {cluster.pid(index)}{where}")
    if service_url:
        lines.append(f"  service {service_url}/   registered with node {cluster.node_name(0)}")
    asked = f"--api {cluster.api_url(last)}"
    lines += ["", "Try:", ""]
    if service_url:
        lines += [
            f"  curl -s {cluster.api_url(last)}/v1/services/{SERVICE}",
            f"  {kith} lookup {SERVICE} {asked}",
        ]
    lines += [f"  {kith} peers {asked}", f"  {kith} status {asked}"]
    if len(cluster) > 1:
        lines.append(f"  kill -9 {cluster.pid(0)}   then look at the peers again")
    return "\n".join([*lines, ""])


def _own_command() -> str:
    """How the user started us, as something to copy."""
    if shutil.which("kith"):
        return "kith"
    started = Path(sys.argv[0])
    if started.name != "kith":
        return f"{sys.executable} -m node.cli"
    here = Path.cwd()
    return str(started.relative_to(here)) if started.is_relative_to(here) else str(started)


def _say(message: str) -> None:
    print(f"kith dev: {message}", file=sys.stderr, flush=True)


COMMANDS = {
    "dev": Command(
        add_arguments, run, "It listens on loopback only, without a secret, and keeps nothing."
    )
}
