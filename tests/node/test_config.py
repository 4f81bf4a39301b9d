"""Configuration: four sources, one typed value, every mistake named."""
# ruff: noqa: S104, S106 - wildcards and names of secret files are what is tested here

import argparse
import contextlib
import dataclasses
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import advertise, parsing, settings
from node.config import (
    FILE_MAX,
    ConfigError,
    Loaded,
    NodeConfig,
    Secret,
    Source,
    add_flags,
    load,
    sanitised,
)
from node.parsing import Place
from protocol.identity import Address
from protocol.records import NodeType

DOCS = Path(__file__).parents[2] / "docs" / "CONFIG.md"


def files(**texts: str | bytes) -> Callable[[Path], bytes]:
    """A file system of these files; `kith_toml` is `kith.toml`."""
    held = {name.replace("_", "."): text for name, text in texts.items()}

    def read(path: Path) -> bytes:
        if path.name not in held:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        text = held[path.name]
        return text.encode() if isinstance(text, str) else text

    return read


def loaded(
    toml: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    read: Callable[[Path], bytes] | None = None,
    flags: Mapping[str, object] | None = None,
    **more: object,
) -> Loaded:
    given = {**(flags or {}), **more}
    if toml is not None:
        given["config"] = "kith.toml"
    read_file = read or files(kith_toml=toml or "")
    return load(given, {"HOME": "/home/u", **(env or {})}, read_file, host_name=lambda: "Box 1")


