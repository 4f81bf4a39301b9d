"""Requests and responses as values."""

import tracemalloc

import orjson

from node.http.messages import fitted


def test_what_is_kept_takes_no_more_memory_than_it_needs() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [fitted(orjson.dumps({"number": number})) for number in range(500)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept[7] == b'{"number":7}'
    assert (after - before) / len(kept) < 200
