"""The rules that every field of a record obeys, in one place for clients and peers.

Each `check_*` raises `ProposalError(field, message)` naming the field in the words of the HTTP API,
what was given and what would do. The HTTP edge passes it on as 400; for a peer's record the same
error becomes a refusal with code `limit`.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import NoReturn
from urllib.parse import urlsplit

from . import limits
from .clocks import covers, united
from .errors import MalformedError, ProposalError
from .identity import NODE_ID_BYTES
from .records import (
    CheckRecord,
    CheckType,
    DocumentRecord,
    Entry,
    GuestRecord,
    NodeRecord,
    ServiceRecord,
)
from .wire import json_text

INTERVAL_MS_MIN, INTERVAL_MS_MAX = 100, 24 * 3_600_000
TIMEOUT_MS_MIN = 50
DEREGISTER_MS_MAX = 30 * 24 * 3_600_000
WEIGHT_MAX = 65_535
THRESHOLD_MAX = 100
GUEST_TTL_MS_MIN, GUEST_TTL_MS_MAX = 1_000, 24 * 3_600_000
_ALIKE_MAX = 512
"""Of what instances have in common (see `bodies`), so much is known to be good: it is judged once.
What breaks a rule is not kept, since an error is no result."""
_OCTETS = frozenset(map(str, range(256)))
_UNICAST = frozenset(map(str, (*range(1, 224), *range(240, 256))))
"""The first octets of IPv4 addresses that are for one host."""


def check_name(field: str, text: str, *, empty: bool = False) -> None:
    """1–128 characters of `[a-z0-9._-]`, or nothing where `empty` allows it."""
    if not text and empty:
        return
    if not 1 <= len(text) <= limits.NAME_MAX:
        _fail(field, f"has {len(text)} characters; use 1 to {limits.NAME_MAX}")
    if text.strip(limits.NAME_ALPHABET):
        _fail(field, f"{_shown(text)} has characters other than a-z, 0-9, '.', '_' and '-'")
    if text in (".", ".."):
        _fail(field, f"{_shown(text)} means a place in a URL's path; use another name")


def check_names(field: str, names: tuple[str, ...], *, most: int) -> None:
    """Distinct names in sorted order, at most `most`."""
    if len(names) > most:
        _fail(field, f"has {len(names)} entries; at most {most} are allowed")
    last = ""
    for name in names:
        check_name(field, name)
        if name <= last:
            _fail(field, "must be sorted and without repetition")
        last = name


def check_metadata(field: str, pairs: tuple[tuple[str, str], ...]) -> None:
    """At most 64 pairs; keys are names, values short printable text; sorted by key."""
    if len(pairs) > limits.METADATA_MAX:
        _fail(field, f"has {len(pairs)} pairs; at most {limits.METADATA_MAX} are allowed")
    last = ""
    for key, value in pairs:
        _check_common_name(field, key)
        if key <= last:
            _fail(field, "must be sorted by key and without repetition")
        if len(value) > limits.METADATA_VALUE_MAX or not value.isprintable():
            check_text(f"{field}.{key}", value, most=limits.METADATA_VALUE_MAX)
        last = key


def check_text(field: str, text: str, *, most: int) -> None:
    """Printable text of at most `most` characters."""
    if len(text) > most:
        _fail(field, f"has {len(text)} characters; at most {most} are allowed")
    if not text.isprintable():
        _fail(field, "has characters that do not print, such as line breaks")


def check_host(field: str, host: str) -> None:
    """An IP address, or a host name by RFC 1123; never the unspecified address."""
    octets = host.split(".")
    if len(octets) == 4 and octets[0] in _UNICAST and _OCTETS.issuperset(octets):
        return  # as `ipaddress` would say, told in a fraction of the time: most hosts are such
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        good = 1 <= len(host) <= limits.HOST_MAX and all(map(_is_label, labels))
        if not good or labels[-1].isdigit():
            _fail(field, f"{_shown(host)} is neither an IP address nor a host name")
        return
    if address.is_unspecified or address.is_multicast:
        _fail(field, f"{host} cannot be reached by others; give an address of one host")


def check_integer(field: str, value: int, low: int, high: int, *, unit: str = "") -> None:
    """A number in `low..high`."""
    if not low <= value <= high:
        _fail(field, f"{value} is not in {low}..{high}{unit}")


def check_port(field: str, port: int, *, zero: bool = False) -> None:
    """1–65535, or 0 for none where `zero` allows it."""
    check_integer(field, port, 0 if zero else 1, 65_535)


def check_service(service: ServiceRecord) -> None:
    """Every rule of an instance."""
    _check_common_name("name", service.name)
    check_name("id", service.id)
    check_host("address", service.address)
    check_port("port", service.port)
    _check_tags(service.tags)
    check_metadata("metadata", service.metadata)
    _check_version_weight_zone(service.version, service.weight, service.zone)
    check_text("update_id", service.update_id, most=limits.NAME_MAX)
    if service.maintenance is not None:
        check_text("reason", service.maintenance, most=limits.REASON_MAX)
    if len(service.checks) > limits.CHECKS_MAX:
        _fail("checks", f"has {len(service.checks)} entries; at most {limits.CHECKS_MAX}")
    if not service.checks:
        return
    if len({check.id for check in service.checks}) != len(service.checks):
        _fail("checks", "two checks have the same id")
    for place, check in enumerate(service.checks):
        check_check(f"checks[{place}]", check)


@lru_cache(maxsize=_ALIKE_MAX)
def _check_common_name(field: str, text: str) -> None:
    check_name(field, text)


@lru_cache(maxsize=_ALIKE_MAX)
def _check_tags(tags: tuple[str, ...]) -> None:
    check_names("tags", tags, most=limits.TAGS_MAX)


@lru_cache(maxsize=_ALIKE_MAX)
def _check_version_weight_zone(version: str, weight: int, zone: str) -> None:
    check_text("version", version, most=limits.NAME_MAX)
    check_integer("weight", weight, 0, WEIGHT_MAX)
    check_name("zone", zone, empty=True)


def check_check(field: str, check: CheckRecord) -> None:
    """Every rule of one health check."""
    check_name(f"{field}.id", check.id)
    check_integer(
        f"{field}.interval", check.interval_ms, INTERVAL_MS_MIN, INTERVAL_MS_MAX, unit=" ms"
    )
    check_integer(f"{field}.timeout", check.timeout_ms, TIMEOUT_MS_MIN, INTERVAL_MS_MAX, unit=" ms")
    for name, value in (
        ("failures_before_critical", check.failures_before_critical),
        ("passes_before_passing", check.passes_before_passing),
    ):
        check_integer(f"{field}.{name}", value, 1, THRESHOLD_MAX)
    check_integer(
        f"{field}.deregister_after", check.deregister_after_ms, 0, DEREGISTER_MS_MAX, unit=" ms"
    )
    check_text(f"{field}.output", check.output, most=limits.OUTPUT_MAX)
    if check.type is CheckType.HTTP:
        check_url(f"{field}.url", check.target)
    elif check.type is CheckType.TCP:
        host, _, port = check.target.rpartition(":")
        if not port.isascii() or not port.isdigit():
            _fail(f"{field}.address", f"{_shown(check.target)} is not HOST:PORT")
        check_host(f"{field}.address", host.removeprefix("[").removesuffix("]"))
        check_port(f"{field}.address", int(port[:6]))


def check_url(field: str, url: str) -> None:
    """An absolute http or https URL with a host, without credentials."""
    check_text(field, url, most=limits.URL_MAX)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        _fail(field, f"{_shown(url)} is not a URL")
    if parts.scheme not in ("http", "https") or not host:
        _fail(field, f"{_shown(url)} is not an absolute http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        _fail(field, "has a user name or password in it; a registry is no place for secrets")
    check_host(field, host)
    if port is not None:
        check_port(field, port)


def check_node(node: NodeRecord) -> None:
    """Every rule of a node's own record."""
    check_name("name", node.name)
    check_host("address", node.host)
    check_port("address", node.port)
    check_host("api_address", node.api_host)
    check_port("api_address", node.api_port)
    check_port("metrics_port", node.metrics_port, zero=True)
    if not node.capabilities:
        _fail("capabilities", "must not be empty; say at least what kind of thing this is")
    check_names("capabilities", node.capabilities, most=limits.CAPABILITIES_MAX)
    check_name("zone", node.zone, empty=True)
    check_name("region", node.region, empty=True)
    check_metadata("metadata", node.metadata)
    check_text("software", node.software, most=limits.NAME_MAX)
    check_integer("incarnation", node.incarnation, 1, 2**32 - 1)


