"""Every setting of a node: one table that drives the file, the environment, the flags and the docs.

A `Setting` says what it is called in each source, how its text becomes a value, its default, its
unit, what it does and why it is as it is. `node/config.py` reads them; `markdown` writes the tables
of `docs/CONFIG.md`, and a test holds the two together. To add a setting: a line here, a field in
`NodeConfig`, and the tables printed anew by `python -m node.config`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeAlias, TypeVar

from protocol.identity import Address
from protocol.records import NodeType

from . import parsing
from .parsing import Place

T_co = TypeVar("T_co", covariant=True)

Profile: TypeAlias = Literal["local", "lan", "wan", "hostile"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["json", "console", "auto"]

SEEDS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T_co]):
    """One knob. `word` names it in flags and environment, `key` in the file."""

    name: str
    """The field of `NodeConfig`."""
    word: str
    key: str
    """`section.key` in the TOML file, or nothing if it may not stand there."""
    read: Callable[[object], T_co]
    default: T_co
    default_text: str
    """The default as a person would write it."""
    unit: str
    """How it is written."""
    what: str
    why: str
    has_flag: bool = True
    has_env: bool = True
    repeatable: bool = False
    secret: bool = False
    """Its value appears in no message."""

    @property
    def env(self) -> str:
        """The environment variable, or nothing."""
        return f"KITH_{self.word.upper().replace('-', '_')}" if self.has_env else ""

    @property
    def flag(self) -> str:
        """The flag of `kith node`, or nothing."""
        return f"--{self.word}" if self.has_flag else ""


# fmt: off
CONFIG: Setting[Path | None] = Setting(
    name="config", word="config", key="", read=parsing.path, default=None, default_text="none",
    unit="path", what="The TOML file to read.",
    why="No file is looked for by itself: what a node does depends on what you gave it.",
)

NAME: Setting[str] = Setting(
    name="name", word="name", key="node.name", read=parsing.name, default="",
    default_text="the host name", unit="name",
    what="What people call this node.",
    why="It proves nothing and need not be unique: the node id does both. The default is the host "
    "name in lower case, with `-` for what may not stand in a name.",
)
DATA_DIR: Setting[Path | None] = Setting(
    name="data_dir", word="data-dir", key="node.data_dir", read=parsing.path, default=None,
    default_text="`$XDG_DATA_HOME/kith/NAME`", unit="path",
    what="Directory of the key store and the database.",
    why="One node to a directory, held by a lock. Without `XDG_DATA_HOME` it is "
    "`~/.local/share/kith/NAME`, without a home `./kith-data/NAME`.",
)
NODE_TYPE: Setting[NodeType] = Setting(
    name="node_type", word="node-type", key="node.type",
    read=lambda value: NodeType(
        parsing.choice("proxy", "backend", "governator")(value)
    ),
    default=NodeType.BACKEND, default_text="backend", unit="proxy, backend, governator",
    what="The node's role.",
    why="A governator also votes on critical changes; the others differ only in what they tell.",
)
LOAD_BALANCER: Setting[bool] = Setting(
    name="load_balancer", word="load-balancer", key="node.load_balancer", read=parsing.flag,
    default=False, default_text="false", unit="true, false",
    what="Whether this node balances load.",
    why="A flag beside the role, told to all peers.",
)
ZONE: Setting[str] = Setting(
    name="zone", word="zone", key="node.zone", read=parsing.name_or_nothing, default="",
    default_text="none", unit="name",
    what="Where it runs: rack, hall, availability zone.",
    why="Instances registered here inherit it; `zone=` filters lookups by it.",
)
REGION: Setting[str] = Setting(
    name="region", word="region", key="node.region", read=parsing.name_or_nothing, default="",
    default_text="none", unit="name",
    what="The region that the zone is in.",
    why="Told to all peers; nothing is derived from it.",
)
CAPABILITIES: Setting[tuple[str, ...]] = Setting(
    name="capabilities", word="capability", key="node.capabilities", read=parsing.names_sorted,
    default=("service",), default_text="service", unit="names, 1 to 64", repeatable=True,
    what="What this node can do.",
    why="Free tags, never empty; `capability=` filters peers by them.",
)
METADATA: Setting[tuple[tuple[str, str], ...]] = Setting(
    name="metadata", word="metadata", key="node.metadata", read=parsing.pairs_sorted, default=(),
    default_text="none", unit="key=value, at most 64", repeatable=True,
    what="Facts of your own about the node.",
    why="Signed and told to all peers, so no secrets. In the file it is a table.",
)

HTTP: Setting[Address] = Setting(
    name="http", word="http", key="listen.http", read=parsing.address,
    default=Address("127.0.0.1", 8400), default_text="127.0.0.1:8400", unit="HOST:PORT",
    what="Where the HTTP API listens.",
    why="Loopback, because services register with the node on their own machine. Beyond loopback, "
    "set a token. Port 0: any free port.",
)
GOSSIP: Setting[Address] = Setting(
    name="gossip", word="gossip", key="listen.gossip", read=parsing.address,
    default=Address("127.0.0.1", 8401), default_text="127.0.0.1:8401", unit="HOST:PORT",
    what="Where peers reach this node, by UDP and TCP.",
    why="Loopback until you say otherwise; `0.0.0.0:8401` listens everywhere. One port for both, "
    "so one firewall rule.",
)
METRICS_PORT: Setting[int] = Setting(
    name="metrics_port", word="metrics-port", key="listen.metrics_port",
    read=parsing.whole(0, parsing.PORT_MAX), default=0, default_text="0", unit="port",
    what="A port of its own for `/telemetry`, told to all peers.",
    why="0: no further port, `/telemetry` is on the HTTP port and that one is told. A port of its "
    "own lets the collector in without letting it register.",
)
ADVERTISE: Setting[Place | None] = Setting(
    name="advertise", word="advertise", key="advertise.gossip", read=parsing.reachable_place,
    default=None, default_text="where it listens", unit="HOST[:PORT]",
    what="The address that peers are told.",
    why="Needed behind NAT, and where the default route is not the peers' network. A node that "
    "listens on `0.0.0.0` advertises the address of its default route, never `0.0.0.0`.",
)
ADVERTISE_HTTP: Setting[Place | None] = Setting(
    name="advertise_http", word="advertise-http", key="advertise.http",
    read=parsing.reachable_place, default=None, default_text="where it listens",
    unit="HOST[:PORT]",
    what="The address of the HTTP API that peers are told.",
    why="Others are sent there to change what this node owns.",
)

CLUSTER: Setting[str] = Setting(
    name="cluster", word="cluster", key="cluster.name", read=parsing.name, default="kith",
    default_text="kith", unit="name",
    what="The cluster this node belongs to.",
    why="It is part of everything signed: nodes of another name cannot be talked to by mistake. "
    "It is no secret.",
)
SEEDS: Setting[tuple[Address, ...]] = Setting(
    name="seeds", word="seed", key="cluster.seeds",
    read=parsing.listed(parsing.remote_address, most=SEEDS_MAX), default=(), default_text="none",
    unit="HOST:PORT, at most 64", repeatable=True,
    what="Peers to ask first.",
    why="All are asked at once; a name stands for all its addresses and is looked up anew in every "
    "round. Any one that answers is enough.",
)
PROFILE: Setting[Profile] = Setting(
    name="profile", word="profile", key="cluster.profile",
    read=parsing.choice("local", "lan", "wan", "hostile"), default="lan", default_text="lan",
    unit="local, lan, wan, hostile",
    what="The protocol's pace, set together.",
    why="The parameters depend on each other; `wan` is slower and more forgiving, `hostile` asks "
    "16 observers instead of 8. All nodes of a cluster use the same.",
)
HEARTBEAT_INTERVAL: Setting[float | None] = Setting(
    name="heartbeat_interval_s", word="heartbeat-interval", key="cluster.heartbeat_interval",
    read=parsing.duration_s("50ms", "60s"), default=None,
    default_text="from the profile (lan: 500ms)",
    unit="duration",
    what="Time between two heartbeats.",
    why="A crash is noticed after about `rings * interval + grace`; idle traffic is inverse to it.",
)
EVICT_AFTER: Setting[float | None] = Setting(
    name="evict_after_s", word="evict-after", key="cluster.evict_after",
    read=parsing.duration_s("1s", "24h"), default=None, default_text="from the profile (lan: 15s)",
    unit="duration",
    what="How long a member is certified unreachable before it is dead.",
    why="Out of lookups it is at once; this is the time in which it may return as if nothing "
    "had happened.",
)

TOKEN_FILE: Setting[Path | None] = Setting(
    name="token_file", word="token-file", key="security.token_file", read=parsing.path,
    default=None, default_text="none: open", unit="path",
    what="File with the secret that HTTP callers must show.",
    why="A file, because flags are seen by everyone on the machine. One line, 1 to 512 characters.",
)
TOKEN: Setting[str] = Setting(
    name="token", word="token", key="", read=parsing.text, default="", default_text="none: open",
    unit="text", has_flag=False, secret=True,
    what="The secret itself.",
    why="For containers that pass secrets by environment. No flag and no key in the file, where it "
    "would be read by others. Of this and `token_file` the stronger source counts.",
)
KEY_PASSPHRASE_FILE: Setting[Path | None] = Setting(
    name="key_passphrase_file", word="key-passphrase-file", key="security.key_passphrase_file",
    read=parsing.path, default=None, default_text="none: not encrypted", unit="path",
    what="File with the passphrase of the key store.",
    why="With it the private keys are encrypted at rest; a key store not yet encrypted is "
    "encrypted at the next start. Its last line break does not count.",
)

MULTICAST: Setting[bool] = Setting(
    name="multicast", word="multicast", key="discovery.multicast", read=parsing.flag,
    default=False, default_text="false", unit="true, false",
    what="Announce this node on the local network and listen for others.",
    why="Off, because it tells everyone on the network that Kith runs here. Who is found must "
    "still prove itself.",
)
MULTICAST_GROUP: Setting[Address] = Setting(
    name="multicast_group", word="multicast-group", key="discovery.multicast_group",
    read=parsing.group_address, default=Address("239.255.84.1", 8402),
    default_text="239.255.84.1:8402", unit="GROUP:PORT",
    what="The IPv4 group to announce to.",
    why="In the local scope of RFC 2365; datagrams leave with TTL 1 and pass no router.",
)

LOG_LEVEL: Setting[LogLevel] = Setting(
    name="log_level", word="log-level", key="log.level",
    read=parsing.choice("debug", "info", "warning", "error"), default="info", default_text="info",
    unit="debug, info, warning, error",
    what="The least important record that is written.",
    why="`debug` also writes every refused datagram and whole tracebacks.",
)
LOG_FORMAT: Setting[LogFormat] = Setting(
    name="log_format", word="log-format", key="log.format",
    read=parsing.choice("json", "console", "auto"), default="auto", default_text="auto",
    unit="json, console, auto",
    what="A JSON object a line, or lines for people.",
    why="`auto` is `console` on a terminal, else `json`. Both go to standard error.",
)

HTTP_CONNECTIONS_MAX: Setting[int | None] = Setting(
    name="http_connections_max", word="http-connections-max", key="limits.http_connections",
    read=parsing.whole(1, 1_000_000), default=None,
    default_text="as the open files allow, at most 16384", unit="connections",
    what="HTTP connections open at one time; one more is answered 503.",
    why="Each costs a file descriptor and some 10 KiB; watchers hold one each. The node raises its "
    "limit on open files (`ulimit -n`) to the hard one, keeps 1,300 for everything else, and never "
    "admits more connections than the rest.",
)
HTTP_CONNECTIONS_PER_CLIENT_MAX: Setting[int] = Setting(
    name="http_connections_per_client_max", word="http-connections-per-client-max",
    key="limits.http_connections_per_client", read=parsing.whole(1, 1_000_000), default=256,
    default_text="256", unit="connections",
    what="HTTP connections open at one time from one address, in IPv6 from one /64.",
    why="Many clients are needed to shut out the rest. Raise it where many come from one address: "
    "through a proxy, or on this machine.",
)
HTTP_REQUESTS_PER_S: Setting[int] = Setting(
    name="http_requests_per_s", word="http-requests-per-s", key="limits.http_requests_per_s",
    read=parsing.whole(0, 1_000_000), default=10_000, default_text="10000",
    unit="requests a second",
    what="Requests a second of one client (an address, in IPv6 a /64); more are answered 429.",
    why="Half of what one core answers, so that no client takes the node whole. 0: no limit. "
    "Clients on this machine are not limited, see below.",
)
HTTP_REQUESTS_BURST: Setting[int] = Setting(
    name="http_requests_burst", word="http-requests-burst", key="limits.http_requests_burst",
    read=parsing.whole(1, 10_000_000), default=20_000, default_text="20000", unit="requests",
    what="Requests of one client at once, after a while of few.",
    why="Many clients behind one address may start together.",
)
HTTP_LIMIT_LOOPBACK: Setting[bool] = Setting(
    name="http_limit_loopback", word="http-limit-loopback", key="limits.http_limit_loopback",
    read=parsing.flag, default=False, default_text="false", unit="true, false",
    what="Whether the limit on requests holds for clients on this machine, too.",
    why="All its programs share one address and could take the CPU anyway; the local agents of "
    "other registries do not limit them. Set it where a proxy on this machine lets others in.",
)
PEER_CONNECTIONS_MAX: Setting[int] = Setting(
    name="peer_connections_max", word="peer-connections-max", key="limits.peer_connections",
    read=parsing.whole(8, 10_000), default=200, default_text="200", unit="connections",
    what="Streams to and from peers open at one time.",
    why="Kept connections spare handshakes; the least recently used is closed for a new one.",
)

CHECK_INTERVAL: Setting[int] = Setting(
    name="check_interval_ms", word="check-interval", key="checks.interval",
    read=parsing.duration_ms("100ms", "24h"), default=5_000, default_text="5s", unit="duration",
    what="Time between two runs of a health check that names none.",
    why="A dead instance is critical after about `interval * failures_before_critical`.",
)
CHECK_TIMEOUT: Setting[int] = Setting(
    name="check_timeout_ms", word="check-timeout", key="checks.timeout",
    read=parsing.duration_ms("10ms", "5m"), default=2_000, default_text="2s", unit="duration",
    what="How long such a check waits for its answer.",
    why="No longer than the interval: runs of one check never overlap.",
)

REBUILD: Setting[bool] = Setting(
    name="rebuild", word="rebuild", key="disk.rebuild", read=parsing.flag,
    default=False, default_text="false", unit="true, false",
    what="Move a database that is damaged aside, and read this node back from its peers.",
    why="Off: damage is refused with one line, so that you may put a backup back; what no peer "
    "holds is gone otherwise. A database that is whole is left alone.",
)
UNSAFE_NO_SYNC: Setting[bool] = Setting(
    name="unsafe_no_sync", word="unsafe-no-sync", key="disk.unsafe_no_sync", read=parsing.flag,
    default=False, default_text="false", unit="true, false",
    what="Acknowledge changes before they are written, and never wait for the disk.",
    why="Loses what it acknowledged in a crash, and may fork then. For throw-away clusters, and to "
    "see that a test of crashes finds losses; log, `/readyz` and a metric say that it is on.",
)

DRAIN_TIMEOUT: Setting[float] = Setting(
    name="drain_timeout_s", word="drain-timeout", key="shutdown.drain_timeout",
    read=parsing.duration_s("0s", "10m"), default=4.0, default_text="4s", unit="duration",
    what="How long an ending node waits for requests under way and deliveries.",
    why="Shorter than the 10 s after which container runtimes kill.",
)

SETTINGS: tuple[Setting[object], ...] = (
    CONFIG, NAME, DATA_DIR, NODE_TYPE, LOAD_BALANCER, ZONE, REGION, CAPABILITIES, METADATA,
    HTTP, GOSSIP, METRICS_PORT, ADVERTISE, ADVERTISE_HTTP,
    CLUSTER, SEEDS, PROFILE, HEARTBEAT_INTERVAL, EVICT_AFTER,
    TOKEN_FILE, TOKEN, KEY_PASSPHRASE_FILE, MULTICAST, MULTICAST_GROUP,
    LOG_LEVEL, LOG_FORMAT, HTTP_CONNECTIONS_MAX,
    HTTP_CONNECTIONS_PER_CLIENT_MAX, HTTP_REQUESTS_PER_S, HTTP_REQUESTS_BURST, HTTP_LIMIT_LOOPBACK,
    PEER_CONNECTIONS_MAX,
    CHECK_INTERVAL, CHECK_TIMEOUT, REBUILD, UNSAFE_NO_SYNC, DRAIN_TIMEOUT,
)
"""In the order of the documentation."""
# fmt: on

ENV_ELSEWHERE = ("KITH_API",)
"""Variables that other commands read; not unknown."""


def markdown() -> str:
    """The tables of `docs/CONFIG.md`, one for each section of the file."""
    lines: list[str] = []
    section = None
    for setting in SETTINGS:
        before = setting.key.partition(".")[0] or ("security" if setting.secret else "")
        if before != section:
            section = before
            lines += ["", f"### `[{section}]`" if section else "### Where to read", ""]
            lines += ["| key | environment | flag | default | written as | what, and why |"]
            lines += ["|---|---|---|---|---|---|"]
        lines.append(f"| {' | '.join(_cells(setting))} |")
    return "\n".join(lines[1:]) + "\n"


def _cells(setting: Setting[object]) -> Iterator[str]:
    for name in (setting.key.partition(".")[2], setting.env, setting.flag):
        yield f"`{name}`" if name else "–"
    yield setting.default_text
    yield setting.unit + (", repeatable" if setting.repeatable else "")
    yield f"{setting.what} {setting.why}"
