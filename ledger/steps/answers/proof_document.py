"""An operator's proof as any claimer of a Merkle distributor takes it: account, amount, proof, root."""

from typing import Any

from ledger.model.units import Address, EpochNumber, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.operator_proof import proof_of
from ledger.tree.keccak import checksum_address


def proof_document(ledger: Ledger, operator: Address, epoch: EpochNumber | None = None) -> dict[str, Any]:
    """The proof in an epoch's tree, by default the last final one's. Raises what `proof_of` raises."""
    found, domain = proof_of(ledger, operator, epoch), ledger.domain
    leaf = found.leaf
    return {
        "account": checksum_address(leaf.account),
        "amount": str(leaf.cumulative_wei),
        "proof": [to_hex(node) for node in leaf.proof],
        "root": to_hex(leaf.root),
        "epoch": found.epoch,
        "state": found.state.value,
        "contract": checksum_address(domain.verifying_contract),
        "chain_id": domain.chain_id,
    }
