"""How a request ended, for the client that made it."""

import socket

from chaos.cluster.client import Client
from chaos.history import Outcome
from chaos.running.asking import asked


def test_what_nobody_took_was_surely_not_done() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Client(nobody.getsockname()[1]) as client:
            answer, outcome, why = asked(client, "POST", "/v1/services", {})

    assert (answer, outcome) == (None, Outcome.FAILED)
    assert "ConnectionRefusedError" in why


def test_what_somebody_took_and_did_not_answer_is_in_doubt() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with Client(mute.getsockname()[1], timeout_s=0.05) as client:
            assert asked(client, "POST", "/v1/services", {})[1] is Outcome.INDEFINITE
