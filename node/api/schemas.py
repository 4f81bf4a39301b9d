"""The shapes of bodies and answers, as JSON Schema (2020-12), for `/openapi.json`.

Names, limits and choices come from the code that applies them; a test holds the fields of each
request body and those that are read to each other.
"""

from collections.abc import Mapping

from node.agreement.verdicts import GROUNDS
from protocol import limits, rules
from protocol.agreement.resolve import BLAMES, RULES
from protocol.delivery.standing import Breaker, Priority
from protocol.records import CheckType

from .explain import CODES
from .instances.batch import ITEMS_MAX
from .reading import NODE_TYPES
from .registration import ACTIONS
from .table import NODE_ID_PATTERN, OWNER_ID

Schema = Mapping[str, object]

_ALPHABET = f"^[a-z0-9._-]{{1,{limits.NAME_MAX}}}$"
NAME: Schema = {"type": "string", "pattern": _ALPHABET}
TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
OBJECT: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
DURATION: Schema = {
    "type": "string",
    "minLength": 2,
    "examples": ["5s", "250ms", "1m30s"],
    "pattern": "^([0-9]{1,2}d)?([0-9]{1,3}h)?([0-9]{1,3}m)?([0-9]{1,3}s)?([0-9]{1,3}ms)?$",
}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65_535}
NAMES: Schema = {"type": "array", "items": NAME, "maxItems": limits.TAGS_MAX}
PAIRS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": limits.METADATA_VALUE_MAX},
    "maxProperties": limits.METADATA_MAX,
}
CAPABILITIES: Schema = {**NAMES, "minItems": 1}
PATCHED_PAIRS: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {"type": ["string", "null"], "maxLength": limits.METADATA_VALUE_MAX},
    "propertyNames": NAME,
    "maxProperties": limits.METADATA_MAX,
    "description": "Merged: null removes a pair, or all of them.",
}
MAYBE_NAME: Schema = {"type": "string", "pattern": f"^[a-z0-9._-]{{0,{limits.NAME_MAX}}}$"}
NODE_ID: Schema = {"type": "string", "pattern": f"^{NODE_ID_PATTERN}$"}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
RAW: Schema = {"type": "string", "contentEncoding": "base64"}
NODE_TYPE: Schema = {"enum": list(NODE_TYPES)}
UPDATE_ID: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": limits.NAME_MAX,
}
GIVEN_ID: Schema = {"type": "string", "maxLength": limits.NAME_MAX}
"""An update id in an answer."""
VERSION: Schema = {"type": "integer", "description": "Of the owner's commit; it orders."}
WEIGHT: Schema = {"type": "integer", "minimum": 0, "maximum": rules.WEIGHT_MAX}
SETTABLE: Schema = {"enum": ["passing", "warning", "critical"]}
HEALTH: Schema = {"enum": ["passing", "warning", "critical", "maintenance"]}
SIDE: Schema = {"enum": ["none", "majority", "even", "minority"]}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": rules.THRESHOLD_MAX}


