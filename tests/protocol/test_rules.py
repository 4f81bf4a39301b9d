"""Every rule of a record's fields, at its limit and one beyond."""

import ipaddress
from dataclasses import replace
from typing import TypeAlias, assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import rules
from protocol.errors import ProposalError
from protocol.records import (
    CheckRecord,
    CheckType,
    GuestRecord,
    Health,
    NodeRecord,
    NodeType,
    ServiceRecord,
)

Judged: TypeAlias = ServiceRecord | NodeRecord | GuestRecord | CheckRecord

SERVICE = ServiceRecord(name="web", id="web-1", address="10.0.0.1", port=80)
NODE = NodeRecord(name="n", host="10.0.0.1", port=1, api_host="n.example", api_port=2)
GUEST = GuestRecord(
    id="g", address="10.0.0.1:80", metrics_port=0, node_type=NodeType.PROXY,
    is_load_balancer=False, capabilities=("service",), last_updated=0, ttl_ms=1_000,
)  # fmt: skip
CHECK = CheckRecord(
    id="c", type=CheckType.TTL, target="", interval_ms=100, timeout_ms=50,
    failures_before_critical=1, passes_before_passing=1, deregister_after_ms=0,
    status=Health.PASSING, output="", changed_at=0,
)  # fmt: skip


def names(count: int) -> tuple[str, ...]:
    return tuple(f"t{number:04}" for number in range(count))


def pairs(count: int) -> tuple[tuple[str, str], ...]:
    return tuple((name, "v") for name in names(count))


def judge(body: Judged) -> None:
    match body:
        case ServiceRecord():
            rules.check_service(body)
        case NodeRecord():
            rules.check_node(body)
        case GuestRecord():
            rules.check_guest(body)
        case CheckRecord():
            rules.check_check("checks[0]", body)
        case _:
            assert_never(body)


def http(url: str) -> CheckRecord:
    return replace(CHECK, type=CheckType.HTTP, target=url)


def tcp(target: str) -> CheckRecord:
    return replace(CHECK, type=CheckType.TCP, target=target)


def checks(count: int) -> tuple[CheckRecord, ...]:
    return tuple(replace(CHECK, id=name) for name in names(count))


HOST_253 = ".".join(["a" * 63] * 3 + ["a" * 61])

GOOD = [
    SERVICE,
    NODE,
    GUEST,
    CHECK,
    replace(SERVICE, name="a"),
    replace(SERVICE, name="az09._-"),
    replace(SERVICE, name="x" * 128),
    replace(SERVICE, id="x" * 128),
    replace(SERVICE, port=1),
    replace(SERVICE, port=65_535),
    replace(SERVICE, tags=names(64)),
    replace(SERVICE, metadata=pairs(64)),
    replace(SERVICE, metadata=(("k", "é" * 512),)),
    replace(SERVICE, version="x" * 128),
    replace(SERVICE, weight=0),
    replace(SERVICE, weight=65_535),
    replace(SERVICE, zone=""),
    replace(SERVICE, zone="z" * 128),
    replace(SERVICE, checks=checks(16)),
    replace(SERVICE, maintenance="r" * 256),
    replace(SERVICE, maintenance=""),
    replace(SERVICE, update_id="x" * 128),
    replace(SERVICE, address="::1"),
    replace(SERVICE, address="h.example."),
    replace(SERVICE, address=HOST_253),
    replace(SERVICE, address="a_b"),
    replace(SERVICE, address="xn--bcher-kva.example"),
    replace(NODE, metrics_port=0),
    replace(NODE, metrics_port=65_535),
    replace(NODE, capabilities=names(64)),
    replace(NODE, region=""),
    replace(NODE, software="x" * 128),
    replace(NODE, incarnation=1),
    replace(NODE, incarnation=2**32 - 1),
    replace(GUEST, address="[::1]:80"),
    replace(GUEST, address="host:65535"),
    replace(GUEST, ttl_ms=24 * 3_600_000),
    replace(GUEST, public_key=bytes(32)),
    replace(GUEST, capabilities=names(64)),
    replace(CHECK, interval_ms=86_400_000),
    replace(CHECK, timeout_ms=86_400_000),
    replace(CHECK, output="o" * 256),
    replace(CHECK, failures_before_critical=100),
    replace(CHECK, passes_before_passing=100),
    replace(CHECK, deregister_after_ms=30 * 86_400_000),
    http("http://h"),
    http("https://10.0.0.1:65535/x?y#z"),
    http("http://[::1]:80/"),
    tcp("10.0.0.1:1"),
    tcp("[::1]:65535"),
    tcp("h.example:80"),
]

