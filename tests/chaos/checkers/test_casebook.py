from chaos.checkers.casebook import Casebook, quantiles
from chaos.verdict import Verdict


def test_the_witness_is_the_earliest_case() -> None:
    book = Casebook(looked_at=5)
    for at_s, text in ((20.0, "later"), (10.0, "first"), (15.0, "between")):
        book.blame(at_s, text)

    finding = book.finding("P1", "set_full")

    assert finding.verdict is Verdict.INVALID
    assert finding.witness == "first"
    assert finding.figures == {"broken_count": 3}


def test_quantiles_are_by_the_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 11)]

    assert quantiles("x", ordered) == {
        "x_p50_s": 5.0,
        "x_p90_s": 9.0,
        "x_p99_s": 10.0,
        "x_max_s": 10.0,
        "x_count": 10.0,
    }


def test_of_nothing_there_are_no_quantiles() -> None:
    assert quantiles("x", []) == {}
