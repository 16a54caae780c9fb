"""One class per contract: every read takes the block it is pinned to, every write is a `Call` to be sent.

Nothing here sends. Amounts are wei, µg or seconds as the names say; addresses and hashes are bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from ledger.chain.artefacts import (
    ACCESS_MANAGER,
    ATH_TOKEN,
    CARBON_VAULT,
    POLICY_REGISTRY,
    REWARDS_LEDGER,
    interface,
    storage_slot,
)
from ledger.chain.connection import BlockAt, Connection
from ledger.chain.errors import RpcError
from ledger.chain.interface import ContractInterface, Decoded
from ledger.chain.reverts import as_refusal
from ledger.model.header import EpochHeader
from ledger.model.policy import Policy
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import checksum_address, keccak256


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A write that somebody may sign: target and calldata, with its meaning for people."""

    to: Address
    calldata: bytes
    meaning: Decoded
    contract: str

    def __str__(self) -> str:
        return f"{self.contract}.{self.meaning}"


class Contract:
    """A contract's interface at its address."""

    contract: ClassVar[str]

    def __init__(self, connection: Connection, address: Address) -> None:
        self.connection = connection
        self.address = address

    @property
    def interface(self) -> ContractInterface:
        """The contract's ABI."""
        return interface(self.contract)

    def read(self, function: str, *values: Any, at: BlockAt) -> Any:
        """Call a view at a block; one value alone, several as a tuple. A refusal raises CallRevertedError."""
        return self._answer(function, self._ask(self.interface.encode(function, *values), function, at))

    def call(self, function: str, *values: Any) -> Call:
        """A write, ready to be checked, shown, signed."""
        calldata = self.interface.encode(function, *values)
        meaning = self.interface.describe(calldata)
        return Call(
            to=self.address, calldata=calldata, meaning=meaning or Decoded(name=function, arguments={}),
            contract=self.contract,
        )  # fmt: skip

    def _ask(self, calldata: bytes, function: str, at: BlockAt) -> bytes:
        try:
            return self.connection.call(self.address, calldata, at)
        except RpcError as error:
            raise as_refusal(error, f"{self.contract}.{function} at {checksum_address(self.address)}") from error

    def _answer(self, function: str, answer: bytes) -> Any:
        values = self.interface.returned(function, answer)
        return values[0] if len(values) == 1 else values


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One account's standing in one role."""

    is_member: bool
    delay_seconds: int
    """How long what it does in this role must have been announced."""


class AccessManagerContract(Contract):
    """Who may call what, and after which delay."""

    contract = ACCESS_MANAGER

    def access(self, role: int, account: Address, at: BlockAt) -> Access:
        """Whether the account holds the role now, and its delay."""
        is_member, delay = self.read("hasRole", role, account, at=at)
        return Access(is_member=bool(is_member), delay_seconds=int(delay))

    def function_role(self, target: Address, selector: bytes, at: BlockAt) -> int:
        """The role a function asks for."""
        return int(self.read("getTargetFunctionRole", target, selector, at=at))

    def scheduled_for(self, operation: Hash32, at: BlockAt) -> Timestamp | None:
        """When a scheduled operation may be executed; None when it is not scheduled, done or expired."""
        found = int(self.read("getSchedule", operation, at=at))
        return Timestamp(found) if found else None

    def schedule(self, call: Call, when: Timestamp = Timestamp(0)) -> Call:  # noqa: B008 - a plain integer
        """Announce a delayed call; 0 = as early as the delay allows."""
        return self.call("schedule", call.to, call.calldata, when)

    def execute(self, call: Call) -> Call:
        """Do what was announced."""
        return self.call("execute", call.to, call.calldata)

    def cancel(self, caller: Address, call: Call) -> Call:
        """Take an announcement back: the caller itself or the role's guardian."""
        return self.call("cancel", caller, call.to, call.calldata)


def operation_id(caller: Address, call: Call) -> Hash32:
    """The AccessManager's name for an announced call: keccak256(abi.encode(caller, target, data))."""
    padding = -len(call.calldata) % 32
    return keccak256(
        address_word(caller) + address_word(call.to) + (96).to_bytes(32, "big")
        + len(call.calldata).to_bytes(32, "big") + call.calldata + bytes(padding)
    )  # fmt: skip


def header_words(header: EpochHeader) -> tuple[Any, ...]:
    """A header in the contract's order."""
    return astuple(header)


def policy_words(policy: Policy) -> tuple[Any, ...]:
    """A policy in the contract's order."""
    return astuple(policy)
