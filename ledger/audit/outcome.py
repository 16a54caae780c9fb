"""The consequences of an auditor's own result: leaves, manifest, seal, header, as they have to be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger.audit.calculator import Recomputation
from ledger.audit.epoch_record import Inheritance, ParentEpoch, SealRecord
from ledger.books.posting import Chain, Posting, entry_bytes, link
from ledger.books.seal_entries import OperatorLines, seal_entry
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.model.allocation import NodeStatement, Opening
from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import Tables
from ledger.model.units import Address, Hash32, Wei
from ledger.tree.commitments import StatementRow, header_hash, manifest_hash, policy_hash, statements_hash
from ledger.tree.payout import payout_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a ledger must have written, given the evidence and what the epoch before left."""

    leaves: Mapping[Address, int]
    """Cumulative wei by operator, for all who ever earned something (E2.9)."""
    manifest: Manifest
    seal: Posting
    seal_canonical: bytes
    header: EpochHeader
    header_hash: Hash32


def outcome_of(
    result: Recomputation, judgement: Judgement, frozen: FrozenEvidence, parent: ParentEpoch, stored: SealRecord
) -> Outcome:
    """Everything that follows from a result (encodings spec E5, E6).

    Of the stored seal only its place in the chain is taken: number, attempt and the hash before it.
    """
    totals = result.totals
    lines = operator_lines(result.statements)
    leaves = cumulative_leaves(parent.cumulative_wei, lines)
    claim_root = payout_tree(list(leaves), list(leaves.values())).root
    manifest = Manifest(
        epoch=frozen.epoch,
        policy_hash=policy_hash(frozen.policy),
        rules_version=frozen.tables.rules_version,
        evidence_root=judgement.evidence_root,
        registrations_root=judgement.registrations_root,
        used_ranges_root=judgement.used_ranges_root,
        roles_block=frozen.roles_block,
        roles_block_hash=frozen.roles_block_hash,
        statements_hash=statements_hash(map(statement_row, result.statements)),
        rollover_in=parent.opening.rollover_in_wei,
        carried_in_ug=parent.opening.carried_in_ug,
        previous_seal=parent.seal_hash,
    )
    seal = seal_entry(
        totals=totals,
        attempt=stored.attempt,
        manifest_hash=manifest_hash(manifest),
        claim_root=claim_root,
        lines=lines,
        effective_at=frozen.calendar.end(frozen.epoch),
    )
    canonical = entry_bytes(seal.content(), stored.number).canonical
    header = EpochHeader(
        epoch=frozen.epoch,
        claim_root=claim_root,
        ledger_head=link(Chain.SEAL, stored.previous_hash, canonical),
        policy_hash=manifest.policy_hash,
        manifest_hash=manifest_hash(manifest),
        parent_hash=parent.header_hash,
        payout=totals.payout_wei,
        carbon=totals.carbon_wei,
        reserve=totals.reserve_wei,
        rollover=totals.rollover_out_wei,
        residual_micrograms=totals.residual_ug,
    )
    return Outcome(
        leaves=leaves,
        manifest=manifest,
        seal=seal,
        seal_canonical=canonical,
        header=header,
        header_hash=header_hash(header),
    )


def inheritance_of(result: Recomputation, judgement: Judgement, outcome: Outcome, tables: Tables) -> Inheritance:
    """What the epoch leaves to the next one (R5.7)."""
    totals = result.totals
    parent = ParentEpoch(
        header_hash=outcome.header_hash,
        seal_hash=outcome.header.ledger_head,
        used_ranges_root=judgement.used_ranges_root,
        opening=Opening(rollover_in_wei=totals.rollover_out_wei, carried_in_ug=totals.carried_out_ug),
        cumulative_wei={operator: Wei(amount) for operator, amount in outcome.leaves.items()},
        tables=tables,
    )
    return Inheritance(parent=parent, used=judgement.used_after, gpu_holders=judgement.gpu_holders)


def operator_lines(statements: Iterable[NodeStatement]) -> list[OperatorLines]:
    """The sums of each operator's node lines, by ascending address (R4.21)."""
    sums: dict[Address, tuple[int, int, int]] = {}
    for row in statements:
        base, efficiency, green = sums.get(row.operator, (0, 0, 0))
        sums[row.operator] = (base + row.base_wei, efficiency + row.efficiency_wei, green + row.green_wei)
    return [
        OperatorLines(operator=operator, base_wei=Wei(base), efficiency_wei=Wei(efficiency), green_wei=Wei(green))
        for operator, (base, efficiency, green) in sorted(sums.items())
    ]


def cumulative_leaves(before: Mapping[Address, Wei], lines: Iterable[OperatorLines]) -> dict[Address, int]:
    """What each operator has earned since epoch 0, in wei, by ascending address; nobody with nothing (E2.9)."""
    after = {operator: int(amount) for operator, amount in before.items()}
    for line in lines:
        after[line.operator] = after.get(line.operator, 0) + line.pay_wei
    return {operator: after[operator] for operator in sorted(after) if after[operator]}


def statement_row(row: NodeStatement) -> StatementRow:
    """What a statement contributes to the statements hash (E5.4)."""
    return StatementRow(
        node_id=row.node_id,
        capacity=row.capacity,
        uptime=row.uptime,
        efficiency=row.efficiency,
        green=row.green,
        multiplier=row.multiplier,
        weight=row.weight,
        location_ug=row.location_ug,
        residual_ug=row.residual_ug,
        pay_wei=row.pay_wei,
        base_wei=row.base_wei,
        efficiency_wei=row.efficiency_wei,
        green_wei=row.green_wei,
    )