def mistakes(
    toml: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    **more: object,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(toml, env=env, flags={**(flags or {}), **more})
    return [str(problem) for problem in caught.value.problems]


def test_without_any_source_everything_is_default() -> None:
    result = loaded()

    assert result.config.name == "box-1"
    assert result.config.data_dir == Path("/home/u/.local/share/kith/box-1")
    assert result.config.http == Address("127.0.0.1", 8400)
    assert result.config.gossip == Address("127.0.0.1", 8401)
    assert result.config.capabilities == ("service",)
    assert result.config.token is None
    assert result.config.check_interval_ms == 5_000
    assert result.warnings == ()
    assert {str(origin) for origin in result.origins.values()} == {"default"}


def test_every_field_is_a_setting_and_every_setting_a_field() -> None:
    fields = {field.name for field in dataclasses.fields(NodeConfig)}
    assert fields - {"key_passphrase"} == {setting.name for setting in settings.SETTINGS}


def test_no_two_settings_share_a_name() -> None:
    for of in ("name", "key", "env", "flag"):
        named = [getattr(setting, of) for setting in settings.SETTINGS if getattr(setting, of)]
        assert len(named) == len(set(named))


def test_each_default_is_what_its_text_says() -> None:
    for setting in settings.SETTINGS:
        if setting.default_text[0].isdigit() or setting.default_text in setting.unit.split(", "):
            default = setting.read(setting.default_text)
            assert default == setting.default, setting.name


def test_flag_beats_environment_beats_file_beats_default() -> None:
    toml, env = '[node]\nzone = "file"', {"KITH_ZONE": "env"}

    results = [loaded(), loaded(toml), loaded(toml, env=env), loaded(toml, env=env, zone="flag")]

    assert [result.config.zone for result in results] == ["", "file", "env", "flag"]
    assert [str(result.origins["zone"]) for result in results] == [
        "default",
        "file kith.toml, key node.zone",
        "environment KITH_ZONE",
        "flag --zone",
    ]
    assert [result.origins["zone"].source for result in results] == list(Source)


def test_a_stronger_list_replaces_the_weaker_one_whole() -> None:
    toml = '[cluster]\nseeds = ["a:1", "b:2"]'

    assert loaded(toml).config.seeds == (Address("a", 1), Address("b", 2))
    assert loaded(toml, env={"KITH_SEED": "c:3, d:4,"}).config.seeds == (
        Address("c", 3),
        Address("d", 4),
    )
    assert loaded(toml, seeds=["e:5"]).config.seeds == (Address("e", 5),)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert loaded('[node]\nzone = "z"', env={"KITH_ZONE": ""}).config.zone == "z"


def test_flags_of_argparse_reach_the_configuration() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    argv = "--name a --seed x:1 --seed y:2 --capability b --capability a --load-balancer"
    argv += " --metadata rack=r7 --metadata note=a=b,c --node-type governator --evict-after 1m"

    config = loaded(flags=vars(parser.parse_args(argv.split()))).config

    assert config.name == "a"
    assert config.seeds == (Address("x", 1), Address("y", 2))
    assert config.capabilities == ("a", "b")
    assert config.load_balancer is True
    assert config.metadata == (("note", "a=b,c"), ("rack", "r7"))
    assert config.node_type is NodeType.GOVERNATOR
    assert config.evict_after_s == 60.0


def test_a_boolean_flag_can_be_taken_back() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = vars(parser.parse_args(["--no-multicast"]))

    assert loaded("[discovery]\nmulticast = true", flags=flags).config.multicast is False


def test_the_help_names_every_flag_with_default_and_variable() -> None:
    parser = argparse.ArgumentParser(prog="kith")
    add_flags(parser)
    shown = " ".join(parser.format_help().split())

    for setting in settings.SETTINGS:
        assert not setting.flag or setting.flag in shown
    assert "[default: 127.0.0.1:8400; KITH_HTTP]" in shown


def test_other_entries_of_the_namespace_are_left_alone() -> None:
    assert loaded(command="node", json=True).config.name == "box-1"


# Every rule of every kind of value: what is refused, and what is said.


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"name": "Web"}, "'W' may not stand in a name"),
        ({"name": "a" * 129}, "129 characters"),
        ({"zone": "a b"}, "' ' may not stand in a name"),
        ({"node_type": "king"}, "write one of: proxy, backend, governator"),
        ({"profile": "moon"}, "write one of: local, lan, wan, hostile"),
        ({"log_level": "loud"}, "write one of: debug"),
        ({"log_format": "xml"}, "write one of: json"),
        ({"http": "127.0.0.1"}, "it has no port; write HOST:PORT, such as 127.0.0.1:8401"),
        ({"http": "127.0.0.1:66000"}, "'66000' is not a port"),
        ({"http": "127.0.0.1:"}, "'' is not a port"),
        ({"http": "::1:8400"}, "an IPv6 address stands in brackets"),
        ({"http": "[::1:8400"}, "brackets hold no IPv6 address"),
        ({"http": "[::1]8400"}, "brackets hold no IPv6 address"),
        ({"http": "10.0.0.256:8400"}, "neither an IP address nor a host name"),
        ({"http": "a..b:8400"}, "neither an IP address nor a host name"),
        ({"http": "http://a:1"}, "brackets"),
        ({"gossip": ""}, "it is empty"),
        ({"seeds": ["a:0"]}, "nobody listens on port 0"),
        ({"seeds": ["0.0.0.0:8401"]}, "not an address to call"),
        ({"seeds": ["ok:1", "b"]}, "'b': it has no port"),
        ({"seeds": [f"s{n}:1" for n in range(65)]}, "it has 65 items"),
        ({"advertise": "0.0.0.0"}, "others cannot call it"),
        ({"advertise": "[::]:8401"}, "others cannot call it"),
        ({"advertise": "a:0"}, "others cannot call it"),
        ({"advertise_http": "239.1.2.3"}, "others cannot call it"),
        ({"capabilities": []}, "it has 0 items"),
        ({"capabilities": ["x"] * 65}, "it has 65 items"),
        ({"capabilities": ["a b"]}, "'a b'"),
        ({"metadata": ["rack"]}, "'rack' has no '='"),
        ({"metadata": ["a=1", "a=2"]}, "the key 'a' stands twice"),
        ({"metadata": ["A=1"]}, "'A' may not stand in a name"),
        ({"metadata": ["a=" + "x" * 513]}, "has 513 characters"),
        ({"metadata": [f"k{n}=v" for n in range(65)]}, "it has 65 items"),
        ({"metrics_port": "99999"}, "it is not between 0 and 65535"),
        ({"metrics_port": "many"}, "it is not a whole number"),
        ({"peer_connections_max": "1"}, "it is not between 8 and 10000"),
        ({"http_connections_max": "0"}, "it is not between 1 and 1000000"),
        ({"http_connections_per_client_max": "0"}, "it is not between 1 and 1000000"),
        ({"check_interval_ms": "5"}, "it is not a duration; a duration is a number and a unit"),
        ({"check_interval_ms": "50ms"}, 'it is not between 100ms and 24h; write "100ms"'),
        ({"drain_timeout_s": "11m"}, "it is not between 0s and 10m"),
        ({"multicast_group": "10.0.0.1:8402"}, "not an IPv4 multicast group"),
        ({"multicast_group": "[ff02::1]:8402"}, "not an IPv4 multicast group"),
        ({"data_dir": "a\nb"}, "control characters"),
        ({"load_balancer": "maybe"}, "it is neither true nor false"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(flags: dict[str, object], said: str) -> None:
    (problem,) = mistakes(flags=flags)
    assert said in problem
    assert "(flag --" in problem


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[node]\nname = 5", "node.name = 5 (file kith.toml, key node.name): it is not text"),
        ("[checks]\ninterval = 5", 'it has no unit; write a duration in quotes, such as "5s"'),
        ("[listen]\nmetrics_port = true", "it is not a whole number"),
        ("[discovery]\nmulticast = 1", "it is neither true nor false"),
        ("[cluster]\nseeds = 5", "it is not a list"),
        ("[cluster]\nseeds = [5]", "5: it is not text"),
        ("[node]\nmetadata = { rack = 7 }", "the value of 'rack' is not text"),
        ("[node]\nmetadata = { 'A B' = 'x' }", "may not stand in a name"),
        ("[node]\nzome = 'z'", "node.zome (file kith.toml): there is no such key; did you mean"),
        ("zone = 'z'", "zone (file kith.toml): there is no such key"),
        ("[nowhere]", "nowhere (file kith.toml): there is no such key"),
        ("[security]\ntoken = 'hunter2'", "did you mean security.token_file?"),
        ("[node", "it is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_refused(toml: str, said: str) -> None:
    (problem,) = mistakes(toml)
    assert said in problem
    assert "hunter2" not in problem


def test_an_unknown_key_gets_the_nearest_known_one() -> None:
    (problem,) = mistakes("[node]\nzome = 'z'")
    assert problem.endswith("did you mean node.zone?")


def test_all_mistakes_are_told_at_once_in_one_text() -> None:
    toml = "[node]\nzone = 'A'\n[listen]\nhttp = 'x'\n[foo]\nbar = 1"
    env = {"KITH_PROFILE": "moon"}

    with pytest.raises(ConfigError) as caught:
        loaded(toml, env=env, log_level="loud")

    text = str(caught.value)
    assert text.startswith("5 mistakes in the configuration:\n")
    for part in ("node.zone", "listen.http", "foo.bar", "KITH_PROFILE", "flag --log-level"):
        assert part in text


def test_values_that_do_not_go_together_are_refused() -> None:
    assert "longer than checks.interval" in mistakes(check_timeout_ms="6s")[0]
    slow = mistakes(heartbeat_interval_s="10s", evict_after_s="40s")
    assert "not longer than four heartbeats" in slow[0]
    assert "the HTTP API listens there" in mistakes(gossip="127.0.0.1:8400")[0]
    assert "gossip uses that port" in mistakes(metrics_port="8401")[0]


def test_two_listeners_on_port_0_do_not_collide() -> None:
    assert loaded(http="127.0.0.1:0", gossip="127.0.0.1:0").config.http.port == 0


def test_a_file_that_cannot_be_read_is_an_error_with_its_reason() -> None:
    (problem,) = mistakes(config="other.toml")
    assert "other.toml (flag --config): the file cannot be read: No such file" in problem


def test_a_file_that_is_no_text_or_too_long_is_refused() -> None:
    for held, said in ((b"\xff\xfe", "it is not TOML"), (b"#" * (FILE_MAX + 1), "is longer than")):
        with pytest.raises(ConfigError, match=said):
            loaded(read=files(kith_toml=held), config="kith.toml")


def test_paths_in_the_file_are_relative_to_the_file() -> None:
    toml = "[node]\ndata_dir = 'data'"
    read = files(kith_toml=toml)

    by_file = loaded(read=read, config="/etc/kith/kith.toml").config.data_dir
    by_flag = loaded(read=read, config="/etc/kith/kith.toml", data_dir="data").config.data_dir

    assert (by_file, by_flag) == (Path("/etc/kith/data"), Path("data"))
    assert loaded(data_dir="~/k").config.data_dir == Path("/home/u/k")


def test_the_data_directory_follows_the_name() -> None:
    assert loaded(name="a", env={"XDG_DATA_HOME": "/x"}).config.data_dir == Path("/x/kith/a")
    bare = load({"name": "a"}, {}, files(), host_name=lambda: "h").config
    assert bare.data_dir == Path("kith-data/a")


def test_a_token_comes_from_its_file_or_the_environment_the_stronger_wins() -> None:
    read, env = files(t="of-the-file-of-16\n"), {"KITH_TOKEN": "of-the-environment"}

    by_file = loaded(read=read, token_file="t").config.token
    by_env = loaded(env=env).config.token
    both = loaded(read=read, env=env, token_file="t").config.token

    assert (by_file, by_env, both) == (
        Secret("of-the-file-of-16"),
        Secret("of-the-environment"),
        Secret("of-the-file-of-16"),
    )


def test_two_tokens_of_one_source_are_refused_without_showing_either() -> None:
    (problem,) = mistakes(env={"KITH_TOKEN": "hunter2", "KITH_TOKEN_FILE": "t"})
    assert problem.startswith("token = *** (environment KITH_TOKEN)")


@pytest.mark.parametrize("held", [b"", b"\n", b"two\nlines", b"x" * 513, b"\xff"])
def test_a_file_without_a_usable_secret_is_refused(held: bytes) -> None:
    for flag in ("token_file", "key_passphrase_file"):
        with pytest.raises(ConfigError, match="holds no such secret"):
            loaded(read=files(s=held), flags={flag: "s"})


def test_a_token_in_the_environment_has_the_same_limits() -> None:
    (problem,) = mistakes(env={"KITH_TOKEN": "hunter\x07"})
    assert problem.startswith("token = *** (environment KITH_TOKEN): it is empty or has control")
    assert "it is too long" in mistakes(env={"KITH_TOKEN": "x" * 513})[0]


def test_no_secret_is_ever_shown() -> None:
    read = files(s="hunter2-passphrase")
    result = loaded(read=read, env={"KITH_TOKEN": "hunter2-hunter2-x"}, key_passphrase_file="s")

    assert result.config.key_passphrase == Secret("hunter2-passphrase")
    shown = f"{result!r} {result.config.token} {result.warnings} {result.origins}"
    assert "hunter2" not in shown
    assert "***" in shown


def test_unknown_variables_are_warned_of_with_a_near_match() -> None:
    env = {"KITH_ZOME": "z", "KITH_SERVICE_HOST": "10.0.0.1", "KITH_API": "x", "OTHER": "1"}

    told = loaded(env=env).warnings

    assert len(told) == 2
    assert told[0].startswith("environment KITH_SERVICE_HOST is not a setting and was ignored")
    assert told[1].endswith("did you mean KITH_ZONE?")


def test_what_is_hardly_meant_is_warned_of() -> None:
    (open_api,) = loaded(http="0.0.0.0:8400").warnings
    (weak,) = loaded(http="0.0.0.0:8400", env={"KITH_TOKEN": "short"}).warnings
    (deaf,) = loaded(seeds=["10.0.0.5:8401"]).warnings

    assert "without a token" in open_api
    assert "shorter than 16" in weak
    assert "cannot reach it; set --gossip 0.0.0.0:8401" in deaf
    assert loaded(seeds=["localhost:8401", "[::1]:9"]).warnings == ()


# The address that peers are told.


def test_the_address_listened_on_is_advertised() -> None:
    config = loaded(gossip="10.0.0.7:8401", http="[2001:db8::7]:0").config

    assert advertise.advertised(config) == Address("10.0.0.7", 8401)
    assert advertise.advertised_http(config, port=5_000) == Address("2001:db8::7", 5_000)


def test_a_wildcard_advertises_the_default_route_never_itself() -> None:
    asked: list[str] = []

    def route(wildcard: str) -> str:
        asked.append(wildcard)
        return "10.9.8.7"

    config = loaded(gossip="0.0.0.0:0", http="[::]:8400").config
    assert advertise.advertised(config, port=7_000, route=route) == Address("10.9.8.7", 7_000)
    assert advertise.advertised_http(config, route=route) == Address("10.9.8.7", 8_400)
    assert asked == ["0.0.0.0", "::"]


@pytest.mark.parametrize("found", [None, "0.0.0.0", "::"])
def test_without_a_route_the_error_names_the_flag(found: str | None) -> None:
    config = loaded(gossip="0.0.0.0:8401").config
    with pytest.raises(advertise.AdvertiseError, match=r"set --advertise HOST\[:PORT\]"):
        advertise.advertised(config, route=lambda _: found)


def test_the_configured_address_is_advertised_with_its_port_or_the_listeners() -> None:
    config = loaded(
        gossip="0.0.0.0:8401", advertise="node.example", advertise_http="10.0.0.1:80"
    ).config

    assert config.advertise == Place("node.example")
    assert advertise.advertised(config) == Address("node.example", 8401)
    assert advertise.advertised_http(config) == Address("10.0.0.1", 80)


def test_port_0_is_never_advertised() -> None:
    with pytest.raises(advertise.AdvertiseError, match="port 0"):
        advertise.advertised(loaded(gossip="127.0.0.1:0").config)


def test_the_default_route_is_an_address_or_nothing() -> None:
    for wildcard in ("0.0.0.0", "::"):
        found = advertise.default_route(wildcard)
        assert found is None or (parsing.is_ip(found) and not parsing.is_unspecified(found))


@pytest.mark.parametrize(
    ("host", "name"),
    [("Box.Example", "box.example"), ("--", "node"), ("", "node"), ("a b", "a-b"), ("é", "node")],
)
def test_a_host_name_becomes_a_node_name(host: str, name: str) -> None:
    assert sanitised(host) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8400", Address("127.0.0.1", 8400)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:8401", Address("::1", 8401)),
        ("Seed.Example:65535", Address("seed.example", 65_535)),
        ("my_host-1:1", Address("my_host-1", 1)),
    ],
)
def test_addresses_read_back_as_they_are_written(text: str, expected: Address) -> None:
    assert parsing.address(text) == expected
    assert parsing.address(str(expected)) == expected


@given(st.text(max_size=60))
def test_no_text_makes_a_reader_raise_anything_else(text: str) -> None:
    for setting in settings.SETTINGS:
        with contextlib.suppress(parsing.BadValueError):
            setting.read(text)


# The documentation.


def test_the_documentation_has_every_setting_exactly() -> None:
    begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
    tables = DOCS.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    assert tables == settings.markdown(), "print them anew: python -m node.config"


def test_the_example_in_the_documentation_loads() -> None:
    text = DOCS.read_text(encoding="utf-8")
    toml = text.partition("```toml\n")[2].partition("```")[0]
    read = {"kith.toml": toml.encode(), "kith-token": b"a-token-long-enough\n"}

    result = loaded(read=lambda path: read[path.name], config="kith.toml")

    assert result.config.name == "web-1"
    assert result.config.metadata == (("contact", "ops"), ("rack", "r7"))
    assert result.warnings == ()


def test_the_mistakes_in_the_documentation_are_what_is_said() -> None:
    told = mistakes("[listen]\nhttp = '127.0.0.1'", env={"KITH_ZONE": "Hall 3"})
    documented = DOCS.read_text(encoding="utf-8")
    assert all(problem in documented for problem in told)
