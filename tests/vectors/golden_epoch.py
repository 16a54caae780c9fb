"""What a golden epoch is, whatever its file looks like."""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import Policy, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenEpoch:
    """One epoch's inputs and the result demanded of every calculator."""

    name: str
    evidence: AcceptedEvidence
    policy: Policy
    tables: Tables
    opening: Opening
    expected_totals: Mapping[str, int]
    """Fields of `Totals`."""
    expected_statements: Mapping[bytes, Mapping[str, int | str]]
    """Node id → fields of `NodeStatement`; only those named are demanded."""
