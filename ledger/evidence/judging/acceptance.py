"""Acceptance: which of an epoch's frozen evidence counts (R3).

The order of the rules R3.1 to R3.9, in one place:

1. signature                          } `batch_rules.judge_batches`, which refuses batches whole;
2. role for this epoch and schema     } `active_nodes.active_nodes` for registrations
3. schema, count, order, root         }
4. window and times                   }
5. sequence: gap, fork, previous      } `sequences.sequence_codes`
6. revocations, then equivocation     `batch_rules`, `record_rules`, `equivocation`
7. node, zone, model known; bounds    `record_rules`; single hours are judged by the rules (`ledger.rules`)
8. quorum                             `ring` and `record_rules` say who votes; the votes are the rules'
9. certificates                       `certificates`, `single_use`

The judgement is a pure function of the frozen set: no clock, no order of arrival, no order of files.
"""

from ledger.evidence.items.typed_data import Schema, schema_id
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.evidence.judging.active_nodes import active_nodes
from ledger.evidence.judging.batch_rules import judge_batches
from ledger.evidence.judging.certificates import ClaimRules
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.evidence.judging.record_rules import RecordRules, judge_records
from ledger.evidence.judging.ring import assign_checkers
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.model.errors import InvariantError
from ledger.tree.commitments import tables_hash
from ledger.tree.standard import root_of_digests


def judge(frozen: FrozenEvidence) -> Judgement:
    """Accept or refuse every item and record of an epoch.

    Raises InvariantError when the tables are not those the policy names, and whatever the batches'
    sources raise when the store's bytes are damaged: damage is no verdict.
    """
    if tables_hash(frozen.tables) != frozen.policy.tables_hash:
        raise InvariantError(f"the tables of epoch {frozen.epoch} are not those its policy names")
    epoch, calendar = frozen.epoch, frozen.calendar
    log = VerdictLog()
    active = active_nodes(
        frozen.registrations,
        domain=frozen.domain,
        epoch_start=calendar.start(epoch),
        epoch_end=calendar.end(epoch),
        tables=frozen.tables,
        previous_holders=frozen.previous_holders,
        log=log,
        verified=frozen.signed,
    )
    judged = judge_batches(frozen, log)
    rules = RecordRules(
        claim_rules=ClaimRules(
            epoch_start=calendar.start(epoch),
            cut_off=calendar.cut_off(epoch),
            count_nuclear=frozen.policy.count_nuclear,
            tables=frozen.tables,
            roles=frozen.roles.holders(schema_id(Schema.RENEWABLE), epoch),
            nodes=active.nodes,
        ),
        assignment=assign_checkers(
            epoch,
            frozen.roles_block_hash,
            frozen.roles.holders(schema_id(Schema.UPTIME), epoch),
            active.nodes,
            frozen.policy.quorum_k,
        ),
        used=frozen.used,
    )
    records = {
        schema: judge_records(schema, [batch for batch in judged.standing if batch.schema is schema], rules, log)
        for schema in Schema
    }
    used_after = records[Schema.RENEWABLE].used_after
    return Judgement(
        accepted=AcceptedEvidence(
            epoch=epoch,
            window_start=calendar.start(epoch),
            hours=calendar.hours,
            nodes=active.nodes,
            uptime=records[Schema.UPTIME].records,
            energy=records[Schema.ENERGY].records,
            claims=records[Schema.RENEWABLE].records,
            grid=records[Schema.GRID].records,
        ),
        verdicts=log.frame(),
        evidence_root=root_of_digests((*active.signed_digests, *judged.signed_digests)),
        registrations_root=root_of_digests(active.digests),
        used_after=used_after,
        used_ranges_root=used_after.root(),
        gpu_holders=active.gpu_holders,
    )
