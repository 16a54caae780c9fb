"""The PolicyRegistry: policies with notice, verifier roles, the calendar."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from ledger.chain.contracts.artefacts import POLICY_REGISTRY
from ledger.chain.contracts.contract import Call, Contract
from ledger.chain.node.connection import BlockAt
from ledger.model.policy import Policy
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp


class PolicyRegistryContract(Contract):
    """Policies with notice, verifier roles, the calendar."""

    contract = POLICY_REGISTRY

    def genesis(self, at: BlockAt) -> Timestamp:
        """Start of epoch 0."""
        return Timestamp(self.read("GENESIS", at=at))

    def epoch_length(self, at: BlockAt) -> int:
        """Seconds of an epoch."""
        return int(self.read("EPOCH_LENGTH", at=at))

    def current_epoch(self, at: BlockAt) -> EpochNumber:
        """The epoch that runs at the block; 0 before genesis."""
        return EpochNumber(self.read("currentEpoch", at=at))

    def policy_at(self, epoch: EpochNumber, at: BlockAt) -> Policy:
        """The policy that governs an epoch."""
        return Policy(**self.read("policyAt", epoch, at=at))

    def policy_hash_at(self, epoch: EpochNumber, at: BlockAt) -> Hash32:
        """Its hash."""
        return Hash32(self.read("policyHashAt", epoch, at=at))

    def schedule(self, policy: Policy, effective_epoch: EpochNumber) -> Call:
        """For the governor."""
        return self.call("schedule", policy_words(policy), effective_epoch)

    def cancel(self, effective_epoch: EpochNumber) -> Call:
        """For the guardian: this policy and all later ones."""
        return self.call("cancel", effective_epoch)

    def set_verifier(
        self,
        schema_id: Hash32,
        verifier: Address,
        affiliation: Address,
        registry_ids: Sequence[Hash32],
        from_epoch: int,
        until_epoch: int,
    ) -> Call:
        """For the governor; appends an entry."""
        return self.call("setVerifier", schema_id, verifier, affiliation, list(registry_ids), from_epoch, until_epoch)


def policy_words(policy: Policy) -> tuple[Any, ...]:
    """A policy in the contract's order."""
    return astuple(policy)