def check_guest(guest: GuestRecord) -> None:
    """Every rule of a guest."""
    check_name("id", guest.id)
    host, _, port = guest.address.rpartition(":")
    if not port.isascii() or not port.isdigit():
        _fail("address", f"{_shown(guest.address)} is not HOST:PORT")
    check_host("address", host.removeprefix("[").removesuffix("]"))
    check_port("address", int(port[:6]))
    check_port("metrics_port", guest.metrics_port, zero=True)
    if not guest.capabilities:
        _fail("capabilities", "must not be empty; say at least what kind of thing this is")
    check_names("capabilities", guest.capabilities, most=limits.CAPABILITIES_MAX)
    check_integer("ttl", guest.ttl_ms, GUEST_TTL_MS_MIN, GUEST_TTL_MS_MAX, unit=" ms")
    check_text("update_id", guest.update_id, most=limits.NAME_MAX)
    if len(guest.public_key) not in (0, 32):
        _fail("public_key", "is not a base64 Ed25519 key of 32 bytes")


def check_document(document: DocumentRecord) -> None:
    """Every rule of a writer's word on a document."""
    check_name("key", document.key)
    check_text("update_id", document.update_id, most=limits.NAME_MAX)
    context = dict(document.context)
    if len(context) > limits.DOCUMENT_WRITERS_MAX:
        _fail(
            "writers", f"{len(context)} nodes have written this document; at most "
            f"{limits.DOCUMENT_WRITERS_MAX} may: write it through one of those, or take a new key",
        )  # fmt: skip
    if list(document.context) != sorted(context.items()):
        _fail("context", "must be sorted by writer, each once")
    for known in context.values():
        ends = [end for stretch in known for end in stretch]
        if not known or ends[0] < 1 or ends != sorted(ends) or known != united(known):
            _fail("context", "must have stretches of counters above 0, in order and apart")
    names = dict.fromkeys(entry.field for entry in document.entries if entry.field)
    if len(names) > limits.DOCUMENT_FIELDS_MAX:
        _fail("value", f"has {len(names)} fields; at most {limits.DOCUMENT_FIELDS_MAX} are allowed")
    if len(document.entries) > limits.DOCUMENT_ENTRIES_MAX:
        _fail(
            "value", f"has {len(document.entries)} fields and siblings; at most "
            f"{limits.DOCUMENT_ENTRIES_MAX} are allowed: settle conflicts first",
        )  # fmt: skip
    places = [(entry.field, entry.writer, entry.counter) for entry in document.entries]
    if places != sorted(dict.fromkeys(places)):
        _fail("value", "must be sorted by field, writer and counter, each once")
    for entry in document.entries:
        if not covers(context.get(entry.writer, ()), entry.counter):
            _fail("context", "does not cover a field that it comes with")
        check_entry(entry)


