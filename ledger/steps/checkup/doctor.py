"""What a start needs, looked at one by one: each finding says what is and what to do. Nothing is changed.

A check answers with a finding, or fails with one of the ledger's errors, whose code and remedy become the finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.model.errors import InvariantError, LedgerError, MismatchError
from ledger.model.howto import page_of
from ledger.telemetry.secrets import redacted

MISMATCH: Final = 4
ENVIRONMENT: Final = 5


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """Nothing stops a start, but somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something it depends on failed first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's answer."""

    check: str
    health: Health
    found: str
    code: str = ""
    remedy: str = ""
    is_mismatch: bool = False
    """Whether something is other than it was written, which no waiting will mend."""

    @property
    def page(self) -> str:
        """The page that says more about what to do."""
        return page_of(self.code)


Answer = tuple[Health, str, str, str]
"""Health, what was found, code, what to do."""


def well(found: str) -> Answer:
    """All is as it should be."""
    return (Health.OK, found, "", "")


def beware(code: str, found: str, remedy: str) -> Answer:
    """A start is possible, but."""
    return (Health.WARNING, found, code, remedy)


def broken(code: str, found: str, remedy: str) -> Answer:
    """A start would fail."""
    return (Health.FAILED, found, code, remedy)


def examine(name: str, check: Callable[[], Answer]) -> Finding:
    """Run one check; the ledger's errors and the system's are findings, not failures of the doctor."""
    try:
        health, found, code, remedy = check()
    except LedgerError as error:
        return Finding(
            check=name,
            health=Health.FAILED,
            found=redacted(error.what),
            code=error.code,
            remedy=error.hint,
            is_mismatch=isinstance(error, MismatchError | InvariantError),
        )
    except OSError as error:
        remedy = "check the disk and the permissions of the workspace"
        return Finding(
            check=name, health=Health.FAILED, found=redacted(str(error)), code="environment.os", remedy=remedy
        )
    return Finding(check=name, health=health, found=redacted(found), code=code, remedy=remedy)


def skipped(name: str, because: str) -> Finding:
    """A check that makes no sense now."""
    return Finding(check=name, health=Health.SKIPPED, found=because)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when nothing failed, 4 when something is not what was written, 5 for the rest."""
    failed = [each for each in findings if each.health is Health.FAILED]
    if any(each.is_mismatch for each in failed):
        return MISMATCH
    return ENVIRONMENT if failed else 0
