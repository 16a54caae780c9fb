"""Corrections between an epoch's seal and the next one: what the epoch leaves once its root was superseded.

Each correction is derived from its journal entry alone: the transfers say which leaves changed, and leaves, root,
entry and header follow. Nothing is taken from what the ledger keeps beside its journal.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.audit.comparison import Difference, first_difference_of_documents
from ledger.audit.epoch_record import ParentEpoch
from ledger.audit.report import Check
from ledger.audit.seal_chain import ChainedEntry
from ledger.books.accounts import CORRECTIONS, operator_of
from ledger.books.errors import PostingError
from ledger.books.posting import EntryKind, entry_bytes
from ledger.books.seal_entries import supersede_entry
from ledger.books.transfers import Transfer
from ledger.model.epoch import EpochCalendar
from ledger.model.header import EpochHeader
from ledger.model.units import Address, Hash32, MicrogramsCo2e, Wei
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import integer_of, parse_canonical
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What an epoch leaves after its corrections, the hashes of their headers, and whether each is what it must be."""

    parent: ParentEpoch
    header_hashes: tuple[Hash32, ...]
    checks: tuple[Check, ...]


def corrected(
    left: ParentEpoch,
    header: EpochHeader,
    entries: Iterable[ChainedEntry],
    calendar: EpochCalendar,
    paid_in_wei: int | None = None,
) -> Corrected:
    """What the epoch of `header` leaves, given what it left at its seal and the entries after that.

    `paid_in_wei` is what all epochs up to it paid to operators; the leaves may not exceed it. None: not known here.
    Ends with the first correction that is not right.
    """
    parent, hashes, checks = left, list[Hash32](), list[Check]()
    for entry, document in _corrections(entries):
        number = len(hashes) + 1
        where = f"correction {number} of epoch {header.epoch}"
        try:
            after = _leaves_after(parent.cumulative_wei, entry.transfers)
            root = payout_tree(list(after), list(after.values())).root
            wanted = _entry(document, parent, header, number, root, after, calendar)
        except (EncodingError, PostingError, KeyError, TypeError, ValueError) as error:
            found = Difference(where=where, expected="a correction", found=str(error)[:200])
            checks.append(Check(name="correction.entry", rule="E6.8", difference=found))
            break
        difference = first_difference_of_documents(where, wanted, entry.canonical)
        checks.append(Check(name="correction.entry", rule="E6.8", difference=difference))
        checks.append(Check(name="correction.leaves", rule="E6.8", difference=_excess(where, after, paid_in_wei)))
        made = replace(
            header,
            claim_root=root,
            ledger_head=entry.hash,
            parent_hash=parent.header_hash,
            payout=Wei(0),
            carbon=Wei(0),
            reserve=Wei(0),
            residual_micrograms=MicrogramsCo2e(0),
        )
        hashes.append(header_hash(made))
        parent = replace(parent, header_hash=hashes[-1], seal_hash=entry.hash, cumulative_wei=after)
    return Corrected(parent=parent, header_hashes=tuple(hashes), checks=tuple(checks))


def check_of_chain(where: str, derived: Sequence[Hash32], on_chain: Sequence[Hash32]) -> Check:
    """Whether the chain superseded the epoch's root as often as the books say, by these headers."""
    shown = [", ".join(f"0x{each.hex()}" for each in hashes) or "none" for hashes in (on_chain, derived)]
    difference = (
        None if tuple(derived) == tuple(on_chain) else Difference(where=where, expected=shown[0], found=shown[1])
    )
    return Check(name="correction.on-chain", rule="E6.8", difference=difference)


def _corrections(entries: Iterable[ChainedEntry]) -> Iterator[tuple[ChainedEntry, Mapping[str, Any]]]:
    for entry in entries:
        try:
            document = parse_canonical(entry.canonical)
        except (EncodingError, ValueError):
            continue  # the walk over the chain names it
        if isinstance(document, dict) and document.get("kind") == EntryKind.CORRECTION:
            yield entry, document


def _leaves_after(before: Mapping[Address, Wei], transfers: Iterable[Transfer]) -> dict[Address, Wei]:
    """The leaves with every change of the entry; nobody with nothing. ValueError for one below zero."""
    after: dict[Address, int] = dict(before)
    for transfer in transfers:
        is_loss = transfer.credit == CORRECTIONS
        operator = operator_of(transfer.debit if is_loss else transfer.credit)
        if operator is None:
            raise ValueError(f"{transfer.line.strip()} corrects no operator")
        after[operator] = after.get(operator, 0) + (-transfer.amount if is_loss else transfer.amount)
    below = [operator for operator, amount in sorted(after.items()) if amount < 0]
    if below:
        raise ValueError(f"the leaf of 0x{below[0].hex()} falls to {after[below[0]]} wei")
    return {operator: Wei(amount) for operator, amount in sorted(after.items()) if amount}


def _entry(
    document: Mapping[str, Any],
    parent: ParentEpoch,
    header: EpochHeader,
    number: int,
    root: Hash32,
    after: Mapping[Address, Wei],
    calendar: EpochCalendar,
) -> bytes:
    before = parent.cumulative_wei
    changes = {account: after.get(account, 0) - before.get(account, 0) for account in before.keys() | after.keys()}
    posting = supersede_entry(
        epoch=header.epoch,
        correction=number,
        claim_root=root,
        parent_header=parent.header_hash,
        changes_wei=changes,
        reason=str(document["body"]["reason"]),
        effective_at=calendar.end(header.epoch),
    )
    return entry_bytes(posting.content(), integer_of(document["number"])).canonical


def _excess(where: str, leaves: Mapping[Address, Wei], paid_in_wei: int | None) -> Difference | None:
    total = sum(leaves.values())
    if paid_in_wei is None or total <= paid_in_wei:
        return None
    return Difference(where=f"{where} · sum of the leaves", expected=f"at most {paid_in_wei}", found=str(total))
