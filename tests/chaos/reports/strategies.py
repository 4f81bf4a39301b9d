"""Records of any shape, for hypothesis: strange texts, numbers that are none, empty lists."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from chaos.running.record import (
    Coverage,
    Expected,
    Moment,
    RunRecord,
    Said,
    Sample,
    Seen,
    Span,
)
from chaos.verdict import Finding, Verdict

ANY = settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
"""However slow the machine is at the moment."""
TEXTS = st.text(max_size=12) | st.sampled_from(["a", "b", "<script>", "../x", "javascript:x"])
NUMBERS = st.floats() | st.integers(-10, 10_000)
VERDICTS = st.sampled_from(Verdict)
WHOLE = st.integers(-(2**70), 2**70)
FIGURES = st.dictionaries(
    TEXTS | st.sampled_from(["healed_s", "lookup_p99_ms"]), NUMBERS, max_size=3
)
WORDS = st.dictionaries(TEXTS, TEXTS, max_size=3)
BELIEFS = st.sampled_from(["alive", "suspect", "unreachable", "dead", "odd"])

SPANS = st.builds(Span, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), NUMBERS, NUMBERS)
SAMPLES = st.builds(
    Sample, NUMBERS, NUMBERS, TEXTS, st.sampled_from(["lookup", "update"]),
    st.sampled_from(["ok", "failed", "indefinite", "odd"]), TEXTS,
)  # fmt: skip

RECORDS = st.builds(
    RunRecord,
    scenario=TEXTS, title=TEXTS, about=TEXTS, cluster=TEXTS,
    nodes=st.lists(TEXTS, max_size=4).map(tuple), seed=WHOLE, started_at=TEXTS, commit=TEXTS,
    versions=WORDS, replay=TEXTS, source=TEXTS, verdict=VERDICTS, reason=TEXTS,
    duration_s=NUMBERS, zero_mono_ns=WHOLE, spans=st.lists(SPANS, max_size=4),
    said=st.lists(st.builds(Said, NUMBERS, TEXTS), max_size=3),
    samples=st.lists(SAMPLES, max_size=6), samples_left_out=WHOLE,
    seen=st.lists(st.builds(Seen, NUMBERS, TEXTS, TEXTS, BELIEFS), max_size=6),
    coverage=st.lists(
        st.builds(Coverage, NUMBERS, TEXTS, st.lists(NUMBERS, max_size=4).map(tuple), WHOLE),
        max_size=3,
    ),
    findings=st.lists(
        st.builds(Finding, TEXTS, TEXTS, VERDICTS, WHOLE, TEXTS, FIGURES,
                  st.lists(TEXTS, max_size=2).map(tuple)), max_size=3
    ),
    expected=st.lists(st.builds(Expected, TEXTS, VERDICTS, TEXTS), max_size=3),
    moments=st.lists(st.builds(Moment, NUMBERS, TEXTS, TEXTS, TEXTS, WHOLE), max_size=3),
    figures=FIGURES, logs=WORDS, means=WORDS,
)  # fmt: skip
