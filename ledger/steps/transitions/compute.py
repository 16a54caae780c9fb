"""FROZEN → COMPUTED: judge the frozen evidence and let the rules of its policy allocate the epoch.

Nothing here depends on when or where it runs: the same frozen facts give the same files and the same hashes.
"""

import io

import polars as pl

from ledger.db import epochs
from ledger.db.exclusion import exclusively
from ledger.db.faultpoint import faultpoint
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import Judgement
from ledger.model.allocation import Opening, Totals
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, to_hex
from ledger.rules import rules_for
from ledger.rules.allocation import Allocation
from ledger.rules.statements import sealed_statements, statement_rows
from ledger.steps.computing.registrations import verified_registrations
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.transition import Moved, StepResult, Waiting
from ledger.tree.commitments import statements_hash


def compute(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Compute a frozen epoch once the epoch before it is FINAL (rewards spec R5.7).

    Raises HeldElsewhereError while another process computes it: the work is long, and its result the same.
    """
    with exclusively(ledger.database, f"compute/{epoch}"):
        return _compute(ledger, epoch)


def _compute(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    with ledger.database.reading() as session:
        if epoch > 0 and epochs.state_of(session, EpochNumber(epoch - 1)) is not EpochState.FINAL:
            why = f"epoch {epoch - 1} is not final yet"
            return Waiting(epoch=epoch, state=EpochState.FROZEN, why=why)
        version = epochs.current(session, epoch)
        opening = opening_of(session, epoch)
        frozen = load_frozen(ledger, session, epoch, registrations=lambda uids: verified_registrations(ledger, uids))
    judgement = judge(frozen)
    allocation = rules_for(frozen.tables.rules_version).allocate(
        judgement.accepted, frozen.policy, frozen.tables, opening
    )
    totals = allocation.totals
    if not totals.conserves:  # the rules check it too; the books never rely on that
        raise InvariantError(f"epoch {epoch} does not conserve its budget")
    files = [
        ledger.artefacts.write(epoch, version.attempt, name, content) for name, content in _files(judgement, allocation)
    ]
    faultpoint("compute.after_effect")
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.FROZEN)
        for file in files:
            ledger.artefacts.record(session, epoch, version.attempt, file, now)
        epochs.record_verdict_counts(session, epoch, version.attempt, _verdict_counts(judgement, allocation))
        epochs.record_transition(
            session, version, EpochState.COMPUTED, facts=computed_facts(judgement, allocation, opening), recorded_at=now
        )
        faultpoint("compute.before_commit")
    faultpoint("compute.after_commit")
    nodes = allocation.statements.height
    return Moved(epoch=epoch, state=EpochState.COMPUTED, what=f"computed {nodes} nodes, payout {totals.payout_wei} wei")


def computed_facts(judgement: Judgement, allocation: Allocation, opening: Opening) -> dict[str, object]:
    """What the transition records: the roots and hashes of the manifest, and the totals."""
    totals = allocation.totals
    rows = (
        (
            row.node_id, row.capacity, row.uptime, row.efficiency, row.green, row.multiplier, row.weight,
            row.location_ug, row.residual_ug, row.pay_wei, row.base_wei, row.efficiency_wei, row.green_wei,
        )
        for row in statement_rows(allocation.statements)
    )  # fmt: skip
    return {
        "evidenceRoot": to_hex(judgement.evidence_root),
        "registrationsRoot": to_hex(judgement.registrations_root),
        "usedRangesRoot": to_hex(judgement.used_ranges_root),
        "statementsHash": to_hex(statements_hash(rows)),
        "rolloverInWei": opening.rollover_in_wei,
        "carriedInUg": opening.carried_in_ug,
        "totals": {name: getattr(totals, name) for name in Totals.__dataclass_fields__},
    }


def _files(judgement: Judgement, allocation: Allocation) -> list[tuple[str, bytes]]:
    return [
        ("verdicts.parquet", _parquet(judgement.verdicts)),
        ("statements.parquet", sealed_statements(allocation.statements)),
        ("hours-refused.parquet", _parquet(allocation.hours_refused)),
        ("zone-hours.parquet", _parquet(allocation.zone_hours)),
        ("claims-credited.parquet", _parquet(judgement.accepted.claims)),
        ("used-ranges.parquet", judgement.used_after.to_parquet()),
        ("gpu-holders.parquet", _holders(judgement)),
    ]


def _holders(judgement: Judgement) -> bytes:
    holders = sorted(judgement.gpu_holders.items())
    return _parquet(
        pl.DataFrame(
            {"gpu_id": [gpu for gpu, _ in holders], "node_id": [node for _, node in holders]},
            schema={"gpu_id": pl.Binary, "node_id": pl.Binary},
        )
    )


def _verdict_counts(judgement: Judgement, allocation: Allocation) -> dict[tuple[str, str], int]:
    """How often each code was given, per scope: whole items, records, energy hours."""
    counts: dict[tuple[str, str], int] = {}
    for record, code in judgement.verdicts.select("record", "code").iter_rows():
        scope = "item" if record < 0 else "record"
        counts[(scope, code)] = counts.get((scope, code), 0) + 1
    for code in allocation.hours_refused["code"]:
        counts[("hour", code)] = counts.get(("hour", code), 0) + 1
    return counts


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, statistics=False)
    return buffer.getvalue()
