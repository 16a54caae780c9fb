"""The leaves of a corrected tree: read from a file or stated one by one, and what they must not do.

What the contract cannot see is refused here: a leaf below what its account has claimed, and leaves that together
are worth more than was ever paid in.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.model.errors import RefusedError, UsageError
from ledger.model.units import Address, Wei
from ledger.tree.keccak import checksum_address, parse_address
from ledger.tree.payout import MAX_CUMULATIVE

Leaves = Mapping[Address, Wei]


class LeafBelowClaimedError(RefusedError):
    """A corrected leaf is worth less than its account has withdrawn."""

    code = "correction.below-claimed"
    default_hint = "state at least what the account has claimed; what was paid out cannot be taken back"


class LeavesAbovePaidInError(RefusedError):
    """The corrected leaves together are worth more than the activated epochs paid in."""

    code = "correction.above-paid-in"
    default_hint = "lower the leaves: nobody can be given what the treasury never paid"


class NothingCorrectedError(RefusedError):
    """The corrected tree is the tree that stands."""

    code = "correction.nothing"
    default_hint = "state what is to change: --account ADDRESS --cumulative WEI, or another --tree FILE"


def read_leaves(file: Path) -> dict[Address, Wei]:
    """A tree's leaves from JSON: `[[address, wei], …]` or `{address: wei}`, the wei as decimal text or integers.

    UsageError names the first entry that is none, or an account that is listed twice.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: {str(error)[:200]}", hint="a JSON list of [address, wei]") from error
    rows: Any = list(document.items()) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise UsageError(f"{file} is no list of [address, wei]", hint="a JSON list of [address, wei]")
    found: dict[Address, Wei] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{file}, entry {number}"
        if not isinstance(row, list | tuple) or len(row) != 2:
            raise UsageError(f"{where} is not [address, wei]", hint="a JSON list of [address, wei]")
        account = _account(row[0], where)
        if account in found:
            raise UsageError(f"{where}: {checksum_address(account)} is listed twice", hint="list each account once")
        found[account] = amount(row[1], where)
    return found


def stated_leaves(before: Leaves, accounts: Sequence[str], cumulatives: Sequence[str]) -> dict[Address, Wei]:
    """The tree that stands with some leaves replaced; zero takes a leaf out. UsageError."""
    if len(accounts) != len(cumulatives):
        raise UsageError(
            f"{len(accounts)} times --account and {len(cumulatives)} times --cumulative",
            hint="give --account ADDRESS --cumulative WEI for each leaf",
        )
    leaves = dict(before)
    for text, wei in zip(accounts, cumulatives, strict=True):
        leaves[_account(text, "--account")] = amount(wei, "--cumulative")
    return leaves


def amount(value: object, where: str) -> Wei:
    """A natural number of wei below 2⁹⁶. UsageError."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or int(text) > MAX_CUMULATIVE:
        raise UsageError(f"{where}: {text[:60]!r} is no whole number of wei below 2^96")
    return Wei(int(text))


def require_payable(leaves: Leaves, claimed: Leaves, paid_in_wei: int) -> None:
    """Raise LeafBelowClaimedError, LeavesAbovePaidInError."""
    for account, already in sorted(claimed.items()):
        if leaves.get(account, 0) < already:
            raise LeafBelowClaimedError(
                f"{checksum_address(account)} has claimed {already} wei, its corrected leaf is "
                f"{leaves.get(account, 0)} wei"
            )
    total = sum(leaves.values())
    if total > paid_in_wei:
        raise LeavesAbovePaidInError(
            f"the corrected leaves sum to {total} wei, the activated epochs paid in {paid_in_wei} wei"
        )


def _account(value: object, where: str) -> Address:
    try:
        return parse_address(str(value))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
