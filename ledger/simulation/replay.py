"""One epoch's evidence under a policy: the sealed one again, or another one over the same evidence."""

from dataclasses import dataclass, replace

from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.model.allocation import Opening
from ledger.model.policy import Policy, Tables
from ledger.rules import rules_for
from ledger.rules.allocation import Allocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """An epoch computed once more."""

    judgement: Judgement
    allocation: Allocation

    @property
    def opening_of_next(self) -> Opening:
        """What this replay carries into the epoch after it."""
        totals = self.allocation.totals
        return Opening(rollover_in_wei=totals.rollover_out_wei, carried_in_ug=totals.carried_out_ug)

    def leaves_the_same_as(self, other: "Replayed") -> bool:
        """Whether the next epoch starts from the same used certificates and GPU holders after either."""
        mine, theirs = self.judgement, other.judgement
        return mine is theirs or (
            mine.gpu_holders == theirs.gpu_holders
            and mine.used_after.ranges.equals(theirs.used_after.ranges)
            and mine.used_after.production.equals(theirs.used_after.production)
        )


def replay(frozen: FrozenEvidence, opening: Opening) -> Replayed:
    """The epoch as its frozen evidence and its policy have it."""
    return _allocated(judge(frozen), frozen.policy, frozen.tables, opening)


def replay_under(
    frozen: FrozenEvidence,
    policy: Policy,
    tables: Tables,
    opening: Opening,
    *,
    sealed: Replayed,
    before: Replayed | None,
) -> Replayed:
    """The same evidence under another policy.

    `sealed` is the epoch as it was; its judgement is used again where the other policy would judge alike.
    `before` is this policy's own replay of the epoch before; None for the first one replayed, and where it left
    the same used certificates and GPU holders as the sealed one.
    """
    if before is None and judges_alike(policy, frozen.policy):
        return _allocated(sealed.judgement, policy, tables, opening)
    other = replace(frozen, policy=policy, tables=tables)
    if before is not None:
        left = before.judgement
        other = replace(other, used=left.used_after, previous_holders=left.gpu_holders)
    return _allocated(judge(other), policy, tables, opening)


def judges_alike(one: Policy, other: Policy) -> bool:
    """Whether acceptance (R3) cannot tell two policies apart; everything else in a policy is the rules' alone.

    Acceptance reads which sources count, how many checkers a node is drawn, and the tables; the quorum itself
    is counted by the rules.
    """
    return (one.count_nuclear, one.quorum_k, one.tables_hash) == (
        other.count_nuclear, other.quorum_k, other.tables_hash
    )  # fmt: skip


def _allocated(judgement: Judgement, policy: Policy, tables: Tables, opening: Opening) -> Replayed:
    allocation = rules_for(tables.rules_version).allocate(judgement.accepted, policy, tables, opening)
    return Replayed(judgement=judgement, allocation=allocation)