BAD = [
    (replace(SERVICE, id="."), "id"),
    (replace(SERVICE, name=".."), "name"),
    (replace(SERVICE, name=""), "name"),
    (replace(SERVICE, name="x" * 129), "name"),
    (replace(SERVICE, name="Web"), "name"),
    (replace(SERVICE, name="wéb"), "name"),
    (replace(SERVICE, name="a/b"), "name"),
    (replace(SERVICE, name="a b"), "name"),
    (replace(SERVICE, id=""), "id"),
    (replace(SERVICE, id="x" * 129), "id"),
    (replace(SERVICE, port=0), "port"),
    (replace(SERVICE, port=65_536), "port"),
    (replace(SERVICE, port=-1), "port"),
    (replace(SERVICE, tags=names(65)), "tags"),
    (replace(SERVICE, tags=("b", "a")), "tags"),
    (replace(SERVICE, tags=("a", "a")), "tags"),
    (replace(SERVICE, tags=("",)), "tags"),
    (replace(SERVICE, metadata=pairs(65)), "metadata"),
    (replace(SERVICE, metadata=(("b", ""), ("a", ""))), "metadata"),
    (replace(SERVICE, metadata=(("a", ""), ("a", ""))), "metadata"),
    (replace(SERVICE, metadata=(("K", ""),)), "metadata"),
    (replace(SERVICE, metadata=(("k", "v" * 513),)), "metadata.k"),
    (replace(SERVICE, metadata=(("k", "a\nb"),)), "metadata.k"),
    (replace(SERVICE, metadata=(("k", "\x00"),)), "metadata.k"),
    (replace(SERVICE, version="x" * 129), "version"),
    (replace(SERVICE, weight=-1), "weight"),
    (replace(SERVICE, weight=65_536), "weight"),
    (replace(SERVICE, zone="Z"), "zone"),
    (replace(SERVICE, zone="z" * 129), "zone"),
    (replace(SERVICE, checks=checks(17)), "checks"),
    (replace(SERVICE, checks=(CHECK, CHECK)), "checks"),
    (replace(SERVICE, maintenance="r" * 257), "reason"),
    (replace(SERVICE, maintenance="\n"), "reason"),
    (replace(SERVICE, update_id="x" * 129), "update_id"),
    (replace(SERVICE, address=""), "address"),
    (replace(SERVICE, address="0.0.0.0"), "address"),  # noqa: S104
    (replace(SERVICE, address="::"), "address"),
    (replace(SERVICE, address="224.0.0.1"), "address"),
    (replace(SERVICE, address="a" + HOST_253), "address"),
    (replace(SERVICE, address="a" * 64), "address"),
    (replace(SERVICE, address="-a"), "address"),
    (replace(SERVICE, address="a-"), "address"),
    (replace(SERVICE, address="a..b"), "address"),
    (replace(SERVICE, address="999.1.1.1"), "address"),
    (replace(SERVICE, address="1.2.3"), "address"),
    (replace(SERVICE, address="a b"), "address"),
    (replace(SERVICE, address="bücher.example"), "address"),
    (replace(SERVICE, address="a\nb"), "address"),
    (replace(SERVICE, checks=(replace(CHECK, id=""),)), "checks[0].id"),
    (replace(NODE, name=""), "name"),
    (replace(NODE, host=""), "address"),
    (replace(NODE, port=0), "address"),
    (replace(NODE, api_host=""), "api_address"),
    (replace(NODE, api_port=0), "api_address"),
    (replace(NODE, metrics_port=65_536), "metrics_port"),
    (replace(NODE, capabilities=()), "capabilities"),
    (replace(NODE, capabilities=names(65)), "capabilities"),
    (replace(NODE, zone="Z"), "zone"),
    (replace(NODE, region="R"), "region"),
    (replace(NODE, metadata=pairs(65)), "metadata"),
    (replace(NODE, software="x" * 129), "software"),
    (replace(NODE, incarnation=0), "incarnation"),
    (replace(NODE, incarnation=2**32), "incarnation"),
    (replace(GUEST, id=""), "id"),
    (replace(GUEST, address="host"), "address"),
    (replace(GUEST, address="host:"), "address"),
    (replace(GUEST, address="host:0"), "address"),
    (replace(GUEST, address="host:65536"), "address"),
    (replace(GUEST, address="host:9999999999999"), "address"),
    (replace(GUEST, address="host:²"), "address"),
    (replace(GUEST, address=":80"), "address"),
    (replace(GUEST, metrics_port=-1), "metrics_port"),
    (replace(GUEST, capabilities=()), "capabilities"),
    (replace(GUEST, capabilities=names(65)), "capabilities"),
    (replace(GUEST, ttl_ms=999), "ttl"),
    (replace(GUEST, ttl_ms=24 * 3_600_000 + 1), "ttl"),
    (replace(GUEST, update_id="x" * 129), "update_id"),
    (replace(GUEST, public_key=bytes(31)), "public_key"),
    (replace(CHECK, interval_ms=99), "checks[0].interval"),
    (replace(CHECK, interval_ms=86_400_001), "checks[0].interval"),
    (replace(CHECK, timeout_ms=49), "checks[0].timeout"),
    (replace(CHECK, timeout_ms=86_400_001), "checks[0].timeout"),
    (replace(CHECK, failures_before_critical=0), "checks[0].failures_before_critical"),
    (replace(CHECK, failures_before_critical=101), "checks[0].failures_before_critical"),
    (replace(CHECK, passes_before_passing=0), "checks[0].passes_before_passing"),
    (replace(CHECK, passes_before_passing=101), "checks[0].passes_before_passing"),
    (replace(CHECK, deregister_after_ms=-1), "checks[0].deregister_after"),
    (replace(CHECK, deregister_after_ms=30 * 86_400_000 + 1), "checks[0].deregister_after"),
    (replace(CHECK, output="o" * 257), "checks[0].output"),
    (replace(CHECK, output="\x1b[2J"), "checks[0].output"),
    (http(""), "checks[0].url"),
    (http("h.example/x"), "checks[0].url"),
    (http("ftp://h"), "checks[0].url"),
    (http("http://"), "checks[0].url"),
    (http("http://u:p@h"), "checks[0].url"),
    (http("http://h:0"), "checks[0].url"),
    (http("http://h:65536"), "checks[0].url"),
    (http("http://h:x"), "checks[0].url"),
    (http("http://[::1"), "checks[0].url"),
    (http("http://h/" + "x" * 1_016), "checks[0].url"),
    (tcp("h"), "checks[0].address"),
    (tcp("h:0"), "checks[0].address"),
    (tcp("h:70000"), "checks[0].address"),
    (tcp(":80"), "checks[0].address"),
    (tcp("h:-1"), "checks[0].address"),
    (tcp("h:" + "9" * 5_000), "checks[0].address"),
]


@pytest.mark.parametrize("body", GOOD)
def test_what_keeps_the_rules_is_taken_up_to_the_limit(body: Judged) -> None:
    judge(body)


@pytest.mark.parametrize(("body", "field"), BAD)
def test_what_breaks_a_rule_is_refused_by_the_name_of_its_field(body: Judged, field: str) -> None:
    for _ in "ab":  # a second time, too: only what is good is remembered
        with pytest.raises(ProposalError) as refused:
            judge(body)

        assert refused.value.field == field
        assert len(str(refused.value)) < 300, "what was given is shown in short"


def test_names_are_sorted_as_records_hold_them() -> None:
    assert rules.sorted_names(["b", "a", "b"]) == ("a", "b")


@given(
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.sampled_from(["0.0.0." + "0", "0.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"])
)
def test_an_ipv4_address_is_what_the_standard_library_takes_for_one(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
        good = not address.is_unspecified and not address.is_multicast
    except ValueError:
        good = False

    try:
        rules.check_host("address", host)
        taken = True
    except ProposalError:
        taken = False

    assert taken is good
