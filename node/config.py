"""What this node was told to be: file, environment and flags, read once into one typed value.

    flag  >  environment  >  file  >  default

A stronger source replaces the whole value, lists too. Every value remembers where it came from, and
every mistake is reported, not the first alone: key, value, origin, remedy. `python -m node.config`
prints the tables of docs/CONFIG.md.

Rules this module keeps:

1. It reads no file and no environment by itself: `load` is given both.
2. Nothing secret is printed: a `Secret` shows as `***`, and errors never quote one.
3. A mistake in the file or a flag is an error; an unknown `KITH_` variable is a warning, because
   container runtimes invent some (`KITH_SERVICE_HOST`).
"""

import argparse
import difflib
import enum
import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from protocol import limits
from protocol.identity import Address
from protocol.records import NodeType

from . import parsing, settings
from .parsing import BadValueError, Place
from .settings import SETTINGS, LogFormat, LogLevel, Profile, Setting

T = TypeVar("T")

FILE_MAX = 1024 * 1024
SECRET_MAX = 512
TOKEN_WEAK = 16
"""Characters below which a token is called weak."""


class Secret:
    """Text that shows itself only when asked."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; never log it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Source(enum.IntEnum):
    """Where a value came from; the larger wins."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    FLAG = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from, in words: `file kith.toml, key node.zone`."""

    source: Source
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that cannot be used. `value` is shown text, `***` for secrets."""

    key: str
    value: str
    origin: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        shown = f"{self.key} = {self.value}" if self.value else self.key
        return f"{shown} ({self.origin}): {self.reason}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used; nothing was started. Show the text, exit with 64."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        lines = "".join(f"\n  {problem}" for problem in problems)
        many = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(f"{many} in the configuration:{lines}")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """One field for each setting of `node/settings.py`, described there and in docs/CONFIG.md."""

    config: Path | None
    name: str
    data_dir: Path
    node_type: NodeType
    load_balancer: bool
    zone: str
    region: str
    capabilities: tuple[str, ...]
    metadata: tuple[tuple[str, str], ...]
    http: Address
    gossip: Address
    metrics_port: int
    advertise: Place | None
    advertise_http: Place | None
    cluster: str
    seeds: tuple[Address, ...]
    profile: Profile
    heartbeat_interval_s: float | None
    """None: as the profile says."""
    evict_after_s: float | None
    """None: as the profile says."""
    token_file: Path | None
    token: Secret | None
    """From `token_file` or `KITH_TOKEN`; None: the HTTP API is open."""
    key_passphrase_file: Path | None
    key_passphrase: Secret | None
    """What the file holds; None: the key store is not encrypted."""
    multicast: bool
    multicast_group: Address
    log_level: LogLevel
    log_format: LogFormat
    http_connections_max: int | None
    """None: as the open files allow."""
    http_connections_per_client_max: int
    http_requests_per_s: int
    http_requests_burst: int
    http_limit_loopback: bool
    peer_connections_max: int
    check_interval_ms: int
    """In milliseconds, as check records hold it."""
    check_timeout_ms: int
    rebuild: bool
    unsafe_no_sync: bool
    drain_timeout_s: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, what looks odd about it, and where each field came from."""

    config: NodeConfig
    warnings: tuple[str, ...]
    origins: Mapping[str, Origin]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting; absent flags are None. Give `vars(namespace)` to `load`."""
    for setting in SETTINGS:
        if not setting.flag:
            continue
        by_env = f"; {setting.env}" if setting.env else ""
        told = f"{setting.what} [default: {setting.default_text.replace('`', '')}{by_env}]"
        told = told.replace("%", "%%")
        if isinstance(setting.default, bool):
            parser.add_argument(
                setting.flag,
                dest=setting.name,
                default=None,
                action=argparse.BooleanOptionalAction,
                help=told,
            )
        else:
            parser.add_argument(
                setting.flag,
                dest=setting.name,
                default=None,
                action="append" if setting.repeatable else "store",
                metavar=setting.unit.split(",")[0].upper().replace(" ", "_"),
                help=told,
            )


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    read_file: Callable[[Path], bytes],
    *,
    host_name: Callable[[], str] = socket.gethostname,
) -> Loaded:
    """Put the sources together.

    `flags` maps fields to text (lists of text for repeatable ones, booleans); None and names that
    are no settings count as absent. An empty environment variable counts as absent. Relative paths
    in the file are relative to the file.

    Raises:
        ConfigError: at least one value cannot be used; it lists all of them.
    """
    reader = _Reader(flags, environ, read_file)
    reader.open_file()
    config = _assemble(reader, host_name)
    _check_together(config, reader)
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    warnings = (*_unknown_variables(environ), *_oddities(config))
    return Loaded(config, warnings, reader.origins)


def sanitised(host_name: str) -> str:
    """A host name as a node name: lower case, `-` for what may not stand in a name."""
    first = host_name.lower()[: limits.NAME_MAX]
    word = "".join(c if c in limits.NAME_ALPHABET else "-" for c in first).strip("-")
    return word or "node"


class _Reader:
    """Finds the strongest source of each setting; gathers problems and origins."""

    def __init__(
        self,
        flags: Mapping[str, object],
        environ: Mapping[str, str],
        read_file: Callable[[Path], bytes],
    ) -> None:
        self.flags = flags
        self.environ = environ
        self.problems: list[Problem] = []
        self.origins: dict[str, Origin] = {}
        self._read_file = read_file
        self.file: Path | None = None
        self._values: dict[str, object] = {}

    def open_file(self) -> None:
        """Read the file that flag or environment names, if one does."""
        path = self.pick_path(settings.CONFIG)
        if path is None:
            return
        self.file = path
        data = self._bytes(path, settings.CONFIG)
        if data is None:
            return
        try:
            tree = tomllib.loads(data.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self.refuse(settings.CONFIG, path, f"it is not TOML: {error}", "mend that place")
            return
        self._values = _flattened(tree)
        self._refuse_unknown_keys()

    def pick(self, setting: Setting[T]) -> T:
        """The setting's value; its default where that cannot be used, with a problem noted."""
        found = self._strongest(setting)
        if found is None:
            self.origins[setting.name] = Origin(Source.DEFAULT, "default")
            return setting.default
        value, origin = found
        self.origins[setting.name] = origin
        try:
            return setting.read(value)
        except BadValueError as error:
            self.refuse(setting, value, error.reason, error.remedy)
            return setting.default

    def pick_path(self, setting: Setting[Path | None]) -> Path | None:
        """A path, `~/` resolved by HOME, relative to the file if it stands there."""
        path = self.pick(setting)
        if path is None:
            return None
        home = self.environ.get("HOME", "")
        if path.parts[:1] == ("~",) and home:
            path = Path(home, *path.parts[1:])
        if self.origins[setting.name].source is Source.FILE and self.file is not None:
            path = self.file.parent / path
        return path

    def secret(self, setting: Setting[Path | None], path: Path | None) -> Secret | None:
        """The one line in a file with a secret."""
        if path is None:
            return None
        data = self._bytes(path, setting)
        if data is None:
            return None
        try:
            line = data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            line = ""
        if not 1 <= len(line) <= SECRET_MAX or not line.isprintable():
            remedy = f"write one line of 1 to {SECRET_MAX} characters into it"
            self.refuse(setting, path, "the file holds no such secret", remedy)
            return None
        return Secret(line)

    def refuse(self, setting: Setting[object], value: object, reason: str, remedy: str) -> None:
        """Note a problem with a setting."""
        origin = self.origins[setting.name]
        shown = "***" if setting.secret else _shown(value)
        key = setting.key or setting.name
        self.problems.append(Problem(key, shown, str(origin), reason, remedy))

    def _strongest(self, setting: Setting[object]) -> tuple[object, Origin] | None:
        flag = self.flags.get(setting.name)
        if flag is not None:
            return flag, Origin(Source.FLAG, f"flag {setting.flag}")
        variable = self.environ.get(setting.env, "") if setting.env else ""
        if variable:
            return variable, Origin(Source.ENVIRONMENT, f"environment {setting.env}")
        if setting.key and setting.key in self._values:
            text = f"file {self.file}, key {setting.key}"
            return self._values[setting.key], Origin(Source.FILE, text)
        return None

    def _bytes(self, path: Path, setting: Setting[object]) -> bytes | None:
        try:
            data = self._read_file(path)
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror or type(error).__name__}"
            self.refuse(setting, path, reason, "name a file that this user may read")
            return None
        if len(data) > FILE_MAX:
            self.refuse(setting, path, f"the file is longer than {FILE_MAX} bytes", "shorten it")
            return None
        return data

    def _refuse_unknown_keys(self) -> None:
        known = [setting.key for setting in SETTINGS if setting.key]
        for key in self._values:
            if key in known:
                continue
            near = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else "see docs/CONFIG.md for all keys"
            # An unknown key may hold a secret put in the wrong place, so its value stays unsaid.
            where = f"file {self.file}"
            self.problems.append(Problem(key, "", where, "there is no such key", remedy))


