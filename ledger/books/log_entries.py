"""Entries of the chain log: what the contracts did, posted once it is final, and what reconciliation found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.books.accounts import (
    CARBON_HELD,
    CARBON_PAID_FOR,
    CARBON_PENDING,
    CARBON_RETIRED,
    CARBON_SPENT,
    CARBON_SUSPENSE,
    RESERVE_PAID,
    RESERVE_PENDING,
    SUSPENSE,
    Asset,
    TransferCode,
    claimed,
    kind_of,
    payable,
    pending,
)
from ledger.books.errors import PostingError
from ledger.books.posting import Chain, EntryKind, Posting
from ledger.books.seal_entries import reversed_transfers
from ledger.books.transfers import Transfer
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei, to_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPoint:
    """Where on chain something happened: one log of one transaction in one block."""

    chain_id: int
    block: int
    block_hash: Hash32
    block_time: Timestamp
    transaction: Hash32
    log: int

    @property
    def key(self) -> str:
        """The part of a business key that names this log."""
        return f"{self.chain_id}/{to_hex(self.transaction)}/{self.log}"

    def body(self) -> dict[str, Any]:
        """The point as it is hashed."""
        return {
            "chainId": self.chain_id,
            "block": self.block,
            "blockHash": to_hex(self.block_hash),
            "transaction": to_hex(self.transaction),
            "log": self.log,
        }


def activation_entry(
    *,
    epoch: EpochNumber,
    attempt: int,
    payouts: Mapping[Address, Wei],
    carbon_wei: Wei,
    reserve_wei: Wei,
    header_hash: Hash32,
    at: ChainPoint,
) -> Posting:
    """Book an activation: every operator's payout becomes payable, carbon is held, the reserve is paid."""
    code, ath = TransferCode.ACTIVATE, Asset.ATH
    moves = (
        Transfer(CARBON_PENDING, CARBON_HELD, carbon_wei, ath, code),
        Transfer(RESERVE_PENDING, RESERVE_PAID, reserve_wei, ath, code),
        *(
            Transfer(pending(operator), payable(operator), amount, ath, code)
            for operator, amount in sorted(payouts.items())
        ),
    )
    return Posting(
        chain=Chain.LOG,
        key=activation_entry_key(epoch, attempt),
        kind=EntryKind.ACTIVATION,
        effective_at=at.block_time,
        body={"epoch": epoch, "attempt": attempt, "headerHash": to_hex(header_hash), "at": at.body()},
        transfers=tuple(move for move in moves if move.amount),
    )


def activation_entry_key(epoch: EpochNumber, attempt: int) -> str:
    """The business key of an epoch's activation; attempts count from 1."""
    return f"epoch/{epoch}/activation/{attempt}"


def claim_entry(*, account: Address, payee: Address, amount_wei: Wei, cumulative_wei: Wei, at: ChainPoint) -> Posting:
    """Book an operator's withdrawal; `cumulative_wei` is what the contract says it has claimed in all."""
    return Posting(
        chain=Chain.LOG,
        key=f"claim/{at.key}",
        kind=EntryKind.CLAIM,
        effective_at=at.block_time,
        body={
            "account": to_hex(account),
            "payee": to_hex(payee),
            "amountWei": amount_wei,
            "cumulativeWei": cumulative_wei,
            "at": at.body(),
        },
        transfers=(Transfer(payable(account), claimed(account), amount_wei, Asset.ATH, TransferCode.CLAIM),),
    )


def retirement_entry(
    *,
    retired_ug: MicrogramsCo2e,
    payment_wei: Wei,
    supplier: Address,
    certificate_hash: Hash32,
    uri: str,
    at: ChainPoint,
) -> Posting:
    """Book a retirement of carbon: the vault paid a supplier, and µg that were paid for are retired."""
    moves = (
        Transfer(CARBON_HELD, CARBON_SPENT, payment_wei, Asset.ATH, TransferCode.RETIRE),
        Transfer(CARBON_PAID_FOR, CARBON_RETIRED, retired_ug, Asset.UGCO2E, TransferCode.RETIRE),
    )
    return Posting(
        chain=Chain.LOG,
        key=f"retirement/{at.key}",
        kind=EntryKind.RETIREMENT,
        effective_at=at.block_time,
        body={
            "retiredUg": retired_ug,
            "paymentWei": payment_wei,
            "supplier": to_hex(supplier),
            "certificateHash": to_hex(certificate_hash),
            "uri": uri,
            "at": at.body(),
        },
        transfers=tuple(move for move in moves if move.amount),
    )


def suspense_entry(
    *, name: str, account: str, difference: int, evidence: Mapping[str, Any], effective_at: Timestamp
) -> Posting:
    """Book a difference found by reconciliation: chain − books of one account, in its asset.

    `name` identifies the finding (`17/operator/0x…/claimed`: block and account); `evidence` says what
    was expected and what was found. It is never fixed silently: only a correction clears it.
    """
    if difference == 0:
        raise PostingError(f"{name}: no difference, nothing to book")
    asset = kind_of(account).asset
    counter = SUSPENSE if asset is Asset.ATH else CARBON_SUSPENSE
    debit, credit = (counter, account) if difference > 0 else (account, counter)
    return Posting(
        chain=Chain.LOG,
        key=f"suspense/{name}",
        kind=EntryKind.SUSPENSE,
        effective_at=effective_at,
        body={"account": account, "difference": difference, "evidence": dict(evidence)},
        transfers=(Transfer(debit, credit, abs(difference), asset, TransferCode.SUSPENSE),),
    )


def undo_entry(
    *,
    undone_key: str,
    undone_hash: Hash32,
    undone_transfers: Sequence[Transfer],
    reason: str,
    effective_at: Timestamp,
) -> Posting:
    """Book a log entry backwards: its block vanished after it was final, or a difference was explained."""
    return Posting(
        chain=Chain.LOG,
        key=f"reversal/{undone_key}",
        kind=EntryKind.REVERSAL,
        effective_at=effective_at,
        body={"undoes": undone_key, "undoneHash": to_hex(undone_hash), "reason": reason},
        transfers=reversed_transfers(undone_transfers),
    )
