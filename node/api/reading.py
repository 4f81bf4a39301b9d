"""From the JSON of a request to the records it means, with every default filled in.

The rules of the fields themselves are those of `protocol.rules`, applied by the registrar; here is
what only JSON knows: types, unknown fields, defaults, and how a PATCH merges (RFC 7396).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from sys import intern

import orjson

from node.registrar import Request
from protocol import rules
from protocol.bodies import pairs_alike, tags_alike
from protocol.errors import ProposalError
from protocol.records import CheckRecord, CheckType, Health, NodeRecord, NodeType, ServiceRecord
from protocol.rules import sorted_names

from .fields import Fields, refused

SERVICE_FIELDS = (
    "name", "id", "address", "port", "tags", "metadata", "version", "weight", "zone", "checks",
    "update_id",
)  # fmt: skip
_SERVICE_KNOWN = dict.fromkeys(SERVICE_FIELDS)
"""The same, to be looked up."""
PATCH_FIELDS = tuple(name for name in SERVICE_FIELDS if name not in ("name", "id"))
NODE_FIELDS = (
    "node_type", "is_load_balancer", "capabilities", "metadata", "zone", "region",
)  # fmt: skip
_PROBE_FIELDS = ("id", "type", "interval", "timeout", "failures_before_critical",
                 "passes_before_passing", "deregister_after", "initial")  # fmt: skip
CHECK_FIELDS: Mapping[CheckType, tuple[str, ...]] = {
    CheckType.HTTP: (*_PROBE_FIELDS, "url"),
    CheckType.TCP: (*_PROBE_FIELDS, "address"),
    CheckType.TTL: ("id", "type", "ttl", "deregister_after", "initial"),
}
"""What each type of check may have."""
_ALL_CHECK_FIELDS = (*_PROBE_FIELDS, "url", "address", "ttl")
_CHECK_TYPES = tuple(kind.value for kind in CheckType)
_INITIALS = (Health.PASSING.value, Health.WARNING.value, Health.CRITICAL.value)
_NO_REQUEST = Request("", b"")
"""One without an update id is like no other."""
WEIGHT = 100
"""What an instance weighs that does not say."""
NODE_TYPES = tuple(kind.value for kind in NodeType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What stands for fields that a registration leaves out."""

    address: str
    zone: str
    interval_ms: int
    timeout_ms: int


def service_of(
    document: Mapping[str, object], defaults: Defaults, update_id: str, now_us: int
) -> ServiceRecord:
    """Read a registration, which is to be known by that update id and time.

    Raises:
        ApiError: 400 `invalid_field`, naming the field.
    """
    fields = Fields(document, _SERVICE_KNOWN)
    name = fields.required_text("name")
    fields.require("port")
    port = fields.integer("port", 0)
    address = fields.text("address") or defaults.address
    # The record is kept as it is made here, and its fellows are much like it: see `bodies`.
    return ServiceRecord(
        name=intern(name),
        id=fields.text("id") or f"{name}-{port}",
        address=intern(address),
        port=port,
        zone=intern(fields.text("zone", defaults.zone)),
        tags=tags_alike(sorted_names(fields.texts("tags"))),
        metadata=pairs_alike(tuple(sorted(fields.pairs("metadata").items()))),
        version=intern(fields.text("version")),
        weight=fields.integer("weight", WEIGHT),
        checks=_checks(fields, address, port, defaults) if fields.has("checks") else (),
        update_id=update_id,
        updated_at=now_us,
    )


def patched(
    before: ServiceRecord, document: Mapping[str, object], defaults: Defaults
) -> ServiceRecord:
    """An instance after a PATCH: what is given replaces, null takes the default, metadata merges.

    Raises:
        ApiError: 400 `invalid_field`, naming the field.
    """
    fields = Fields(document, PATCH_FIELDS)
    if fields.is_null("port"):
        fields.refuse("port", "cannot be taken away")
    merged = replace(before, metadata=_merged(before.metadata, fields))
    if "port" in document:
        merged = replace(merged, port=fields.integer("port", before.port))
    if "address" in document:
        merged = replace(merged, address=fields.text("address") or defaults.address)
    if "zone" in document:
        merged = replace(merged, zone=fields.text("zone", defaults.zone))
    if "tags" in document:
        merged = replace(merged, tags=sorted_names(fields.texts("tags")))
    if "version" in document:
        merged = replace(merged, version=fields.text("version"))
    if "weight" in document:
        merged = replace(merged, weight=fields.integer("weight", WEIGHT))
    if "checks" in document:
        checks = _checks(fields, merged.address, merged.port, defaults)
        merged = replace(merged, checks=checks)
    return merged


