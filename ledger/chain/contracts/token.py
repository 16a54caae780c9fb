"""The token rewards are paid in."""

from ledger.chain.contracts.artefacts import ATH_TOKEN
from ledger.chain.contracts.contract import Call, Contract
from ledger.chain.node.connection import BlockAt
from ledger.model.units import Address, Wei


class TokenContract(Contract):
    """The ERC-20 rewards are paid in."""

    contract = ATH_TOKEN

    def balance_wei(self, account: Address, at: BlockAt) -> Wei:
        """Tokens the account holds."""
        return Wei(self.read("balanceOf", account, at=at))

    def allowance_wei(self, owner: Address, spender: Address, at: BlockAt) -> Wei:
        """Tokens the spender may still take."""
        return Wei(self.read("allowance", owner, spender, at=at))

    def approve(self, spender: Address, amount_wei: Wei) -> Call:
        """For the owner."""
        return self.call("approve", spender, amount_wei)

    def transfer(self, to: Address, amount_wei: Wei) -> Call:
        """For the holder."""
        return self.call("transfer", to, amount_wei)