def _assemble(reader: _Reader, host_name: Callable[[], str]) -> NodeConfig:
    pick, pick_path = reader.pick, reader.pick_path
    name = pick(settings.NAME) or sanitised(host_name())
    token_file = pick_path(settings.TOKEN_FILE)
    passphrase_file = pick_path(settings.KEY_PASSPHRASE_FILE)
    return NodeConfig(
        config=reader.file,
        name=name,
        data_dir=pick_path(settings.DATA_DIR) or _data_dir(name, reader.environ),
        node_type=pick(settings.NODE_TYPE),
        load_balancer=pick(settings.LOAD_BALANCER),
        zone=pick(settings.ZONE),
        region=pick(settings.REGION),
        capabilities=pick(settings.CAPABILITIES),
        metadata=pick(settings.METADATA),
        http=pick(settings.HTTP),
        gossip=pick(settings.GOSSIP),
        metrics_port=pick(settings.METRICS_PORT),
        advertise=pick(settings.ADVERTISE),
        advertise_http=pick(settings.ADVERTISE_HTTP),
        cluster=pick(settings.CLUSTER),
        seeds=pick(settings.SEEDS),
        profile=pick(settings.PROFILE),
        heartbeat_interval_s=pick(settings.HEARTBEAT_INTERVAL),
        evict_after_s=pick(settings.EVICT_AFTER),
        token_file=token_file,
        token=_token(reader, token_file),
        key_passphrase_file=passphrase_file,
        key_passphrase=reader.secret(settings.KEY_PASSPHRASE_FILE, passphrase_file),
        multicast=pick(settings.MULTICAST),
        multicast_group=pick(settings.MULTICAST_GROUP),
        log_level=pick(settings.LOG_LEVEL),
        log_format=pick(settings.LOG_FORMAT),
        http_connections_max=pick(settings.HTTP_CONNECTIONS_MAX),
        http_connections_per_client_max=pick(settings.HTTP_CONNECTIONS_PER_CLIENT_MAX),
        http_requests_per_s=pick(settings.HTTP_REQUESTS_PER_S),
        http_requests_burst=pick(settings.HTTP_REQUESTS_BURST),
        http_limit_loopback=pick(settings.HTTP_LIMIT_LOOPBACK),
        peer_connections_max=pick(settings.PEER_CONNECTIONS_MAX),
        check_interval_ms=pick(settings.CHECK_INTERVAL),
        check_timeout_ms=pick(settings.CHECK_TIMEOUT),
        rebuild=pick(settings.REBUILD),
        unsafe_no_sync=pick(settings.UNSAFE_NO_SYNC),
        drain_timeout_s=pick(settings.DRAIN_TIMEOUT),
    )


