"""Which word on a guest counts, where several hosts vouch for it, and why."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from protocol import bodies
from protocol.agreement.resolve import Resolution, Statement, reports, resolve
from protocol.commits import Record
from protocol.identity import NodeId
from protocol.records import GuestRecord, Kind


@dataclass(frozen=True, slots=True)
class Settled:
    """What counts as true of a guest."""

    record: GuestRecord
    host: NodeId
    """Whose word it is."""
    hosts: int
    """How many vouch for the guest."""
    resolution: Resolution[bytes]
    """How it was decided; the values are the bodies of what hosts say. See `said`."""


def settle(words: Mapping[NodeId, GuestRecord], reached: Iterable[NodeId]) -> Settled:
    """Whose word on a guest counts, of one or more; every node that heard the same says the same.

    A word signed by the guest stands above any host's. Then the hosts that are reached and have
    heard of it within its ttl decide: what an absolute majority of them says, else the latest, else
    the smaller hash.

    Args:
        words: each host's; of keyed guests only such as are truly signed.
        reached: hosts that are reached; where none is, all may vote.
    """
    reached = tuple(reached)
    entitled = [host for host in reached if not words[host].critical] or list(reached or words)
    result = resolve(reports(_statement(host, word) for host, word in words.items()), entitled)
    assert result.chosen is not None  # somebody is entitled, and each of them said something
    agreed = [
        host
        for host, word in words.items()
        if _body(word) == result.value and bool(word.public_key) == result.chosen.is_owners
    ]
    host = min(agreed, key=lambda one: (one not in entitled, -words[one].last_updated, one))
    return Settled(words[host], host, len(words), result)


def facts(word: GuestRecord) -> GuestRecord:
    """What a word says of the guest, whoever passes it on and whenever it was said."""
    return replace(
        word, last_updated=0, critical=False, signed_body=b"", signature=b"", update_id=""
    )


def said(guest: str, body: bytes) -> GuestRecord:
    """What a value of a resolution says of that guest."""
    record = bodies.decode(Record(Kind.GUEST, guest, body))
    assert isinstance(record, GuestRecord)
    return record


def _statement(host: NodeId, word: GuestRecord) -> Statement[bytes]:
    body = _body(word)
    digest = hashlib.blake2b(body, digest_size=32).digest()
    return Statement(host, body, digest, word.last_updated, is_owners=bool(word.public_key))


def _body(word: GuestRecord) -> bytes:
    return bodies.encode(facts(word))
