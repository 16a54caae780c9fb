"""What a policy would have done: the last final epochs replayed from their evidence, as they were and under it.

The replay of what was is held against what was sealed first: a simulation whose starting point is not the
ledger's own history to the wei is refused. Nothing is written.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ledger.chain.following.governed import ScheduledPolicy, policies
from ledger.db import epochs
from ledger.db import policies as policy_rows
from ledger.model.allocation import Opening
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError, NotFoundError, UsageError
from ledger.model.policy import Policy, Tables
from ledger.model.units import EpochNumber
from ledger.simulation.comparison import Comparison, Outcome, ReplayedEpoch, compare
from ledger.simulation.document import Proposal, SimulationFile, simulation_file
from ledger.simulation.replay import Replayed, replay, replay_under
from ledger.steps.governing.policy_change import policy_changes, require_within_bounds, wanted_policy
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.sealed import header_of
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.compute import computed_facts
from ledger.steps.transitions.freeze import TablesMissingError
from ledger.steps.transitions.seal import manifest_of
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import header_hash, manifest_hash, policy_hash
from ledger.tree.parameters import policy_document


class BaselineError(MismatchError):
    """Replaying an epoch under its own policy did not give what was sealed."""

    code = "simulation.baseline"
    default_hint = "ath-ledger audit verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The comparison, and the document whose hash a proposal can name."""

    comparison: Comparison
    file: SimulationFile


def proposal(ledger: Ledger, wanted: Mapping[str, Any], *, is_whole: bool) -> Proposal:
    """The policy to simulate: the latest scheduled one with changes, or a whole one.

    Judged like a vote's: raises PolicyBoundsError naming the bound, TablesMissingError, UsageError. Notice is
    not judged: a simulation has no effective epoch.
    """
    before = _announced(ledger)[-1]
    policy = wanted_policy({} if is_whole else policy_document(before.policy), wanted)
    if policy == before.policy:
        raise UsageError(f"nothing changes against policy {before.version}", hint="name a change with --set NAME=VALUE")
    require_within_bounds(ledger, before, policy)
    return _proposal(before, policy)


def announced_proposal(ledger: Ledger, version: int) -> Proposal:
    """A policy that is announced already, in force or not; the contract has judged it. NotFoundError."""
    standing = _announced(ledger)
    found = next((each for each in standing if each.version == version), None)
    if found is None:
        raise NotFoundError(f"there is no policy version {version}", hint="ath-ledger gov show")
    earlier = [each for each in standing if each.effective_epoch < found.effective_epoch]
    return _proposal(earlier[-1] if earlier else found, found.policy)


def last_epochs(ledger: Ledger, count: int) -> Sequence[EpochNumber]:
    """The newest FINAL epochs, ascending: as many as asked for, or as there are. RowMissingError without any."""
    with ledger.database.reading() as session:
        last = epochs.last_final(session)
    return [EpochNumber(epoch) for epoch in range(max(0, last - count + 1), last + 1)]


def simulate(
    ledger: Ledger, subject: Proposal, window: Sequence[EpochNumber], told: Callable[[str], None] = lambda _: None
) -> Simulation:
    """Replay consecutive final epochs as they were and under the proposal, and compare.

    The proposal is replayed as if it had been in force from the first of them on: what it rolls over, leaves
    unpaid and uses up is carried from epoch to epoch. Raises BaselineError, and what the rules raise.
    """
    tables = _tables(ledger, subject.policy)
    replayed: list[ReplayedEpoch] = []
    was: Replayed | None = None
    would: Replayed | None = None
    for epoch in window:
        with ledger.database.reading() as session:
            left = None if was is None else was.judgement
            frozen = load_frozen(
                ledger,
                session,
                epoch,
                used=None if left is None else left.used_after,
                previous_holders=None if left is None else dict(left.gpu_holders),
            )
            opening = opening_of(session, epoch)
            before = None if was is None or would is None or would.leaves_the_same_as(was) else would
            was = replay(frozen, opening)
            _require_sealed(session, epoch, was, opening)
            version = int(epochs.facts(session, epoch, EpochState.FROZEN)["policyVersion"])
            header = header_hash(header_of(session, epoch))
        would = replay_under(
            frozen,
            subject.policy,
            tables,
            opening if would is None else would.opening_of_next,
            sealed=was,
            before=before,
        )
        told(f"epoch {epoch}: replayed as sealed, to the wei, and under the proposal")
        replayed.append(
            ReplayedEpoch(
                epoch=epoch,
                policy_version=version,
                quorum_k=frozen.policy.quorum_k,
                header_hash=header,
                evidence_root=was.judgement.evidence_root,
                is_rejudged=would.judgement is not was.judgement,
                sealed=Outcome.of(was.allocation),
                proposed=Outcome.of(would.allocation),
            )
        )
    comparison = compare(replayed)
    return Simulation(comparison=comparison, file=simulation_file(comparison, subject, ledger.domain))


def _require_sealed(session: Session, epoch: EpochNumber, was: Replayed, opening: Opening) -> None:
    """The replay must be what the journal and the header say; else nothing may be concluded from it."""
    recorded = epochs.facts(session, epoch, EpochState.COMPUTED)
    found = json.loads(canonical_json(computed_facts(was.judgement, was.allocation, opening)))
    different = sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))
    header, totals = header_of(session, epoch), was.allocation.totals
    sealed = {
        "manifest": (header.manifest_hash, manifest_hash(manifest_of(session, epoch))),
        "payout": (header.payout, totals.payout_wei),
        "carbon": (header.carbon, totals.carbon_wei),
        "reserve": (header.reserve, totals.reserve_wei),
        "rollover": (header.rollover, totals.rollover_out_wei),
        "residual": (header.residual_micrograms, totals.residual_ug),
    }
    different += [name for name, (said, replayed) in sealed.items() if said != replayed]
    if different:
        raise BaselineError(
            f"epoch {epoch} replayed under its own policy is not what was sealed: {', '.join(different)}"
        )


def _announced(ledger: Ledger) -> tuple[ScheduledPolicy, ...]:
    settlement = ledger.settlement()
    return policies(settlement.connection, settlement.deployment, settlement.connection.head()).standing


def _proposal(before: ScheduledPolicy, policy: Policy) -> Proposal:
    return Proposal(
        policy=policy,
        policy_hash=policy_hash(policy),
        against_version=before.version,
        changes=tuple(policy_changes(before.policy, policy)),
    )


def _tables(ledger: Ledger, policy: Policy) -> Tables:
    with ledger.database.reading() as session:
        if not policy_rows.has_tables(session, policy.tables_hash):
            raise TablesMissingError(f"the tables 0x{policy.tables_hash.hex()} are not in this ledger")
        return policy_rows.tables(session, policy.tables_hash)
