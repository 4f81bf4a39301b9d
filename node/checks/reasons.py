"""Why a connection came to nothing, in a short sentence for people.

Libraries wrap the system's own error in errors of theirs, one in the other; what helps a reader is
the innermost that says more than its wrapping.
"""

import errno
import socket
import ssl

CAUSES_MAX = 16
"""How deep we look for the system's own error inside an exception."""


def reason_of(error: BaseException) -> str:
    """A short sentence for whatever went wrong, from the deepest cause that says more."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {getattr(cause, 'verify_message', cause)}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'reason', None) or cause}"
        if isinstance(cause, socket.gaierror):
            return f"the name cannot be resolved: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno is not None:
            return _system_reason(cause)
    return str(error) or type(error).__name__


def _system_reason(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if error.errno == errno.ECONNRESET:
        return "connection reset"
    return (error.strerror or str(error)).lower()


def _causes(error: BaseException) -> list[BaseException]:
    """`error`, what it was raised from, and the attempts that trio lists below a failed connect."""
    found = [error]
    for current in found:
        below = [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
        for cause in below:
            known = any(cause is one for one in found)
            if isinstance(cause, BaseException) and not known and len(found) < CAUSES_MAX:
                found.append(cause)
    return found
