"""Entries of the seal chain: policies, seals, reversals of seals, and supersede corrections.

They say nothing that differs between two machines with the same evidence: no local time, no local number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from ledger.books.accounts import (
    CARBON_OWED,
    CARBON_PAID_FOR,
    CARBON_PENDING,
    CARBON_RESIDUAL,
    CORRECTIONS,
    EMISSION,
    POOL,
    RESERVE_PENDING,
    ROLLOVER,
    Asset,
    TransferCode,
    payable,
    pending,
)
from ledger.books.errors import PostingError
from ledger.books.posting import Chain, EntryKind, Posting
from ledger.books.transfers import Transfer
from ledger.model.allocation import Totals
from ledger.model.policy import Policy
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, Wei, to_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorLines:
    """What one operator earned in an epoch: the sums of its nodes' statement lines."""

    operator: Address
    base_wei: Wei
    efficiency_wei: Wei
    green_wei: Wei

    @property
    def pay_wei(self) -> Wei:
        """The operator's payout of the epoch."""
        return Wei(self.base_wei + self.efficiency_wei + self.green_wei)


def seal_key(epoch: EpochNumber, attempt: int) -> str:
    """The business key of an epoch's seal; attempts count from 1."""
    return f"epoch/{epoch}/seal/{attempt}"


def policy_entry(
    *, version: int, effective_epoch: EpochNumber, policy: Policy, policy_hash: Hash32, effective_at: Timestamp
) -> Posting:
    """Book a policy, whole; it directly precedes the first seal it governs (encodings spec, seal and head).

    `version` is the registry's, `effective_at` the start of its first epoch.
    """
    parameters = {
        _camel(field.name): to_hex(value) if isinstance(value, bytes) else value
        for field in fields(Policy)
        for value in [getattr(policy, field.name)]
    }
    return Posting(
        chain=Chain.SEAL,
        key=f"policy/{version}",
        kind=EntryKind.POLICY,
        effective_at=effective_at,
        body={
            "version": version,
            "effectiveEpoch": effective_epoch,
            "policyHash": to_hex(policy_hash),
            "parameters": parameters,
        },
    )


def seal_entry(
    *,
    totals: Totals,
    attempt: int,
    manifest_hash: Hash32,
    claim_root: Hash32,
    lines: Iterable[OperatorLines],
    effective_at: Timestamp,
) -> Posting:
    """Book an epoch's result. Raises PostingError unless the lines sum to the totals, to the wei.

    The budget and the rollover meet in `pool` and leave as lines, carve-outs and rollover; in µg, the
    residual becomes owed, and what the carve-out pays for leaves it. `effective_at` is the epoch's end.
    """
    ordered = sorted(lines, key=lambda line: line.operator)
    _check_totals(totals, ordered)
    return Posting(
        chain=Chain.SEAL,
        key=seal_key(totals.epoch, attempt),
        kind=EntryKind.SEAL,
        effective_at=effective_at,
        body={
            "epoch": totals.epoch,
            "attempt": attempt,
            "manifestHash": to_hex(manifest_hash),
            "claimRoot": to_hex(claim_root),
            "totals": {_camel(field.name): getattr(totals, field.name) for field in fields(Totals)},
        },
        transfers=tuple(_seal_transfers(totals, ordered)),
    )


def reversal_entry(
    *,
    epoch: EpochNumber,
    attempt: int,
    sealed_hash: Hash32,
    sealed_transfers: Sequence[Transfer],
    reason: str,
    effective_at: Timestamp,
) -> Posting:
    """Book a revoked seal backwards, line by line and in reverse order; the epoch is sealed again as attempt + 1.

    `sealed_hash` is the hash of the seal's entry, `effective_at` the time of the revocation's block.
    """
    return Posting(
        chain=Chain.SEAL,
        key=f"epoch/{epoch}/reversal/{attempt}",
        kind=EntryKind.REVERSAL,
        effective_at=effective_at,
        body={"epoch": epoch, "attempt": attempt, "reverses": to_hex(sealed_hash), "reason": reason},
        transfers=reversed_transfers(sealed_transfers),
    )