def check_entry(entry: Entry) -> None:
    """A field's name and value, or the list of owners."""
    if not entry.field:
        check_owners(entry.value)
        return
    check_text(f"value.{_shown(entry.field)}", entry.field, most=limits.NAME_MAX)
    try:
        json_text.read(entry.value)
    except MalformedError as error:
        _fail(f"value.{entry.field}", error.reason)


def check_owners(ids: bytes) -> None:
    """Node ids one after the other: sorted, each once, at most 64."""
    owners = [ids[at : at + NODE_ID_BYTES] for at in range(0, len(ids), NODE_ID_BYTES)]
    if len(owners) > limits.DOCUMENT_OWNERS_MAX:
        most = limits.DOCUMENT_OWNERS_MAX
        _fail("owners", f"has {len(owners)} entries; at most {most} are allowed")
    if len(ids) % NODE_ID_BYTES or owners != sorted(dict.fromkeys(owners)):
        _fail("owners", "must be whole node ids, sorted and without repetition")


def _is_label(label: str) -> bool:
    inner = label.replace("-", "").replace("_", "")
    return (
        1 <= len(label) <= 63
        and label.isascii()
        and (inner.isalnum())
        and not label.startswith("-")
        and not label.endswith("-")
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _fail(field: str, message: str) -> NoReturn:
    raise ProposalError(field, message)


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names as records hold them: sorted, each once."""
    return tuple(sorted(set(names)))