def _object(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    shape: dict[str, object] = {"type": "object", "properties": fields}
    if required:
        shape["required"] = list(required)
    return shape


def _closed(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """An object that may have no other field."""
    return {**_object(required, **fields), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_DEFINITION: Mapping[str, Schema] = {
    "address": TEXT,
    "port": PORT,
    "tags": NAMES,
    "metadata": PAIRS,
    "version": TEXT,
    "weight": WEIGHT,
    "zone": TEXT,
    "checks": {"type": "array", "items": _reference("Check"), "maxItems": limits.CHECKS_MAX},
    "update_id": UPDATE_ID,
}
_NODE_FACTS: Mapping[str, Schema] = {
    "node_type": NODE_TYPE,
    "is_load_balancer": FLAG,
    "capabilities": CAPABILITIES,
    "metadata": PAIRS,
    "zone": MAYBE_NAME,
    "region": MAYBE_NAME,
}
_PEER: Mapping[str, Schema] = {
    "id": TEXT,
    "name": TEXT,
    "address": TEXT,
    "api_address": TEXT,
    "metrics_port": WHOLE,
    **_NODE_FACTS,
    "version": TEXT,
    "status": TEXT,
    "certified": FLAG,
    "incarnation": WHOLE,
    "rtt_ms": NUMBER,
    "last_updated": TIME,
    "host": NODE_ID,
    "signed_by": TEXT,
    "reachability": _object(
        score=NUMBER,
        strikes=WHOLE,
        history=_list(_object(at=TIME, ok=FLAG, took_ms=NUMBER, reason=TEXT)),
    ),
    "repair": _object(score=NUMBER, withheld=WHOLE, lies=WHOLE),
}
_INSTANCE: Mapping[str, Schema] = {
    "id": NAME,
    **{name: shape for name, shape in _DEFINITION.items() if name not in ("checks", "update_id")},
    "health": HEALTH,
    "checks": _list(_object(id=NAME, type=TEXT, status=SETTABLE, output=TEXT, last_checked=TIME)),
    "owner": NODE_ID,
    "node": TEXT,
    "node_status": TEXT,
    "signed_by": NODE_ID,
    "disputed": FLAG,
    "maintenance": TEXT,
    "last_updated": TIME,
}
_CONFIRMED: Mapping[str, Schema] = {
    "confirmed": {"type": "integer", "description": "With confirm: peers that have it on disk."},
    "peers": {"type": "integer", "description": "… of so many that are asked for receipts."},
}
_ERROR: Schema = _object(
    ("code", "message", "field", "definite", "request_id"), code=TEXT, message=TEXT,
    field={"type": ["string", "null"]}, definite=FLAG, request_id=TEXT,
    owner=TEXT, owner_address=TEXT, host=TEXT,
)  # fmt: skip
_BATCH_RESULT: Schema = _object(
    ("status",), status=WHOLE, name=NAME, id=NAME, owner=NODE_ID, version=VERSION,
    update_id=GIVEN_ID, error=_ERROR,
)  # fmt: skip
_WRITTEN: Mapping[str, Schema] = {
    "name": NAME,
    "id": NAME,
    "owner": NODE_ID,
    "version": VERSION,
    **_CONFIRMED,
}
_PRIORITIES = tuple(priority.name.lower() for priority in Priority)
MAYBE_VERSION: Schema = {**VERSION, "type": ["integer", "null"]}
BREAKER: Schema = {"enum": [state.name.lower() for state in Breaker]}

_CHAIN: Mapping[str, Schema] = {
    "id": NODE_ID,
    "epoch": WHOLE,
    "revoked": FLAG,
    "events": {
        "type": "array",
        "items": _object(
            sequence=WHOLE,
            kind={"enum": ["inception", "rotation", "revocation"]},
            public_key=TEXT,
            hash=HASH,
        ),
    },
}
_RULE: Schema = {"enum": list(RULES)}
_VERDICT: Schema = _object(
    rule={"enum": list(GROUNDS)},
    entitled=WHOLE,
    needed=WHOLE,
    votes=_list(NODE_ID),
    not_entitled=_list(NODE_ID),
)
_DOCUMENT: Mapping[str, Schema] = {
    "value": {**OBJECT, "maxProperties": limits.DOCUMENT_FIELDS_MAX},
    "owners": {"type": "array", "items": OWNER_ID, "maxItems": limits.DOCUMENT_OWNERS_MAX},
    "update_id": UPDATE_ID,
}

SCHEMAS: Mapping[str, Schema] = {
    "Registration": _closed(("name", "port"), name=NAME, id=NAME, **_DEFINITION),
    "Batch": _closed(
        ("services",), update_id={**GIVEN_ID, "type": ["string", "null"]},
        services={
            "type": "array", "minItems": 1, "description": f"At most {ITEMS_MAX}; more are 413.",
            # Another value does not spoil the batch: it has a result of its own, which says so.
            "items": {"anyOf": [_reference("Registration"), {}]},
        },
    ),
    "InstancePatch": _closed(**{**_DEFINITION, "metadata": PATCHED_PAIRS}),
    "Check": _closed(
        ("type",), id=NAME, type={"enum": [kind.value for kind in CheckType]},
        url=TEXT, address=TEXT, ttl=DURATION, interval=DURATION, timeout=DURATION,
        failures_before_critical=_COUNT, passes_before_passing=_COUNT, deregister_after=DURATION,
        initial=SETTABLE,
    ),
    "Heartbeat": _closed(check=NAME, status=SETTABLE, output=TEXT),
    "Maintenance": {
        **_closed(("enable",), enable=FLAG, reason=MAYBE_TEXT),
        "anyOf": [
            {"properties": {"enable": {"const": True}}},
            {"properties": {"reason": {"type": "null"}}},
        ],
    },
    "NodePatch": _closed(**{**_NODE_FACTS, "metadata": PATCHED_PAIRS}),
    "Join": _closed(("address",), address=TEXT),
    "Revocation": _closed(("confirm",), confirm=TEXT),
    "GuestWord": _closed(
        ("action", "id", "address", "metrics_port", "node_type", "is_load_balancer",
         "capabilities", "last_updated"),
        action={"enum": list(ACTIONS)}, update_id=UPDATE_ID, id=NAME, address=TEXT,
        metrics_port=WHOLE, node_type=NODE_TYPE, is_load_balancer=FLAG, capabilities=CAPABILITIES,
        last_updated=TIME, ttl=DURATION, cluster=TEXT, public_key=TEXT, signature=TEXT,
    ),
    "DocumentPut": _closed(("value",), **_DOCUMENT),
    "DocumentPatch": _closed(**_DOCUMENT),
    "Registered": _object(**_WRITTEN, update_id=GIVEN_ID),
    "BatchResults": _object(
        ("results",), results={"type": "array", "items": _BATCH_RESULT}, **_CONFIRMED
    ),
    "Removed": _object(**_WRITTEN),
    "Maintained": _object(**_WRITTEN, maintenance=FLAG),
    "Beaten": _object(name=NAME, id=NAME, status=SETTABLE),
    "Services": _object(
        services={
            "type": "object",
            "additionalProperties": _object(instances=WHOLE, passing=WHOLE, tags=NAMES),
        }
    ),
    "Lookup": _object(service=TEXT, index=TEXT, instances=_list(_reference("Instance"))),
    "Instance": _object(service=TEXT, **_INSTANCE),
    "Node": _object(
        **_PEER, cluster=TEXT, stage=TEXT, ready=FLAG, started_at=TIME, root=TEXT, head=VERSION,
        members={"type": "object", "additionalProperties": WHOLE}, guests=WHOLE, partition=TEXT,
        partition_since=MAYBE_TIME, reached=WHOLE, known=WHOLE,
        agreement=_object(equal=WHOLE, differing=WHOLE, since=MAYBE_TIME),
    ),
    "Peer": _object(
        **_PEER, hosts=WHOLE, has_key=FLAG, resolution=_reference("Resolution"), verdict=_VERDICT
    ),
    "Peers": _object(peers=_list(_reference("Peer"))),
    "Document": _object(
        key=NAME, value=OBJECT, etag=TEXT,
        context={
            "type": "object",
            "additionalProperties": _list({**_list(VERSION), "minItems": 2, "maxItems": 2}),
            "description": "What this state knows of: by owner, ranges of versions.",
        },
        conflict=FLAG,
        conflicts=_list(_reference("Conflict")), owners=_list(NODE_ID), owners_rule=_RULE,
        ignored=_list(_object(writer=NODE_ID, node=TEXT)), last_updated=TIME, version=VERSION,
        update_id=GIVEN_ID, **_CONFIRMED,
    ),
    "Documents": _object(
        documents=_list(_object(key=NAME, etag=TEXT, conflict=FLAG, last_updated=TIME))
    ),
    "DocumentDeleted": _object(key=NAME, status=TEXT, version=VERSION, **_CONFIRMED),
    "Conflict": _object(
        field=TEXT, rule=_RULE,
        siblings=_list(
            _object(value={}, writer=NODE_ID, node=TEXT, written_at=TIME, shown=FLAG)
        ),
    ),
    "Conflicts": _object(
        documents=_list(
            _object(key=NAME, etag=TEXT, conflicts=_list(_reference("Conflict")))
        ),
        guests=_list(_object(id=NAME, resolution=_reference("Resolution"))),
    ),
    "Resolution": _object(
        rule=_RULE, entitled=WHOLE,
        votes=_list(
            _object(
                address=TEXT, metrics_port=WHOLE, node_type=NODE_TYPE, is_load_balancer=FLAG,
                capabilities=NAMES, hosts=_list(NODE_ID),
            )
        ),
        discrepancies=_list(_object(host=NODE_ID, blame={"enum": list(BLAMES)})),
    ),
    "Joined": _object(address=TEXT, joined=FLAG, members=WHOLE),
    "Forgotten": _object(id=TEXT, status=TEXT, version=VERSION),
    "Handshake": _object(
        status={"enum": ["registered", "updated", "unchanged"]}, update_id=GIVEN_ID, root=TEXT,
        peers=_list(
            _object(id=TEXT, address=TEXT, metrics_port=WHOLE, node_type=NODE_TYPE,
                    is_load_balancer=FLAG, last_updated=TIME)
        ),
    ),
    "Alive": _object(status=TEXT, stage=TEXT, uptime_s=NUMBER),
    "Readiness": _object(
        status={"enum": ["ready", "not_ready"]},
        components={
            "type": "object",
            "additionalProperties": _object(
                status={"enum": ["ok", "degraded", "down"]}, detail=TEXT
            ),
        },
    ),
    "Clock": _object(
        clock={"type": "object", "additionalProperties": _object(epoch=WHOLE, version=VERSION)},
        now=TIME,
    ),
    "Update": _object(
        update_id=GIVEN_ID, name=TEXT, id=NAME, owner=NODE_ID, version=VERSION, committed_at=TIME,
        holders=_list(_object(id=NODE_ID, name=TEXT, since=TIME, stored=FLAG)),
        lacking=_list(
            _object(id=NODE_ID, name=TEXT, since=TIME, attempts=WHOLE, next_try=MAYBE_TIME,
                    breaker=BREAKER, status=TEXT)
        ),
        untracked=WHOLE,
    ),
    "Queue": _object(
        at=TIME,
        outbox=_object(
            commits=WHOLE, bytes=WHOLE, commits_max=WHOLE, bytes_max=WHOLE, overflowed=WHOLE
        ),
        deliveries=_list(
            _object(
                peer=NODE_ID, name=TEXT, status=TEXT, waiting=WHOLE, oldest=MAYBE_VERSION,
                newest=MAYBE_VERSION, priority={"enum": [*_PRIORITIES, None]}, since=MAYBE_TIME,
                attempts=WHOLE, next_try=MAYBE_TIME, breaker=BREAKER, under_way=FLAG, behind=FLAG,
                score=NUMBER, latency_ms={"type": ["number", "null"]},
            )
        ),
        total=WHOLE, peers=WHOLE,
        counters={"type": "object", "additionalProperties": WHOLE},
    ),
    "Partitions": _object(
        partitions=_list(
            _object(
                id=WHOLE, state=SIDE, states=_list(_object(state=SIDE, at=TIME)), began_at=TIME,
                contact_at=MAYBE_TIME, reconciled_at=MAYBE_TIME, open=FLAG, exact=FLAG,
                cut_off=_list(
                    _object(id=NODE_ID, name=TEXT, since=TIME, certified=FLAG, back_at=MAYBE_TIME,
                            outcome={"enum": ["back", "dead", "left", "away"]})
                ),
                diverged=_list(
                    _object(owner=NODE_ID, node=TEXT, kind=TEXT, key=TEXT,
                            side={"enum": ["here", "there"]},
                            change={"enum": ["added", "changed", "removed"]}, version=VERSION)
                ),
                diverged_total=WHOLE, truncated=FLAG,
                conflicts=_list(_object(what=TEXT, key=TEXT, rule=TEXT, decided=TEXT)),
            )
        )
    ),
    "Root": _object(root=HASH, owners=WHOLE, settled_root=HASH, at=TIME),
    "Proof": _object(
        ("cluster", "owner", "key_events", "head", "record", "state_path", "root_path", "root"),
        cluster=HASH, owner=NODE_ID, key_events=_list(RAW), head=_reference("Head"),
        record=_object(kind=WHOLE, key=TEXT, body=RAW), state_path=_list(RAW),
        root_path=_list(RAW), root=HASH,
    ),
    "Explanation": _object(
        service=TEXT,
        instances=_list(
            _object(**{"in": FLAG}, id=NAME, owner=NODE_ID, node=TEXT, health=HEALTH,
                    reasons=_list(_reference("Reason")))
        ),
        total=WHOLE, notes=_list(_reference("Reason")),
    ),
    "Reason": _object(
        code={"enum": sorted(CODES)}, because=TEXT,
        effect={"enum": ["none", "warning", "critical", "maintenance", "out"]},
    ),
    "Log": _object(
        owner=NODE_ID, node=TEXT, epoch=WHOLE, reaped=FLAG, disputed=FLAG, records=WHOLE,
        commits=_list(
            _object(
                hash=HASH, epoch=WHOLE, version=VERSION, parents=_list(HASH), merge=FLAG,
                issued_at=TIME, state_root=HASH, changes_total=WHOLE,
                changes=_list(
                    _object(kind=TEXT, key=TEXT, change={"enum": ["set", "removed"]})
                ),
            )
        ),
    ),
    "Head": _object(header=RAW, signature=RAW),
    "Evidence": _object(
        evidence=_list(
            _object(
                id=HASH, owner=NODE_ID, node=TEXT, kind={"enum": ["commits", "keys"]},
                key_events=_list(_object(hash=HASH, sequence=WHOLE, event=RAW)),
                heads=_list(
                    _object(hash=HASH, epoch=WHOLE, version=VERSION, issued_at=TIME,
                            parents=_list(HASH), header=RAW, signature=RAW)
                ),
                verified=FLAG, found_at=TIME, reported_by={**NODE_ID, "type": ["string", "null"]},
                open=FLAG, settled_at=MAYBE_TIME,
                settled_by={
                    "type": ["object", "null"],
                    "properties": {"rule": {"enum": ["merge", "rotation"]}, "epoch": WHOLE,
                                   "version": VERSION, "hash": HASH},
                },
            )
        ),
        total=WHOLE,
    ),
    "Keys": _object(**_CHAIN, next_key=FLAG),
    "OwnerKeys": _object(**_CHAIN),
    "Rotated": _object(status=TEXT, **_CHAIN, version=VERSION),
    "Revoked": _object(status=TEXT, **_CHAIN),
    "Snapshot": _object(
        path=TEXT, bytes=WHOLE, node=NODE_ID, cluster=HASH, version=VERSION, root=HASH,
        took_ms=NUMBER,
    ),
    "Leaving": _object(status=TEXT, id=NODE_ID),
    "Error": _object(error=_ERROR),
}  # fmt: skip
"""By name."""
