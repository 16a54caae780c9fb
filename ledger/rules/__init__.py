"""Versioned code that turns accepted evidence and policy into an allocation.

A version is never changed once an epoch was sealed under it: old epochs must recompute for ever.
"""

from typing import TYPE_CHECKING, Protocol

from ledger.model.allocation import Opening
from ledger.model.errors import NotFoundError
from ledger.model.policy import Policy, Tables
from ledger.rules import v1

if TYPE_CHECKING:  # whoever asks for rules brings the evidence
    from ledger.evidence.judging.accepted import AcceptedEvidence
    from ledger.rules.allocation import Allocation


class UnknownRulesError(NotFoundError):
    """The tables name a rules version that this release does not have."""

    code = "rules.unknown"
    default_hint = "install the release of ath-ledger that has this rules version"


class Rules(Protocol):
    """One version of the rules."""

    def allocate(self, evidence: "AcceptedEvidence", policy: Policy, tables: Tables, opening: Opening) -> "Allocation":
        """The epoch's allocation; InvariantError where evidence, policy or result break a promise."""
        ...


def rules_for(version: str) -> Rules:
    """The rules of a version such as `v1`, as the tables and the manifest name it; else UnknownRulesError."""
    if version == "v1":
        return v1
    raise UnknownRulesError(f"there are no rules {version!r}; this release has: v1")
