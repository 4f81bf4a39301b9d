"""Threads of a run: begun together, and waited for together."""

import threading

from chaos.running.threads import Threads

PATIENCE_S = 10.0


def test_they_act_under_their_names_until_it_is_enough() -> None:
    enough, acting = threading.Event(), threading.Barrier(3)
    ended: list[str] = []

    def act() -> None:
        acting.wait(PATIENCE_S)
        enough.wait(PATIENCE_S)
        ended.append(threading.current_thread().name)

    threads = Threads({"watch-a": act, "watch-b": act}, join_s=PATIENCE_S)
    threads.start()
    acting.wait(PATIENCE_S)
    assert ended == []

    enough.set()
    threads.join()

    assert sorted(ended) == ["kith-chaos-watch-a", "kith-chaos-watch-b"]
    threads.join()


def test_one_that_does_not_end_is_waited_for_no_longer_than_was_said() -> None:
    enough = threading.Event()

    def act() -> None:
        enough.wait(PATIENCE_S)

    threads = Threads({"stuck": act}, join_s=0.0)
    threads.start()

    threads.join()

    assert any(one.name == "kith-chaos-stuck" and one.daemon for one in threading.enumerate())
    enough.set()


def test_those_that_never_began_are_not_waited_for() -> None:
    Threads({"idle": lambda: None}, join_s=PATIENCE_S).join()
