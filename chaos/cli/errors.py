"""How `kith sim` ends: exit codes, and the one error that carries a sentence for the user."""

VALID = 0
INVALID = 1
"""An invariant did not hold, or a run raised an exception."""
UNKNOWN = 2
"""Nothing was judged, or the command could not do its work."""
USAGE = 64
INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the signal's number, as a shell reports it."""
TERMINATED = 143


class CommandError(Exception):
    """The command cannot do what was asked; printed as `kith: message`, never as a traceback.

    Args:
        message: what is wrong, with field and value.
        hint: what to do about it, or empty.
        exit_code: `USAGE` if nothing was begun, else `UNKNOWN`.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    @property
    def code(self) -> str:
        """One word for programs."""
        return "usage" if self.exit_code == USAGE else "failed"
