"""Bodies: how each kind of record is written as canonical bytes, and read with its rules applied.

`judged` writes our own records before they are signed; `decode` reads anybody's. It takes what
`rules` takes and nothing else, and of what `judged` wrote it makes the very body that was given. A
format number opens each body: a newer node's longer body is refused by number, not misread. A
*stamp* closes each: which of its owner's commits set it.

Instances of one service are much alike, and a node holds those of everybody. So what they have in
common (names, addresses, tags, metadata) is held once and not in each: 0.8 kB less an instance.
"""

from collections.abc import Callable
from functools import lru_cache
from sys import intern
from typing import NamedTuple, TypeAlias, assert_never, cast

from . import limits, rules
from .commits import Record, RecordKey
from .errors import MalformedError, ProposalError, RefusedError, RemoteProtocolError
from .identity import NODE_ID_BYTES, NodeId, id_text
from .records import (
    CheckRecord,
    CheckType,
    DocumentRecord,
    Entry,
    ForgetRecord,
    GuestRecord,
    Health,
    Kind,
    NodeRecord,
    NodeType,
    Phase,
    ServiceRecord,
)
from .wire import codec

Body: TypeAlias = NodeRecord | ServiceRecord | GuestRecord | DocumentRecord | ForgetRecord

_FORMAT = 1
_CHECK_TYPES = tuple(CheckType)
_HEALTHS = tuple(Health)
_NODE_TYPES = tuple(NodeType)
_PHASES = tuple(Phase)
NODE_KEY = "node"
"""The key of an owner's only node record."""


_ALIKE_MAX = 512
"""So many different sets of tags, and of metadata, are looked for among those read before: enough
for the services of a large cluster, and 4 MiB if each fills its record."""
_ALIKE_CHARACTERS_MAX = 1_024
"""Of what nobody has judged yet: clients could fill the memory with what no record may hold."""
STAMP_BYTES_MAX = 16
"""What a stamp may add to a body that has none yet."""


class Stamp(NamedTuple):
    """When a record was set, by the versions of its owner's commits."""

    version: int = 0
    """Of the commit that set it."""
    first: int = 0
    """Of the commit since which it has been there, at most `version`."""


UNSTAMPED = Stamp()
_UNSTAMPED_BYTES = 2


def key_of(body: Body) -> RecordKey:
    """What the record is known by within its owner's state."""
    match body:
        case NodeRecord():
            return RecordKey(Kind.NODE, NODE_KEY)
        case ServiceRecord():
            return RecordKey(Kind.SERVICE, service_key(body.name, body.id))
        case GuestRecord():
            return RecordKey(Kind.GUEST, body.id)
        case DocumentRecord():
            return RecordKey(Kind.DOCUMENT, body.key)
        case ForgetRecord():
            return RecordKey(Kind.FORGET, id_text(body.node))
        case _:
            assert_never(body)


def service_key(name: str, instance: str) -> str:
    """The key of an instance; neither part can hold the slash."""
    return f"{name}/{instance}"


def encode(body: Body, stamp: Stamp = UNSTAMPED) -> bytes:
    """Write a body."""
    match body:
        case NodeRecord():
            fields = _node_fields(body)
        case ServiceRecord():
            fields = _service_fields(body)
        case GuestRecord():
            fields = _guest_fields(body)
        case DocumentRecord():
            fields = _document_fields(body)
        case ForgetRecord():
            fields = [body.node, body.incarnation, body.asked_at]
        case _:
            assert_never(body)
    return codec.pack([_FORMAT, *fields, stamp.version, stamp.version - stamp.first])


