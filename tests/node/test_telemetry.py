"""The metrics registry: the text format, and its bounds."""

import pytest

from node.telemetry import (
    METRICS,
    OTHER,
    SECONDS_BUCKETS,
    SERIES_MAX,
    Durations,
    Metric,
    Telemetry,
)

COUNTER = Metric("a_total", "counter", "How many.", ("by",))
GAUGE = Metric("b_bytes", "gauge", "How much.")
TIMES = Metric("c_seconds", "histogram", "How long.", ("by",))


def test_the_text_is_what_prometheus_reads() -> None:
    telemetry = Telemetry((COUNTER, GAUGE))
    telemetry.count("a_total", 'a "b"\\\n')
    telemetry.count("a_total", 'a "b"\\\n')
    telemetry.set("b_bytes", 2**40)

    assert telemetry.render() == (
        "# HELP a_total How many.\n"
        "# TYPE a_total counter\n"
        'a_total{by="a \\"b\\"\\\\\\n"} 2\n'
        "# HELP b_bytes How much.\n"
        "# TYPE b_bytes gauge\n"
        "b_bytes 1099511627776\n"
    )
    assert telemetry.value("b_bytes") == 2**40


def took(*seconds: float) -> Durations:
    durations = Durations()
    for one in seconds:
        durations.add(one)
    return durations


def test_buckets_of_a_histogram_count_everything_below_them() -> None:
    telemetry = Telemetry((TIMES,))
    telemetry.observe("c_seconds", took(0.0, SECONDS_BUCKETS[0]), "x")
    telemetry.observe("c_seconds", took(0.003, 99.0), "x")

    lines = telemetry.render().splitlines()[2:]

    assert lines[0] == 'c_seconds_bucket{by="x",le="0.0001"} 2'
    assert lines[5] == 'c_seconds_bucket{by="x",le="0.005"} 3'
    assert lines[-3] == 'c_seconds_bucket{by="x",le="+Inf"} 4'
    assert lines[-2].startswith('c_seconds_sum{by="x"} 99.0031')
    assert lines[-1] == 'c_seconds_count{by="x"} 4'
    assert len(lines) == len(SECONDS_BUCKETS) + 3


def test_no_metric_has_more_series_than_its_bound() -> None:
    telemetry = Telemetry((COUNTER, TIMES))
    for number in range(SERIES_MAX + 100):
        telemetry.count("a_total", str(number))
        telemetry.observe("c_seconds", took(1), str(number))

    text = telemetry.render()

    assert telemetry.value("a_total", OTHER) == 100
    assert text.count("a_total{") == SERIES_MAX + 1
    assert f'c_seconds_count{{by="{OTHER}"}} 100' in text


def test_what_is_not_in_the_table_cannot_be_counted() -> None:
    telemetry = Telemetry((COUNTER,))
    with pytest.raises(KeyError):
        telemetry.count("d_total")
    with pytest.raises(ValueError, match="a_total"):
        telemetry.count("a_total")


def test_names_say_their_unit_and_their_kind() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith(("kith_", "process_"))
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.what.endswith("."), metric.name