def supersede_entry(
    *,
    epoch: EpochNumber,
    correction: int,
    claim_root: Hash32,
    parent_header: Hash32,
    changes_wei: Mapping[Address, int],
    reason: str,
    effective_at: Timestamp,
) -> Posting:
    """Book a supersede: what each operator's cumulative amount gains or loses against the last seal.

    `epoch` is the last epoch's number, `correction` counts its supersedes from 1. Losses pass through
    `corrections`, which may not fall below zero: nobody can be given more than was activated.
    """
    losses = [(operator, -change) for operator, change in sorted(changes_wei.items()) if change < 0]
    gains = [(operator, change) for operator, change in sorted(changes_wei.items()) if change > 0]
    code, ath = TransferCode.CORRECTION, Asset.ATH
    return Posting(
        chain=Chain.SEAL,
        key=f"epoch/{epoch}/supersede/{correction}",
        kind=EntryKind.CORRECTION,
        effective_at=effective_at,
        body={
            "epoch": epoch,
            "correction": correction,
            "claimRoot": to_hex(claim_root),
            "supersedesHeader": to_hex(parent_header),
            "reason": reason,
        },
        transfers=(
            *(Transfer(payable(operator), CORRECTIONS, amount, ath, code) for operator, amount in losses),
            *(Transfer(CORRECTIONS, payable(operator), amount, ath, code) for operator, amount in gains),
        ),
    )


def reversed_transfers(transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """The same amounts back again, last first, coded as a reversal."""
    return tuple(
        Transfer(transfer.credit, transfer.debit, transfer.amount, transfer.asset, TransferCode.REVERSAL)
        for transfer in reversed(transfers)
    )


def _seal_transfers(totals: Totals, lines: Sequence[OperatorLines]) -> Iterator[Transfer]:
    """The seal's lines in their one order; nothing is moved where the amount is zero."""
    ath, ug = Asset.ATH, Asset.UGCO2E
    paid_for_ug = totals.residual_ug + totals.carried_in_ug - totals.carried_out_ug
    fixed = (
        Transfer(EMISSION, POOL, totals.budget_wei, ath, TransferCode.BUDGET),
        Transfer(ROLLOVER, POOL, totals.rollover_in_wei, ath, TransferCode.ROLLOVER_IN),
        Transfer(POOL, CARBON_PENDING, totals.carbon_wei, ath, TransferCode.CARBON),
        Transfer(POOL, RESERVE_PENDING, totals.reserve_wei, ath, TransferCode.RESERVE),
        Transfer(POOL, ROLLOVER, totals.rollover_out_wei, ath, TransferCode.ROLLOVER_OUT),
        Transfer(CARBON_RESIDUAL, CARBON_OWED, totals.residual_ug, ug, TransferCode.RESIDUAL),
        Transfer(CARBON_OWED, CARBON_PAID_FOR, paid_for_ug, ug, TransferCode.PAID_FOR),
    )
    yield from (transfer for transfer in fixed if transfer.amount)
    for line in lines:
        account = pending(line.operator)
        if line.base_wei:
            yield Transfer(POOL, account, line.base_wei, ath, TransferCode.BASE)
        if line.efficiency_wei:
            yield Transfer(POOL, account, line.efficiency_wei, ath, TransferCode.EFFICIENCY)
        if line.green_wei:
            yield Transfer(POOL, account, line.green_wei, ath, TransferCode.GREEN)


def _check_totals(totals: Totals, lines: Sequence[OperatorLines]) -> None:
    where = f"epoch {totals.epoch}"
    if not totals.conserves:
        raise PostingError(f"{where}: payout, carbon, reserve and rollover do not sum to budget and rollover in")
    booked = sum(line.pay_wei for line in lines)
    if booked != totals.payout_wei:
        raise PostingError(f"{where}: the operators' lines sum to {booked} wei, the payout is {totals.payout_wei}")
    if any(min(line.base_wei, line.efficiency_wei, line.green_wei) < 0 for line in lines):
        raise PostingError(f"{where}: a line is negative")
    if len({line.operator for line in lines}) != len(lines):
        raise PostingError(f"{where}: an operator has two sets of lines")
    if not 0 <= totals.carried_out_ug <= totals.residual_ug + totals.carried_in_ug:
        raise PostingError(f"{where}: more µg are carried out than are owed")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
