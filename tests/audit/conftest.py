"""A whole sealed epoch, made by the production parts from signed evidence: the specification's worked example."""

from collections.abc import Callable

import pytest

from ledger.audit.epoch_record import NOTHING_LEFT, EpochRecord, Inheritance, ParentEpoch, SealRecord
from ledger.books.posting import Chain, entry_bytes, link
from ledger.books.seal_entries import OperatorLines, seal_entry
from ledger.demo.network import DemoNetwork
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.allocation import Opening
from ledger.model.header import EpochHeader, Manifest
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Wei
from ledger.rules.statements import operator_totals, statement_rows
from ledger.rules.v1 import allocate
from ledger.tree.commitments import StatementRow, header_hash, manifest_hash, policy_hash, statements_hash
from ledger.tree.payout import payout_tree

OLD_HAND = Address(bytes([0xEE] * 20))
"""An operator that earned in earlier epochs and nothing in this one."""


def worked_evidence() -> FrozenEvidence:
    example = WorkedExample()
    domain = Domain(chain_id=31337, verifying_contract=Address(bytes([0xAA] * 20)))
    epoch = EpochNumber(0)
    return FrozenEvidence(
        epoch=epoch,
        calendar=example.calendar,
        domain=domain,
        roles=example.roles(),
        roles_block=12,
        roles_block_hash=Hash32(bytes([0xBB] * 32)),
        policy=example.policy,
        tables=example.tables,
        registrations=tuple(example.registrations(domain)),
        batches=tuple(example.batches(epoch, domain)),
        revocations=(),
        previous_holders={},
        used=UsedRegister.empty(),
    )


def sealed(frozen: FrozenEvidence, parent: ParentEpoch) -> EpochRecord:
    """The record a ledger would hand out for this evidence, after this parent."""
    judgement = judge(frozen)
    allocation = allocate(judgement.accepted, frozen.policy, frozen.tables, parent.opening)
    rows = list(statement_rows(allocation.statements))
    operators = operator_totals(allocation.statements)
    cumulative = dict(parent.cumulative_wei)
    for total in operators:
        cumulative[total.operator] = Wei(cumulative.get(total.operator, 0) + total.pay_wei)
    leaves = tuple(sorted(cumulative.items()))
    claim_root = payout_tree([account for account, _ in leaves], [amount for _, amount in leaves]).root
    manifest = Manifest(
        epoch=frozen.epoch,
        policy_hash=policy_hash(frozen.policy),
        rules_version="v1",
        evidence_root=judgement.evidence_root,
        registrations_root=judgement.registrations_root,
        used_ranges_root=judgement.used_ranges_root,
        roles_block=frozen.roles_block,
        roles_block_hash=frozen.roles_block_hash,
        statements_hash=statements_hash(
            StatementRow(**{name: getattr(row, name) for name in StatementRow._fields}) for row in rows
        ),
        rollover_in=parent.opening.rollover_in_wei,
        carried_in_ug=parent.opening.carried_in_ug,
        previous_seal=parent.seal_hash,
    )
    posting = seal_entry(
        totals=allocation.totals,
        attempt=1,
        manifest_hash=manifest_hash(manifest),
        claim_root=claim_root,
        lines=[
            OperatorLines(
                operator=total.operator,
                base_wei=total.base_wei,
                efficiency_wei=total.efficiency_wei,
                green_wei=total.green_wei,
            )
            for total in operators
        ],
        effective_at=frozen.calendar.end(frozen.epoch),
    )
    previous = Hash32(bytes([0xCC] * 32))
    canonical = entry_bytes(posting.content(), 2).canonical
    seal = SealRecord(
        number=2,
        attempt=1,
        previous_hash=previous,
        canonical=canonical,
        hash=link(Chain.SEAL, previous, canonical),
        transfers=posting.transfers,
    )
    totals = allocation.totals
    header = EpochHeader(
        epoch=frozen.epoch,
        claim_root=claim_root,
        ledger_head=seal.hash,
        policy_hash=manifest.policy_hash,
        manifest_hash=manifest_hash(manifest),
        parent_hash=parent.header_hash,
        payout=totals.payout_wei,
        carbon=totals.carbon_wei,
        reserve=totals.reserve_wei,
        rollover=totals.rollover_out_wei,
        residual_micrograms=totals.residual_ug,
    )
    return EpochRecord(
        evidence=frozen,
        parent=parent,
        totals=totals,
        statements=rows,
        leaves=leaves,
        manifest=manifest,
        seal=seal,
        header=header,
        on_chain_header_hash=header_hash(header),
    )


def demo_evidence(network: DemoNetwork, epoch: EpochNumber, left: Inheritance) -> FrozenEvidence:
    """One epoch of the synthetic demo network, with what the epochs before left."""
    domain = Domain(chain_id=31337, verifying_contract=Address(bytes([0xAA] * 20)))
    block_hash = Hash32(bytes([epoch + 1] * 32))
    return FrozenEvidence(
        epoch=epoch,
        calendar=network.calendar,
        domain=domain,
        roles=network.roles(),
        roles_block=epoch,
        roles_block_hash=block_hash,
        policy=network.policy,
        tables=network.tables,
        registrations=tuple(network.registrations(domain)),
        batches=tuple(network.batches(epoch, domain, block_hash)),
        revocations=tuple(network.revocations(epoch, domain)),
        previous_holders=left.gpu_holders,
        used=left.used,
    )


@pytest.fixture(scope="session")
def seal_demo_epoch() -> Callable[[DemoNetwork, EpochNumber, Inheritance], EpochRecord]:
    """The record a ledger would hand out for an epoch of the demo network."""
    return lambda network, epoch, left: sealed(demo_evidence(network, epoch, left), left.parent)


@pytest.fixture(scope="session")
def first_epoch() -> EpochRecord:
    """The worked example as the first epoch of a ledger."""
    return sealed(worked_evidence(), ParentEpoch(opening=NOTHING_LEFT))


@pytest.fixture(scope="session")
def later_epoch(first_epoch: EpochRecord) -> EpochRecord:
    """The same evidence after a parent that left rollover, a carbon liability and claim leaves."""
    parent = ParentEpoch(
        header_hash=Hash32(bytes([0xDD] * 32)),
        seal_hash=Hash32(bytes([0xCC] * 32)),
        opening=Opening(rollover_in_wei=Wei(5 * 10**20 + 1), carried_in_ug=MicrogramsCo2e(10**12 + 7)),
        cumulative_wei={OLD_HAND: Wei(7), first_epoch.leaves[0][0]: Wei(10**18)},
    )
    return sealed(first_epoch.evidence, parent)
