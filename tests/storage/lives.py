"""A store through its restarts."""

from collections.abc import Callable

from storage import Store


class Lives:
    """A store that can be closed and opened again, as by a restart."""

    def __init__(self, open_again: Callable[[], Store]) -> None:
        self._open_again = open_again
        self.store = open_again()

    def restart(self) -> Store:
        self.store.close()
        self.store = self._open_again()
        return self.store
