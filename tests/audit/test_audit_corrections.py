"""A superseded root, as the auditor sees it: derived from the journal alone, refused when it is not right."""

from dataclasses import replace

import pytest

from ledger.audit.corrections import check_of_chain, corrected
from ledger.audit.epoch_record import ParentEpoch
from ledger.audit.seal_chain import ChainedEntry
from ledger.books.posting import Chain, Posting, entry_bytes, link
from ledger.books.seal_entries import supersede_entry
from ledger.model.epoch import EpochCalendar
from ledger.model.header import EpochHeader
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree

A, B, C = (Address(bytes([each]) * 20) for each in (1, 2, 3))
CALENDAR = EpochCalendar(genesis=Timestamp(0), length=3600)
BEFORE = {A: Wei(700), B: Wei(300)}
SEAL = Hash32(b"\x09" * 32)


def root_of(leaves: dict[Address, Wei]) -> Hash32:
    return payout_tree(list(leaves), list(leaves.values())).root


HEADER = EpochHeader(
    epoch=EpochNumber(4), claim_root=root_of(BEFORE), ledger_head=SEAL, policy_hash=SEAL, manifest_hash=SEAL,
    parent_hash=SEAL, payout=Wei(1000), carbon=Wei(5), reserve=Wei(6), rollover=Wei(7),
    residual_micrograms=MicrogramsCo2e(8),
)  # fmt: skip
LEFT = ParentEpoch(header_hash=header_hash(HEADER), seal_hash=SEAL, cumulative_wei=BEFORE)


def posting(changes: dict[Address, int], after: dict[Address, Wei], *, number: int = 1, parent: Hash32) -> Posting:
    return supersede_entry(
        epoch=HEADER.epoch, correction=number, claim_root=root_of(after), parent_header=parent, changes_wei=changes,
        reason="one meter counted twice", effective_at=CALENDAR.end(HEADER.epoch),
    )  # fmt: skip


def entry(made: Posting, number: int, previous: Hash32) -> ChainedEntry:
    canonical = entry_bytes(made.content(), number).canonical
    return ChainedEntry(previous, canonical, link(Chain.SEAL, previous, canonical), made.transfers)


def moved() -> ChainedEntry:
    after = {A: Wei(600), C: Wei(400)}
    return entry(posting({A: -100, B: -300, C: 400}, after, parent=LEFT.header_hash), 12, SEAL)


def test_leaves_root_and_header_follow_from_the_entry() -> None:
    found = corrected(LEFT, HEADER, [moved()], CALENDAR, paid_in_wei=1000)
    assert all(check.passed for check in found.checks)
    assert found.parent.cumulative_wei == {A: 600, C: 400}  # who holds nothing has no leaf
    assert found.parent.seal_hash == moved().hash
    assert found.parent.header_hash == found.header_hashes[0] == header_hash(
        replace(
            HEADER, claim_root=root_of({A: Wei(600), C: Wei(400)}), ledger_head=moved().hash,
            parent_hash=LEFT.header_hash, payout=Wei(0), carbon=Wei(0), reserve=Wei(0),
            residual_micrograms=MicrogramsCo2e(0),
        )
    )  # fmt: skip


def test_a_second_correction_stands_on_the_first() -> None:
    first = corrected(LEFT, HEADER, [moved()], CALENDAR)
    second = entry(posting({C: -1}, {A: Wei(600), C: Wei(399)}, number=2, parent=first.parent.header_hash), 13, SEAL)
    found = corrected(LEFT, HEADER, [moved(), second], CALENDAR, paid_in_wei=1000)
    assert all(check.passed for check in found.checks)
    assert found.parent.cumulative_wei[C] == 399
    assert len(found.header_hashes) == 2


def test_an_epoch_without_a_correction_leaves_what_its_seal_left() -> None:
    found = corrected(LEFT, HEADER, [], CALENDAR)
    assert (found.parent, found.checks, found.header_hashes) == (LEFT, (), ())


@pytest.mark.parametrize(
    "wrong",
    [
        posting({A: -100, C: 100}, {A: Wei(600), B: Wei(300)}, parent=LEFT.header_hash),
        posting({A: -701, C: 701}, {A: Wei(1)}, parent=LEFT.header_hash),
        posting({A: -100, C: 100}, {A: Wei(600), B: Wei(300), C: Wei(100)}, parent=SEAL),
        posting({A: -100, C: 100}, {A: Wei(600), B: Wei(300), C: Wei(100)}, number=2, parent=LEFT.header_hash),
    ],
    ids=["another-root", "a-leaf-below-zero", "another-parent", "another-number"],
)
def test_an_entry_that_says_otherwise_is_named(wrong: Posting) -> None:
    (failed, *_) = [
        check for check in corrected(LEFT, HEADER, [entry(wrong, 12, SEAL)], CALENDAR).checks if not check.passed
    ]
    assert failed.name == "correction.entry"


def test_nobody_is_given_what_was_never_paid_in() -> None:
    after = {A: Wei(700), B: Wei(301)}
    given = entry(posting({B: 1}, after, parent=LEFT.header_hash), 12, SEAL)
    found = corrected(LEFT, HEADER, [given], CALENDAR, paid_in_wei=1000)
    assert [check.name for check in found.checks if not check.passed] == ["correction.leaves"]


def test_the_chain_must_have_the_same_corrections() -> None:
    derived = corrected(LEFT, HEADER, [moved()], CALENDAR).header_hashes
    assert check_of_chain("epoch 4", derived, derived).passed
    assert not check_of_chain("epoch 4", derived, ()).passed
    assert not check_of_chain("epoch 4", (), derived).passed
