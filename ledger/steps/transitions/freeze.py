"""OPEN → FROZEN: after the cut-off, fix what the epoch will be computed from.

What is fixed: the items that had arrived, the roles block, the policy and its tables, the verifier roles. From here
on nothing enters the epoch, and every later step reads only what this one recorded.
"""

from ledger.chain.following.governance import final_governance
from ledger.db import epochs, items, submissions
from ledger.db import policies as policy_rows
from ledger.db.faultpoint import faultpoint
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import EpochNumber, Timestamp, to_hex
from ledger.steps.intake.inbox import judge_waiting
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen_set import frozen_set, strangers
from ledger.steps.transitions.lag import require_level
from ledger.steps.transitions.transition import Moved, StepResult, Waiting
from ledger.tree.standard import root_of_digests


class TablesMissingError(RefusedError):
    """The tables a policy points to are not in this ledger."""

    code = "policy.tables-missing"
    default_hint = "ath-ledger gov tables FILE"


def freeze(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Freeze an open epoch once its cut-off has passed and its roles block is final.

    Raises BehindChainError, and what `fix` raises.
    """
    now, cut_off = ledger.clock.now(), ledger.calendar.cut_off(epoch)
    if now <= cut_off:
        return Waiting(epoch=epoch, state=EpochState.OPEN, why="evidence may still arrive", until=cut_off + 1)
    if ledger.settlement().connection.head().timestamp <= cut_off:
        # a machine whose clock is ahead must not shut out evidence that is on time
        why = "this machine's clock is past the cut-off, the chain's is not; evidence may still arrive"
        return Waiting(epoch=epoch, state=EpochState.OPEN, why=why)
    require_level(ledger)
    judge_waiting(ledger, until=cut_off)
    return fix(ledger, epoch)


def fix(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Freeze an epoch whose cut-off has passed with what has arrived.

    Raises NoPolicyError, TablesMissingError, and the chain's own errors.
    """
    now = ledger.clock.now()
    settlement = ledger.settlement()
    start = ledger.calendar.start(epoch)
    found = final_governance(ledger.database, settlement.connection, settlement.deployment, settlement.finality, start)
    if found is None:
        return Waiting(epoch=epoch, state=EpochState.OPEN, why="the roles block is not final yet")
    block, roles = found.block, found.roles
    scheduled = found.policies.policy_for_epoch(epoch)
    with ledger.database.transaction() as session:
        submissions.hold_inbox(session)
        if submissions.waiting(session, until=ledger.calendar.cut_off(epoch), limit=1):
            return Waiting(epoch=epoch, state=EpochState.OPEN, why="something that came in time is judged first")
        version = epochs.lock_epoch(session, epoch, expected=EpochState.OPEN)
        if not policy_rows.has_tables(session, scheduled.policy.tables_hash):
            raise TablesMissingError(
                f"the tables {to_hex(scheduled.policy.tables_hash)} of epoch {epoch} are unknown here"
            )
        arrival = items.last_arrival(session)
        left_out = strangers(ledger, session, epoch, roles, last_arrival=arrival)
        frozen = frozen_set(ledger, session, epoch, left_out, last_arrival=arrival)
        for item, refusal in left_out.values():
            items.record_refusal(
                session,
                uid=item.uid,
                kind=item.kind,
                signer=item.signer,
                epoch=epoch,
                code=refusal.code,
                detail=refusal.what,
                received_at=item.received_at,
                file_digest=item.file_digest,
            )
        policy_rows.record_policy(
            session,
            policy_rows.StoredPolicy(
                version=scheduled.version,
                effective_epoch=scheduled.effective_epoch,
                policy_hash=scheduled.policy_hash,
                policy=scheduled.policy,
                block=scheduled.scheduled_block,
            ),
            recorded_at=now,
        )
        artefact = ledger.artefacts.write(epoch, version.attempt, "roles.json", roles.to_json())
        faultpoint("freeze.after_effect")
        ledger.artefacts.record(session, epoch, version.attempt, artefact, now)
        epochs.record_transition(
            session,
            version,
            EpochState.FROZEN,
            facts={
                "rolesBlock": block.number,
                "rolesBlockHash": to_hex(block.hash),
                "policyVersion": scheduled.version,
                "policyHash": to_hex(scheduled.policy_hash),
                "tablesHash": to_hex(scheduled.policy.tables_hash),
                "lastArrival": arrival,
                "itemCount": len(frozen),
                "leftOut": [to_hex(uid) for uid in left_out],
                "itemsRoot": to_hex(root_of_digests(item.uid for item in frozen)),
            },
            recorded_at=now,
        )
        faultpoint("freeze.before_commit")
    faultpoint("freeze.after_commit")
    what = f"froze {len(frozen)} items; roles block {block.number}"
    return Moved(epoch=epoch, state=EpochState.FROZEN, what=what)


def is_open_for(ledger: Ledger, epoch: EpochNumber, at: Timestamp) -> bool:
    """Whether evidence of the epoch may still enter at this second."""
    return at <= ledger.calendar.cut_off(epoch)