def _token(reader: _Reader, path: Path | None) -> Secret | None:
    text = reader.pick(settings.TOKEN)
    if len(text) > SECRET_MAX:
        reader.refuse(
            settings.TOKEN, text, "it is too long", f"use at most {SECRET_MAX} characters"
        )
    by_file, by_env = reader.origins["token_file"].source, reader.origins["token"].source
    if by_env is Source.DEFAULT or by_file > by_env:
        return reader.secret(settings.TOKEN_FILE, path)
    if by_file is by_env:
        reader.refuse(settings.TOKEN, text, "KITH_TOKEN_FILE is set as well", "set one of the two")
    return Secret(text)


def _data_dir(name: str, environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"], "kith", name)
    if environ.get("HOME"):
        return Path(environ["HOME"], ".local/share/kith", name)
    return Path("kith-data", name)


def _check_together(config: NodeConfig, reader: _Reader) -> None:
    """Rules over several settings."""
    if config.check_timeout_ms > config.check_interval_ms:
        reader.refuse(
            settings.CHECK_TIMEOUT,
            f"{config.check_timeout_ms}ms",
            f"it is longer than checks.interval ({config.check_interval_ms}ms)",
            "make it no longer than the interval",
        )
    heartbeat_s, evict_after_s = config.heartbeat_interval_s, config.evict_after_s
    if heartbeat_s is not None and evict_after_s is not None and evict_after_s <= 4 * heartbeat_s:
        reader.refuse(
            settings.EVICT_AFTER,
            f"{evict_after_s}s",
            f"it is not longer than four heartbeats of {heartbeat_s}s",
            "make it longer, or the heartbeats more frequent",
        )
    if config.http == config.gossip and config.http.port != 0:
        # Both listen by TCP.
        reader.refuse(
            settings.GOSSIP, str(config.gossip), "the HTTP API listens there", "use another port"
        )
    if config.metrics_port and config.metrics_port == config.gossip.port:
        reader.refuse(
            settings.METRICS_PORT, config.metrics_port, "gossip uses that port", "use another port"
        )


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = [setting.env for setting in SETTINGS if setting.env]
    warnings = []
    for variable in sorted(environ):
        if not variable.startswith("KITH_") or variable in (*known, *settings.ENV_ELSEWHERE):
            continue
        near = difflib.get_close_matches(variable, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        warnings.append(f"environment {variable} is not a setting and was ignored{hint}")
    return warnings


def _oddities(config: NodeConfig) -> list[str]:
    """What works, but is hardly meant."""
    warnings = []
    if config.token is None and not parsing.is_loopback(config.http.host):
        warnings.append(
            f"the HTTP API listens on {config.http} without a token: whoever reaches it "
            "can register and deregister; set --token-file or KITH_TOKEN"
        )
    if config.token is not None and len(config.token.reveal()) < TOKEN_WEAK:
        warnings.append(f"the token is shorter than {TOKEN_WEAK} characters and can be guessed")
    away = [seed for seed in config.seeds if not parsing.is_loopback(seed.host)]
    if away and parsing.is_loopback(config.gossip.host) and config.advertise is None:
        warnings.append(
            f"gossip listens on {config.gossip}, where the seed {away[0]} cannot reach it; "
            "set --gossip 0.0.0.0:8401"
        )
    return warnings


def _flattened(tree: Mapping[str, object]) -> dict[str, object]:
    """`section.key` for each key; whatever stands outside a section keeps its bare name."""
    flat: dict[str, object] = {}
    sections = {setting.key.partition(".")[0] for setting in SETTINGS}
    for section, inside in tree.items():
        if isinstance(inside, dict) and (inside or section in sections):
            flat.update({f"{section}.{key}": value for key, value in inside.items()})
        else:
            flat[section] = inside
    return flat


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, Path | int | float) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


if __name__ == "__main__":
    sys.stdout.write(settings.markdown())
