"""The CarbonVault: the carve-out, and the retirements it pays for."""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.chain.contracts.artefacts import CARBON_VAULT
from ledger.chain.contracts.contract import Call, Contract
from ledger.chain.node.connection import BlockAt
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultTotals:
    """The vault's running sums at one block."""

    received_wei: Wei
    spent_wei: Wei
    owed_ug: MicrogramsCo2e
    paid_for_ug: MicrogramsCo2e
    retired_ug: MicrogramsCo2e


class CarbonVaultContract(Contract):
    """The carve-out, and the retirements it pays for."""

    contract = CARBON_VAULT

    def totals(self, at: BlockAt) -> VaultTotals:
        """All running sums."""
        return VaultTotals(
            received_wei=Wei(self.read("received", at=at)),
            spent_wei=Wei(self.read("spent", at=at)),
            owed_ug=MicrogramsCo2e(self.read("owed", at=at)),
            paid_for_ug=MicrogramsCo2e(self.read("paidFor", at=at)),
            retired_ug=MicrogramsCo2e(self.read("retired", at=at)),
        )

    def carbon_of(self, epoch: EpochNumber, at: BlockAt) -> Mapping[str, int]:
        """One epoch's received wei, owed, paid-for and retired µg."""
        found: Mapping[str, int] = self.read("carbonOf", epoch, at=at)
        return found

    def retire(self, grams: int, payment_wei: Wei, supplier: Address, certificate_hash: Hash32, uri: str) -> Call:
        """For the retirer."""
        return self.call("retire", grams, payment_wei, supplier, certificate_hash, uri)
