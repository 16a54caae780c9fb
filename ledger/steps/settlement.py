"""The chain side of a ledger: where its contracts are, what counts as final, and who sends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the chain's packages cost start-up time that reads of the books need not pay
    from ledger.chain.contracts.rewards_ledger import RewardsLedgerContract
    from ledger.chain.deploying.deployment import Deployment
    from ledger.chain.node.connection import Connection, Finality
    from ledger.chain.sending.fees import FeePolicy
    from ledger.chain.sending.signer import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The chain side of a ledger: a checked connection, the contracts, and who sends for us."""

    connection: "Connection"
    deployment: "Deployment"
    finality: "Finality"
    publisher: "Signer | None"
    """Proposes and activates; None where this ledger only follows."""
    fees: "FeePolicy | None" = None

    @property
    def rewards_ledger(self) -> "RewardsLedgerContract":
        """The contract that holds epochs and claims."""
        return self.deployment.rewards_ledger(self.connection)
