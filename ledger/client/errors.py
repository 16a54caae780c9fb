"""What a server refused or could not do, with its own code, as the error the command line would raise for it."""

from collections.abc import Mapping
from typing import Any

from ledger.model.errors import (
    EnvironmentFailure,
    LedgerError,
    NotFoundError,
    RefusedError,
    TransactionFailedError,
    UsageError,
)


class ServerUnreachableError(EnvironmentFailure):
    """No answer came, or none that a ledger's server gives."""

    code = "server.unreachable"
    default_hint = "check the address, and ask the server's /readyz"


class _Told:
    """An error whose code and sentences are the server's."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        wrong = "; ".join(f"{each.get('where')}: {each.get('what')}" for each in problem.get("errors") or ())
        what = f"{problem.get('detail', '')}" + (f" ({wrong})" if wrong else "")
        super().__init__(what, hint=str(problem.get("hint", "")))  # type: ignore[call-arg]
        self.problem = problem
        """The problem document (RFC 9457) as the server sent it."""


class ServerUsageError(_Told, UsageError):
    """The server does not understand the question."""

    code = "server.usage"


class ServerNotFoundError(_Told, NotFoundError):
    """The server does not have what was asked for."""

    code = "server.not-found"


class ServerRefusedError(_Told, RefusedError):
    """The server refuses."""

    code = "server.refused"


class ServerTransactionError(_Told, TransactionFailedError):
    """A transaction behind the server failed."""

    code = "server.transaction"


class ServerFailure(_Told, EnvironmentFailure):
    """The server is busy, or its surroundings do not do their part."""

    code = "server.failure"


class ServerBrokenError(_Told, LedgerError):
    """Something at the server does not hold."""

    code = "server.broken"


def error_of(status: int, problem: Mapping[str, Any]) -> LedgerError:
    """The error for a problem document with this HTTP status."""
    kinds: dict[int, type[_Told]] = {
        403: ServerRefusedError,
        404: ServerNotFoundError,
        409: ServerRefusedError,
        429: ServerFailure,
        502: ServerTransactionError,
        503: ServerFailure,
    }
    kind = kinds.get(status, ServerUsageError if status < 500 else ServerBrokenError)
    code = str(problem.get("code") or getattr(kind, "code", ""))
    error = type(kind.__name__, (kind,), {"code": code, "__doc__": kind.__doc__})(problem)
    if not isinstance(error, LedgerError):
        raise TypeError(kind)
    return error
