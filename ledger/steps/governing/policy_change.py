"""A change of policy, judged before anybody votes: bounds, steps, notice and tables, as the contract will judge them.

The contract sees only the hash of the tables, so their step (R5.5) is refused here or nowhere.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.chain.following.governed import PolicyHistory, ScheduledPolicy, policies
from ledger.chain.node.connection import Block
from ledger.db import policies as policy_rows
from ledger.model.errors import RefusedError, UsageError
from ledger.model.policy import POLICY_FIELDS, Policy, Tables
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex
from ledger.steps.governing.govern import now
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.freeze import TablesMissingError
from ledger.tree.abi import EncodingError
from ledger.tree.parameters import policy_document, policy_from_document

NOTICE_EPOCHS = 2
"""R5.3: between the epoch in which a policy is scheduled and the first it may govern."""


class PolicyBoundsError(RefusedError):
    """A parameter leaves its bounds or moves too far at once."""

    code = "policy.bounds"
    default_hint = "stay within the bounds and steps of docs/spec/rewards.md R5.1"


class PolicyNoticeError(RefusedError):
    """The policy would take effect too soon, or not after the latest one scheduled."""

    code = "policy.notice"
    default_hint = "name a later --effective-epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """A policy that may be scheduled, beside the one it is measured against."""

    before: ScheduledPolicy
    policy: Policy
    effective_epoch: EpochNumber
    is_scheduled: bool
    """Whether exactly this is on chain already."""


def draft_policy(
    ledger: Ledger, wanted: Mapping[str, Any], effective_epoch: EpochNumber, *, is_whole: bool
) -> PolicyChange:
    """The policy a proposal stands for, beside the latest one scheduled. Nothing is judged yet.

    `wanted` has parameters under the spec's names: all of them if `is_whole`, else the ones that change.
    Raises UsageError.
    """
    settlement = ledger.settlement()
    at = settlement.connection.head()
    before = policies(settlement.connection, settlement.deployment, at).standing[-1]
    policy = wanted_policy({} if is_whole else policy_document(before.policy), wanted)
    return PolicyChange(
        before=before,
        policy=policy,
        effective_epoch=effective_epoch,
        is_scheduled=policy == before.policy and effective_epoch == before.effective_epoch,
    )


def require_acceptable(ledger: Ledger, change: PolicyChange, delay_seconds: int) -> None:
    """Raise PolicyBoundsError, PolicyNoticeError or TablesMissingError for what the contract or a verifier
    would refuse once the announcement's delay has passed."""
    before, policy = change.before, change.policy
    if policy == before.policy:
        raise UsageError(f"nothing changes against policy {before.version}", hint="name a change with --set NAME=VALUE")
    require_within_bounds(ledger, before, policy)
    _require_notice(ledger, before, change.effective_epoch, delay_seconds)


def require_within_bounds(ledger: Ledger, before: ScheduledPolicy, policy: Policy) -> None:
    """Raise PolicyBoundsError naming every bound and step that is broken, or TablesMissingError."""
    broken = [*policy.violations(before.policy), *_table_violations(ledger, before.policy, policy)]
    if broken:
        raise PolicyBoundsError("; ".join(broken))


def wanted_policy(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> Policy:
    """A policy from a document's parameters over those of another. UsageError names the one that is wrong."""
    try:
        return policy_from_document({**base, **wanted})
    except EncodingError as error:
        raise UsageError(error.what, hint="the names are those of docs/spec/rewards.md R5.1") from error


def read_policy_file(file: Path) -> dict[str, Any]:
    """The parameters in a JSON file, under the spec's names. UsageError names what is wrong with the file."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}", hint=f"correct {file}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{file} is no JSON object", hint=f"correct {file}")
    return document


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts as parameters under the spec's names; `reserve_bps` may be written for `reserveBps`."""
    changes: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        first, *others = name.strip().split("_")
        if not sign or not first:
            raise UsageError(f"{text!r} is not NAME=VALUE", hint="for example --set reserveBps=950")
        changes[first + "".join(part.capitalize() for part in others)] = _parsed(value.strip())
    return changes


def policy_changes(before: Policy, after: Policy) -> list[tuple[str, str, str]]:
    """Each parameter that differs: its name, its old and its new value."""
    return [
        (name, _shown(getattr(before, name)), _shown(getattr(after, name)))
        for name in POLICY_FIELDS
        if getattr(before, name) != getattr(after, name)
    ]


def history(ledger: Ledger) -> tuple[PolicyHistory, EpochNumber, Block]:
    """Every policy ever announced, the epoch that runs now, and the block both were read at."""
    settlement = ledger.settlement()
    at = settlement.connection.head()
    epoch = ledger.calendar.epoch_at(now(ledger, at))
    return policies(settlement.connection, settlement.deployment, at), EpochNumber(max(0, epoch)), at


def _require_notice(ledger: Ledger, before: ScheduledPolicy, effective_epoch: EpochNumber, delay_seconds: int) -> None:
    """R5.3, measured when the announcement is executed: at the earliest after the delay."""
    at = ledger.settlement().connection.head()
    executed_at = Timestamp(now(ledger, at) + delay_seconds)
    earliest = max(0, ledger.calendar.epoch_at(executed_at)) + NOTICE_EPOCHS
    if effective_epoch < earliest:
        raise PolicyNoticeError(
            f"a policy announced now is executed at {executed_at} at the earliest and may govern from epoch "
            f"{earliest} on, not from {effective_epoch}",
            hint=f"--effective-epoch {max(earliest, before.effective_epoch + 1)} or later",
        )
    if effective_epoch <= before.effective_epoch:
        raise PolicyNoticeError(
            f"policy {before.version} is scheduled for epoch {before.effective_epoch}; the next one must come after it",
            hint=f"--effective-epoch {before.effective_epoch + 1} or later",
        )


def _table_violations(ledger: Ledger, before: Policy, after: Policy) -> Iterator[str]:
    if before.tables_hash == after.tables_hash:
        return
    yield from _known_tables(ledger, after.tables_hash).violations(_known_tables(ledger, before.tables_hash))


def _known_tables(ledger: Ledger, digest: Hash32) -> Tables:
    with ledger.database.reading() as session:
        if not policy_rows.has_tables(session, digest):
            raise TablesMissingError(f"the tables {to_hex(digest)} are not in this ledger")
        return policy_rows.tables(session, digest)


def _parsed(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text)


def _shown(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)
