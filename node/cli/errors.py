"""How a command ends: exit codes, and the errors that carry a sentence for the user.

CommandError        ends the command with a message and an exit code
└── UsageError      the command line is wrong: 64, as in BSD's sysexits
"""

GOOD = 0
DEGRADED = 1
"""It works, but not all is well; or what was asked for is invalid."""
UNKNOWN = 2
"""There is no such thing, or nobody could be asked."""
USAGE = 64
INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the signal's number, as a shell reports it."""


class CommandError(Exception):
    """The command cannot do what was asked; printed as `kith: message`, never as a traceback.

    Args:
        message: what is wrong, with the value.
        exit_code: one of this module's.
        hint: what to do about it, or empty.
        code: for programs (`--json`): a word of the API's error table, or this command's own.
        field: the field of the request at fault, or empty.
    """

    def __init__(
        self, message: str, exit_code: int, *, hint: str = "", code: str = "failed", field: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint
        self.code = code
        self.field = field


class UsageError(CommandError):
    """The command line or an environment variable is wrong; nothing was done."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, USAGE, hint=hint, code="usage")
