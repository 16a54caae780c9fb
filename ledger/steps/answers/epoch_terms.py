"""What all of an epoch's payouts were reckoned with: totals, policy, tables, every weight. The same for each node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.db import epochs
from ledger.db import policies as policy_rows
from ledger.db.epochs import EpochStanding
from ledger.db.policies import StoredPolicy
from ledger.model.allocation import NodeStatement, Opening, Totals
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.policy import Tables
from ledger.model.units import Hash32, from_hex
from ledger.rules.alternative import Weights, resettle_for
from ledger.steps.answers.index.statement_index import statement_index
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.totals import opening_of, totals_of


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTerms:
    """One attempt of a computed epoch."""

    totals: Totals
    opening: Opening
    policy: StoredPolicy
    tables: Tables
    tables_hash: Hash32
    weights: Weights
    """By ascending node id."""

    def resettle(self, paid: NodeStatement, place: int, changes: Sequence[Mapping[str, int]]) -> list[NodeStatement]:
        """The node's statement under each of the changes of its counts, by the rules that settled it."""
        return resettle_for(self.tables.rules_version)(
            paid, changes, weights=self.weights, place=place, residual_ug=self.totals.residual_ug,
            policy=self.policy.policy, tables=self.tables, opening=self.opening,
        )  # fmt: skip


def epoch_terms(ledger: Ledger, session: Session, standing: EpochStanding) -> EpochTerms:
    """The terms of an epoch as it stands. RowMissingError before it is computed, MismatchError for a changed file."""

    def make() -> EpochTerms:
        frozen = epochs.facts(session, standing.epoch, EpochState.FROZEN)
        totals = totals_of(session, standing.epoch)
        digest = Hash32(from_hex(frozen["tablesHash"], 32))
        weights = Weights(statement_index(ledger, session, standing.epoch, standing.attempt).weights())
        if weights.total != totals.sum_weight:
            raise MismatchError(
                f"epoch {standing.epoch}: the weights of its statements sum to {weights.total}, "
                f"its totals say {totals.sum_weight}"
            )
        weights.split_as_they_are(totals.pool_wei)
        return EpochTerms(
            totals=totals,
            opening=opening_of(session, standing.epoch),
            policy=policy_rows.policy(session, int(frozen["policyVersion"])),
            tables=policy_rows.tables(session, digest),
            tables_hash=digest,
            weights=weights,
        )

    return ledger.remembered.get(("terms", standing.epoch, standing.version), make)
