"""Policies as a person reads them: in force, scheduled, past or cancelled, with what each changes."""

from typing import TYPE_CHECKING, Any

from ledger.chain.following.governed import PolicyHistory, ScheduledPolicy
from ledger.model.errors import NotFoundError
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.answers.payouts import now_of
from ledger.steps.governing.policy_change import policy_changes
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.announced import announced_policies
from ledger.tree.parameters import policy_document

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment


class PolicyUnknownError(NotFoundError):
    """No policy of this version was announced."""

    code = "policy.unknown"
    default_hint = "ath-ledger gov show"


def policy_rows(known: PolicyHistory, epoch: EpochNumber) -> list[dict[str, Any]]:
    """Every announced policy by version, as it stands in an epoch."""
    return [
        {
            "version": each.version,
            "effective_epoch": each.effective_epoch,
            "standing": policy_standing(known, each, epoch),
            "hash": to_hex(each.policy_hash),
            "block": each.scheduled_block,
            "changes": changes(known, each),
        }
        for each in sorted(known.announced, key=lambda each: each.version)
    ]


def followed_policies(ledger: Ledger, deployment: "Deployment") -> tuple[PolicyHistory, EpochNumber]:
    """Every policy announced up to the last final block, and the epoch that runs now."""
    running = max(0, ledger.calendar.epoch_at(now_of(ledger)))
    return announced_policies(ledger, deployment), EpochNumber(running)


def policy_fact(known: PolicyHistory, epoch: EpochNumber, version: int) -> dict[str, Any]:
    """One policy with every parameter under the spec's names. PolicyUnknownError."""
    found = next((each for each in known.announced if each.version == version), None)
    if found is None:
        raise PolicyUnknownError(f"there is no policy version {version}")
    row = next(row for row in policy_rows(known, epoch) if row["version"] == version)
    return row | policy_document(found.policy)


def policy_standing(known: PolicyHistory, each: ScheduledPolicy, epoch: EpochNumber) -> str:
    """`cancelled`, `scheduled`, `in force` or `past`."""
    if each.is_cancelled:
        return "cancelled"
    if each.effective_epoch > epoch:
        return "scheduled"
    return "in force" if known.policy_for_epoch(epoch).version == each.version else "past"


def changes(known: PolicyHistory, each: ScheduledPolicy) -> str:
    """Against the policy it was measured from: the latest announced before it that stood below its epoch."""
    before = [
        one for one in known.announced if one.version < each.version and one.effective_epoch < each.effective_epoch
        and (not one.is_cancelled or each.is_cancelled)
    ]  # fmt: skip
    if not before:
        return "first policy"
    changed = policy_changes(before[-1].policy, each.policy)
    return "; ".join(f"{name}: {old} → {new}" for name, old, new in changed) or "none"