def judged(key: RecordKey, body: Body) -> bytes:
    """Write a body of our own: `decode` takes it, under any stamp, and gives the very same back.

    So it need not be read again to be trusted. A service, of which many come, is judged as it is;
    the others are read back.

    Raises:
        ProposalError: no peer would take it, and why.
    """
    if not isinstance(body, ServiceRecord):
        raw = encode(body)
        _judge_written(key, raw)
        return raw
    rules.check_service(body)
    fields = [_FORMAT, *_service_fields(body), 0, 0]
    try:
        _SERVICE.check(fields, "service")
        for check in body.checks:
            _CHECK.check(_check_fields(check), "service.checks.check")
    except MalformedError as error:
        raise ProposalError("record", f"{key.key}: {error}") from None
    if key != (Kind.SERVICE, service_key(body.name, body.id)):
        raise ProposalError("record", f"{key.key}: a record under a key that is not its own")
    return codec.pack(fields)


def _judge_written(key: RecordKey, raw: bytes) -> None:
    try:
        decode(Record(key.kind, key.key, raw))
    except RemoteProtocolError as error:
        raise ProposalError("record", f"{key.key}: {error}") from None


def bytes_of(body: Body) -> int:
    """How many bytes it may take, once it is stamped."""
    return len(encode(body)) + STAMP_BYTES_MAX


def stamped(raw: bytes, stamp: Stamp) -> bytes:
    """The same body under another stamp."""
    fields = codec.unpack(raw, "body")
    fields[-2:] = [stamp.version, stamp.version - stamp.first]
    return codec.pack(fields)


def stamped_first(raw: bytes, stamp: Stamp) -> bytes:
    """The same for a body that was written without a stamp: two integers, a byte each, close it."""
    return raw[:-_UNSTAMPED_BYTES] + codec.pack_integers(stamp.version, stamp.version - stamp.first)


def stamp_of(record: Record) -> Stamp:
    """When it was set; of a body that was read before."""
    version, age = cast(list[int], codec.reread(record.body)[-2:])
    return Stamp(version, version - age)


def record_of(body: Body) -> Record:
    """The whole record of a body."""
    key = key_of(body)
    return Record(key.kind, key.key, encode(body))


def decode(record: Record) -> Body:
    """Read and judge a record.

    Raises:
        MalformedError: the bytes are no such body.
        RefusedError: `limit`; a field breaks a rule, or the key is not the body's own.
    """
    reading = _READERS.get(record.kind)
    if reading is None:
        raise RefusedError("limit", f"records of kind {record.kind} are not known here")
    body = reading(codec.unpack(record.body, _NAMES[record.kind]))
    try:
        _check(body)
    except ProposalError as error:
        raise RefusedError("limit", str(error)) from None
    if key_of(body) != (record.kind, record.key):
        raise RefusedError("limit", "a record under a key that is not its own")
    return body


def _check(body: Body) -> None:
    match body:
        case NodeRecord():
            rules.check_node(body)
        case ServiceRecord():
            rules.check_service(body)
        case GuestRecord():
            rules.check_guest(body)
        case DocumentRecord():
            rules.check_document(body)
        case ForgetRecord():
            pass  # its reader has checked all there is
        case _:
            assert_never(body)