def patched_node(before: NodeRecord, document: Mapping[str, object]) -> NodeRecord:
    """This node's record after a PATCH.

    Raises:
        ApiError: 400 `invalid_field`, naming the field.
    """
    fields = Fields(document, NODE_FIELDS)
    for name in document:
        if fields.is_null(name) and name != "metadata":
            fields.refuse(name, "cannot be null; leave it out to keep it")
    capabilities = sorted_names(fields.texts("capabilities"))
    record = replace(
        before,
        node_type=NodeType(fields.choice("node_type", NODE_TYPES, before.node_type.value)),
        is_load_balancer=fields.flag("is_load_balancer", default=before.is_load_balancer),
        capabilities=capabilities if fields.has("capabilities") else before.capabilities,
        metadata=_merged(before.metadata, fields),
        zone=fields.text("zone", before.zone),
        region=fields.text("region", before.region),
    )
    try:
        rules.check_node(record)
    except ProposalError as error:
        raise refused(error.field, error.message) from None
    return record


def request_of(document: Mapping[str, object], what: str, otherwise: str = "") -> Request:
    """The update id of a request and what makes a second one the same.

    Args:
        document: Its body.
        what: It asks for; the same body may be sent for something else.
        otherwise: The update id of a body without one.

    Raises:
        ApiError: 400, `update_id` is no short printable text.
    """
    update_id = document.get("update_id")
    if update_id is None:
        if not otherwise:
            return _NO_REQUEST
        update_id = otherwise
    elif not isinstance(update_id, str) or not update_id:
        raise refused("update_id", "must be text that is not empty, best a UUID")
    try:
        rules.check_text("update_id", update_id, most=128)
    except ProposalError as error:
        raise refused(error.field, error.message) from None
    plain = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return Request(update_id, hashlib.blake2b(what.encode() + b"\n" + plain).digest()[:32])


def _merged(before: tuple[tuple[str, str], ...], fields: Fields) -> tuple[tuple[str, str], ...]:
    """Metadata after a merge: a null removes a pair, a null instead of the object all of them."""
    if fields.is_null("metadata"):
        return ()
    pairs = dict(before)
    for key, value in fields.mapping("metadata").items():
        if value is None:
            pairs.pop(key, None)
        elif isinstance(value, str):
            pairs[key] = value
        else:
            fields.refuse(f"metadata.{key[:64]}", "must be a string, or null to remove it")
    return tuple(sorted(pairs.items()))


def _checks(fields: Fields, address: str, port: int, defaults: Defaults) -> tuple[CheckRecord, ...]:
    host = f"[{address}]" if ":" in address else address
    checks = []
    for number, document in enumerate(fields.objects("checks")):
        checks.append(_check(document, number, f"{host}:{port}", defaults))
    return tuple(checks)


def _check(
    document: dict[str, object], number: int, place_of_service: str, defaults: Defaults
) -> CheckRecord:
    place = f"checks[{number}]."
    kind = CheckType(
        Fields(document, _ALL_CHECK_FIELDS, place=place).choice("type", _CHECK_TYPES, None)
    )
    fields = Fields(document, CHECK_FIELDS[kind], place=place)
    interval_ms, timeout_ms = _timing(fields, kind, defaults)
    return CheckRecord(
        id=fields.text("id") or f"check-{number + 1}",
        type=kind,
        target=_target(fields, kind, place_of_service),
        interval_ms=interval_ms,
        timeout_ms=timeout_ms,
        failures_before_critical=fields.integer("failures_before_critical", 3),
        passes_before_passing=fields.integer("passes_before_passing", 1),
        deregister_after_ms=fields.duration_ms("deregister_after", 0),
        status=Health(fields.choice("initial", _INITIALS, Health.CRITICAL.value)),
        output="",
        changed_at=0,
    )


def _timing(fields: Fields, kind: CheckType, defaults: Defaults) -> tuple[int, int]:
    if kind is not CheckType.TTL:
        interval_ms = fields.duration_ms("interval", defaults.interval_ms)
        default_ms = max(rules.TIMEOUT_MS_MIN, min(defaults.timeout_ms, interval_ms))
        return interval_ms, fields.duration_ms("timeout", default_ms)
    fields.require("ttl")
    ttl_ms = fields.duration_ms("ttl", 0)
    low, high = rules.INTERVAL_MS_MIN, rules.INTERVAL_MS_MAX
    if not low <= ttl_ms <= high:
        fields.refuse("ttl", f"{ttl_ms} is not in {low}..{high} ms")
    return ttl_ms, defaults.timeout_ms


def _target(fields: Fields, kind: CheckType, place_of_service: str) -> str:
    if kind is CheckType.HTTP:
        return fields.required_text("url")
    if kind is CheckType.TTL:
        return ""
    return fields.text("address") or place_of_service
