"""The RewardsLedger: epoch headers, the money they move, claims."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from ledger.chain.contracts.artefacts import (
    REWARDS_LEDGER,
    storage_slot,
)
from ledger.chain.contracts.contract import Call, Contract
from ledger.chain.node.connection import BlockAt
from ledger.model.header import EpochHeader
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, Wei
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import keccak256


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEpoch:
    """A proposal in its window."""

    header_hash: Hash32
    activates_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the contract holds of one account."""

    claimed_wei: Wei
    payee: Address


class RewardsLedgerContract(Contract):
    """Epoch headers, the money they move, claims."""

    contract = REWARDS_LEDGER

    def claim_root(self, at: BlockAt) -> Hash32:
        """Root claims are checked against; zero before the first payout and while paused."""
        return Hash32(self.read("claimRoot", at=at))

    def previous_root(self, at: BlockAt) -> Hash32:
        """The root before it, still good for claims."""
        return Hash32(self.read("previousRoot", at=at))

    def claimed_wei(self, account: Address, at: BlockAt) -> Wei:
        """Wei the account has claimed."""
        return Wei(self.read("claimed", account, at=at))

    def accounts_of(self, accounts: Sequence[Address], at: BlockAt) -> list[Account]:
        """Claimed wei and payee of many accounts, in order, read from storage in few requests."""
        slot = uint_word(storage_slot(self.contract, "_accounts"))
        places = [keccak256(address_word(account) + slot) for account in accounts]
        words = self.connection.storage_many(self.address, places, at)
        return [
            Account(
                claimed_wei=Wei(int.from_bytes(word[20:], "big")),
                payee=Address(word[:20]) if any(word[:20]) else account,
            )
            for account, word in zip(accounts, words, strict=True)
        ]

    def payee_of(self, account: Address, at: BlockAt) -> Address:
        """Where the account's claims are paid."""
        return Address(self.read("payeeOf", account, at=at))

    def last_header_hash(self, at: BlockAt) -> Hash32:
        """Hash of the last activated header, or of its correction; zero before the first."""
        return Hash32(self.read("lastHeaderHash", at=at))

    def next_epoch(self, at: BlockAt) -> EpochNumber:
        """Number of the epoch to propose next."""
        return EpochNumber(self.read("nextEpoch", at=at))

    def rollover_wei(self, at: BlockAt) -> Wei:
        """Budget that no epoch has given out yet."""
        return Wei(self.read("rollover", at=at))

    def pending(self, at: BlockAt) -> PendingEpoch | None:
        """The proposal in its window, or None."""
        activates_at, header_hash = self.read("pending", at=at)
        if activates_at == 0:
            return None
        return PendingEpoch(header_hash=Hash32(header_hash), activates_at=Timestamp(activates_at))

    def proposals_open(self, at: BlockAt) -> bool:
        """Whether the publisher may propose."""
        return bool(self.read("proposalsOpen", at=at))

    def is_paused(self, at: BlockAt) -> bool:
        """Whether claims and activations rest."""
        return bool(self.read("paused", at=at))

    def saved_root(self, at: BlockAt) -> Hash32:
        """What the claim root comes back to when claims resume; zero while they are not paused."""
        return Hash32(self.read("savedRoot", at=at))

    def payee_nonce(self, account: Address, at: BlockAt) -> int:
        """The nonce the next signed SetPayee must carry."""
        return int(self.read("nonces", account, at=at))

    def vault(self, at: BlockAt) -> Address:
        """The CarbonVault this ledger created."""
        return Address(self.read("VAULT", at=at))

    def propose_epoch(self, header: EpochHeader) -> Call:
        """For the publisher."""
        return self.call("proposeEpoch", header_words(header))

    def activate_epoch(self, header: EpochHeader) -> Call:
        """For anyone, after the window."""
        return self.call("activateEpoch", header_words(header))

    def revoke_epoch(self, header: EpochHeader) -> Call:
        """For the guardian: throws the proposal away and closes proposals."""
        return self.call("revokeEpoch", header_words(header))

    def reopen_proposals(self) -> Call:
        """For the governor."""
        return self.call("reopenProposals")

    def claim(self, account: Address, cumulative_wei: Wei, proof: Sequence[Hash32]) -> Call:
        """For anyone; pays the account's payee."""
        return self.call("claim", account, cumulative_wei, list(proof))

    def claim_many(
        self, accounts: Sequence[Address], cumulatives_wei: Sequence[Wei], proofs: Sequence[Sequence[Hash32]]
    ) -> Call:
        """For anyone; skips what is settled."""
        return self.call("claimMany", list(accounts), list(cumulatives_wei), [list(proof) for proof in proofs])

    def set_payee(self, payee: Address) -> Call:
        """For the account itself; its later claims go there."""
        return self.call("setPayee", payee)

    def set_payee_by_sig(
        self, account: Address, payee: Address, nonce: int, deadline: Timestamp, signature: bytes
    ) -> Call:
        """For a relayer, with the account's EIP-712 signature."""
        return self.call("setPayeeBySig", account, payee, nonce, deadline, signature)

    def pause_claims(self) -> Call:
        """For the guardian."""
        return self.call("pauseClaims")

    def resume_claims(self) -> Call:
        """For the governor."""
        return self.call("resumeClaims")

    def supersede_root(self, header: EpochHeader) -> Call:
        """For the governor, while paused: a correction header."""
        return self.call("supersedeRoot", header_words(header))


def header_words(header: EpochHeader) -> tuple[Any, ...]:
    """A header in the contract's order."""
    return astuple(header)