def _pairs(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    return [text for pair in pairs for text in pair]


def _read_pairs(reader: codec.Reader) -> tuple[tuple[str, str], ...]:
    flat = reader.texts("metadata", most=2 * limits.METADATA_MAX, each=limits.METADATA_VALUE_MAX)
    return _paired(tuple(flat))


@lru_cache(maxsize=_ALIKE_MAX)
def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tags


@lru_cache(maxsize=_ALIKE_MAX)
def _pairs_of(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return pairs


def tags_alike(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Equal tags, as they came first: whoever keeps many holds them once. Of any length."""
    return _tags(tags) if sum(map(len, tags)) <= _ALIKE_CHARACTERS_MAX else tags


def pairs_alike(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Equal metadata, as it came first: whoever keeps much holds it once. Of any length."""
    characters = sum([len(key) + len(value) for key, value in pairs])
    return _pairs_of(pairs) if characters <= _ALIKE_CHARACTERS_MAX else pairs


@lru_cache(maxsize=_ALIKE_MAX)
def _paired(flat: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if len(flat) % 2:
        raise MalformedError("metadata", "a key without a value")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _node_fields(node: NodeRecord) -> list[object]:
    return [
        node.name, node.host, node.port, node.api_host, node.api_port, node.metrics_port,
        _NODE_TYPES.index(node.node_type), node.is_load_balancer, list(node.capabilities),
        node.zone, node.region, _pairs(node.metadata), node.software, node.incarnation,
        _PHASES.index(node.phase), node.updated_at,
        _flat(node.lives), node.born,
    ]  # fmt: skip


def _read_node(reader: codec.Reader) -> NodeRecord:
    return NodeRecord(
        name=reader.text("name", most=limits.NAME_MAX),
        host=reader.text("host", most=limits.HOST_MAX),
        port=reader.integer("port", high=65_535),
        api_host=reader.text("api_host", most=limits.HOST_MAX),
        api_port=reader.integer("api_port", high=65_535),
        metrics_port=reader.integer("metrics_port", high=65_535),
        node_type=_NODE_TYPES[reader.integer("node_type", high=len(_NODE_TYPES) - 1)],
        is_load_balancer=reader.flag("is_load_balancer"),
        capabilities=tuple(
            reader.texts("capabilities", most=limits.CAPABILITIES_MAX, each=limits.NAME_MAX)
        ),
        zone=reader.text("zone", most=limits.NAME_MAX),
        region=reader.text("region", most=limits.NAME_MAX),
        metadata=_read_pairs(reader),
        software=reader.text("software", most=limits.NAME_MAX),
        incarnation=reader.integer("incarnation"),
        phase=_PHASES[reader.integer("phase", high=len(_PHASES) - 1)],
        updated_at=reader.integer("updated_at"),
        lives=_read_spans(reader.array("lives", most=2 * limits.LIVES_MAX)),
        born=reader.integer("born"),
    )


def _flat(spans: tuple[tuple[int, int], ...]) -> list[int]:
    return [version for span in spans for version in span]


def _read_spans(reader: codec.Reader) -> tuple[tuple[int, int], ...]:
    flat = [reader.integer("version") for _ in range(len(reader))]
    spans = tuple(zip(flat[::2], flat[1::2], strict=False))
    if len(flat) % 2 or flat != sorted(flat):
        raise MalformedError("lives", "not the ends of stretches in their order")
    return spans


def _service_fields(service: ServiceRecord) -> list[object]:
    return [
        service.name, service.id, service.address, service.port, list(service.tags),
        _pairs(service.metadata), service.version, service.weight, service.zone,
        [_check_fields(check) for check in service.checks], service.maintenance is not None,
        service.maintenance or "", service.update_id, service.updated_at,
    ]  # fmt: skip


def _check_fields(check: CheckRecord) -> list[object]:
    return [
        check.id, _CHECK_TYPES.index(check.type), check.target, check.interval_ms,
        check.timeout_ms, check.failures_before_critical, check.passes_before_passing,
        check.deregister_after_ms, _HEALTHS.index(check.status), check.output, check.changed_at,
    ]  # fmt: skip


_SERVICE = codec.Layout(
    codec.integer("format", low=_FORMAT, high=_FORMAT),
    codec.text("name", most=limits.NAME_MAX),
    codec.text("id", most=limits.NAME_MAX),
    codec.text("address", most=limits.HOST_MAX),
    codec.integer("port", high=65_535),
    codec.array("tags", most=limits.TAGS_MAX),
    codec.array("metadata", most=2 * limits.METADATA_MAX),
    codec.text("version", most=limits.NAME_MAX),
    codec.integer("weight", high=rules.WEIGHT_MAX),
    codec.text("zone", most=limits.NAME_MAX),
    codec.array("checks", most=limits.CHECKS_MAX),
    codec.flag("in_maintenance"),
    codec.text("maintenance", most=limits.REASON_MAX),
    codec.text("update_id", most=limits.NAME_MAX),
    codec.integer("updated_at"),
    codec.integer("stamp"),
    codec.integer("age"),
)
_ServiceFields: TypeAlias = tuple[
    int, str, str, str, int, list[object], list[object], str, int, str, list[object], bool, str,
    str, int, int, int,
]  # fmt: skip
"""What `_SERVICE` lets through."""


def _read_service(fields: list[object]) -> ServiceRecord:
    _SERVICE.check(fields, "service")
    (
        _, name, instance, address, port, tags, metadata, version, weight, zone, checks,
        in_maintenance, reason, update_id, updated_at, _, _,
    ) = cast(_ServiceFields, fields)  # fmt: skip
    if reason and not in_maintenance:
        raise MalformedError("service.maintenance", "a reason without maintenance")
    return ServiceRecord(
        name=intern(name), id=instance, address=intern(address), port=port,
        tags=_tags(tuple(codec.texts(tags, "service.tags", each=limits.NAME_MAX))),
        metadata=_paired(
            tuple(codec.texts(metadata, "service.metadata", each=limits.METADATA_VALUE_MAX))
        ),
        version=intern(version), weight=weight, zone=intern(zone),
        checks=tuple(map(_read_check, checks)),
        maintenance=reason if in_maintenance else None, update_id=update_id,
        updated_at=updated_at,
    )  # fmt: skip


_CHECK = codec.Layout(
    codec.text("id", most=limits.NAME_MAX),
    codec.integer("type", high=len(_CHECK_TYPES) - 1),
    codec.text("target", most=limits.URL_MAX),
    codec.integer("interval_ms"),
    codec.integer("timeout_ms"),
    codec.integer("failures_before_critical"),
    codec.integer("passes_before_passing"),
    codec.integer("deregister_after_ms"),
    codec.integer("status", high=len(_HEALTHS) - 1),
    codec.text("output", most=limits.OUTPUT_MAX),
    codec.integer("changed_at"),
)
_CheckFields: TypeAlias = tuple[str, int, str, int, int, int, int, int, int, str, int]
"""What `_CHECK` lets through."""


def _read_check(fields: object) -> CheckRecord:
    _CHECK.check(fields, "service.checks.check")
    (
        name, kind, target, interval_ms, timeout_ms, failures, passes, deregister_after_ms, status,
        output, changed_at,
    ) = cast(_CheckFields, fields)  # fmt: skip
    return CheckRecord(
        id=name, type=_CHECK_TYPES[kind], target=target, interval_ms=interval_ms,
        timeout_ms=timeout_ms, failures_before_critical=failures, passes_before_passing=passes,
        deregister_after_ms=deregister_after_ms, status=_HEALTHS[status], output=output,
        changed_at=changed_at,
    )  # fmt: skip


def _guest_fields(guest: GuestRecord) -> list[object]:
    return [
        guest.id, guest.address, guest.metrics_port, _NODE_TYPES.index(guest.node_type),
        guest.is_load_balancer, list(guest.capabilities), guest.last_updated, guest.ttl_ms,
        guest.critical, guest.public_key, guest.signed_body, guest.signature, guest.update_id,
    ]  # fmt: skip


def _read_guest(reader: codec.Reader) -> GuestRecord:
    return GuestRecord(
        id=reader.text("id", most=limits.NAME_MAX),
        address=reader.text("address", most=limits.HOST_MAX + 8),
        metrics_port=reader.integer("metrics_port", high=65_535),
        node_type=_NODE_TYPES[reader.integer("node_type", high=len(_NODE_TYPES) - 1)],
        is_load_balancer=reader.flag("is_load_balancer"),
        capabilities=tuple(
            reader.texts("capabilities", most=limits.CAPABILITIES_MAX, each=limits.NAME_MAX)
        ),
        last_updated=reader.integer("last_updated"),
        ttl_ms=reader.integer("ttl_ms"),
        critical=reader.flag("critical"),
        public_key=reader.raw("public_key", most=32),
        signed_body=reader.raw("signed_body", most=limits.RECORD_BYTES_MAX),
        signature=reader.raw("signature", most=64),
        update_id=reader.text("update_id", most=limits.NAME_MAX),
    )


def _document_fields(document: DocumentRecord) -> list[object]:
    places = {writer: place for place, (writer, _) in enumerate(document.context)}
    return [
        document.key, [[writer, _flat(known)] for writer, known in document.context],
        [
            [entry.field, places[entry.writer], entry.counter, entry.written_at, entry.value]
            for entry in document.entries
        ],
        document.update_id, document.updated_at,
    ]  # fmt: skip


def _read_document(reader: codec.Reader) -> DocumentRecord:
    key = reader.text("key", most=limits.NAME_MAX)
    seen = reader.array("context", most=limits.DOCUMENT_WRITERS_MAX)
    context = tuple(_read_seen(seen.array("seen", most=2)) for _ in range(len(seen)))
    entries = reader.array("entries", most=limits.DOCUMENT_ENTRIES_MAX)
    writers = tuple(writer for writer, _ in context)
    return DocumentRecord(
        key=key,
        context=context,
        entries=tuple(
            _read_entry(entries.array("entry", most=5), writers) for _ in range(len(entries))
        ),
        update_id=reader.text("update_id", most=limits.NAME_MAX),
        updated_at=reader.integer("updated_at"),
    )


def _read_seen(reader: codec.Reader) -> tuple[NodeId, tuple[tuple[int, int], ...]]:
    writer = NodeId(reader.fixed("writer", NODE_ID_BYTES))
    known = _read_spans(reader.array("known", most=2 * limits.DOCUMENT_LIVES_MAX))
    reader.end()
    return writer, known


def _read_entry(reader: codec.Reader, writers: tuple[NodeId, ...]) -> Entry:
    field = reader.text("field", most=limits.NAME_MAX)
    place = reader.integer("writer", high=limits.DOCUMENT_WRITERS_MAX - 1)
    if place >= len(writers):
        raise MalformedError("document.entries.entry.writer", "not a place in the context")
    entry = Entry(
        field,
        writers[place],
        reader.integer("counter", low=1),
        reader.integer("written_at"),
        reader.raw("value", most=limits.RECORD_BYTES_MAX),
    )
    reader.end()
    return entry


def _read_forget(reader: codec.Reader) -> ForgetRecord:
    return ForgetRecord(
        node=NodeId(reader.fixed("node", NODE_ID_BYTES)),
        incarnation=reader.integer("incarnation"),
        asked_at=reader.integer("asked_at"),
    )


_NAMES: dict[int, str] = {kind: kind.name.lower() for kind in Kind}
"""What errors call each kind."""


def _one_by_one(kind: Kind, read: Callable[[codec.Reader], Body]) -> Callable[[list[object]], Body]:
    """Reads the format and one field after the other, of kinds that come in small numbers."""

    def reading(fields: list[object]) -> Body:
        reader = codec.Reader(fields, _NAMES[kind])
        reader.integer("format", low=_FORMAT, high=_FORMAT)
        body = read(reader)
        reader.integer("stamp")
        reader.integer("age")
        reader.end()
        return body

    return reading


_READERS: dict[int, Callable[[list[object]], Body]] = {
    Kind.NODE: _one_by_one(Kind.NODE, _read_node),
    Kind.SERVICE: _read_service,
    Kind.GUEST: _one_by_one(Kind.GUEST, _read_guest),
    Kind.DOCUMENT: _one_by_one(Kind.DOCUMENT, _read_document),
    Kind.FORGET: _one_by_one(Kind.FORGET, _read_forget),
}
