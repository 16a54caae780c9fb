"""The journal books each posting once, refuses what contradicts it, and answers for every moment."""

from collections.abc import Callable

import pytest

from ledger.books.accounts import EMISSION, ROLLOVER, Asset, claimed, payable, pending
from ledger.books.errors import BalanceRuleError, IdempotencyConflictError
from ledger.books.log_entries import ChainPoint, activation_entry, suspense_entry, undo_entry
from ledger.books.posting import Chain, Posting
from ledger.books.seal_entries import reversal_entry
from ledger.db import journal
from ledger.db.engine import Database
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, Wei

NOW = Timestamp(5)
MakePosting = Callable[..., Posting]


def book(database: Database, *postings: Posting) -> list[int]:
    with database.transaction() as session:
        return [journal.append(session, posting, recorded_at=NOW).seq for posting in postings]


def activation(seal: Posting, at: ChainPoint) -> Posting:
    payouts: dict[Address, Wei] = {}
    for transfer in seal.transfers:
        if transfer.credit.endswith("/pending") and transfer.credit.startswith("operator/"):
            who = Address(bytes.fromhex(transfer.credit[11:51]))
            payouts[who] = Wei(payouts.get(who, 0) + transfer.amount)
    return activation_entry(
        epoch=EpochNumber(seal.body["epoch"]),
        attempt=seal.body["attempt"],
        payouts=payouts,
        carbon_wei=Wei(5),
        reserve_wei=Wei(7),
        header_hash=Hash32(bytes(32)),
        at=at,
    )


def test_the_same_posting_again_is_the_entry_that_is_there(database: Database, make_seal: MakePosting) -> None:
    assert book(database, make_seal(0)) == [1]
    assert book(database, make_seal(0), make_seal(1)) == [1, 2]
    with database.reading() as session:
        assert journal.last_seq(session) == 2
        assert len(journal.transfers(session, 1)) == 11
        assert journal.transfers(session, 1) == make_seal(0).transfers


def test_the_same_key_with_another_body_is_a_conflict_and_books_nothing(
    database: Database, make_seal: MakePosting
) -> None:
    book(database, make_seal(0))
    with pytest.raises(IdempotencyConflictError, match="epoch/0/seal/1 is booked as seq 1"):
        book(database, make_seal(1), make_seal(0, operators=3))
    with database.reading() as session:
        assert journal.last_seq(session) == 1


def test_each_chain_counts_for_itself_and_seq_counts_both(
    database: Database, make_seal: MakePosting, make_claim: MakePosting, make_point: Callable[[int], ChainPoint]
) -> None:
    first, second = make_seal(0), make_seal(1)
    book(database, first, activation(first, make_point(1)), make_claim(2), second)
    with database.reading() as session:
        places = [(entry.seq, entry.chain, entry.number) for entry in journal.entries(session)]
        assert places == [(1, Chain.SEAL, 1), (2, Chain.LOG, 1), (3, Chain.LOG, 2), (4, Chain.SEAL, 2)]
        assert journal.last_booked_block(session) == 2
        assert [entry.seq for entry in journal.entries(session, chain=Chain.LOG, after=2)] == [3]
        heads = journal.verify_journal(session)
        assert heads[Chain.SEAL] == journal.head(session, Chain.SEAL)
        assert heads[Chain.LOG].number == 2


def test_the_seal_chain_does_not_depend_on_what_the_log_holds(
    new_url: Callable[[str], str], sqlite_database: Database, make_seal: MakePosting, make_claim: MakePosting,
    make_point: Callable[[int], ChainPoint]
) -> None:  # fmt: skip
    first, second = make_seal(0), make_seal(1)
    book(sqlite_database, first, second)
    with sqlite_database.reading() as session:
        quiet = journal.head(session, Chain.SEAL)
    from ledger.db import migrations
    from ledger.db.engine import open_database

    busy = open_database(new_url("sqlite"), create=True)
    migrations.upgrade(busy)
    book(busy, first, activation(first, make_point(1)), make_claim(2), second)
    with busy.reading() as session:
        assert journal.head(session, Chain.SEAL) == quiet
    busy.close()


def test_money_moves_from_pending_to_payable_to_claimed(
    database: Database, make_seal: MakePosting, make_claim: MakePosting, make_point: Callable[[int], ChainPoint]
) -> None:
    seal = make_seal(0)
    who = Address((1).to_bytes(20, "big"))
    earned = 111 * 10**16
    book(database, seal)
    with database.reading() as session:
        assert journal.balances(session)[pending(who)].net == earned
    book(database, activation(seal, make_point(1)), make_claim(2, amount=10))
    with database.reading() as session:
        after = journal.balances(session)
        assert (after[pending(who)].net, after[payable(who)].net, after[claimed(who)].net) == (0, earned - 10, 10)
        report = journal.trial_balance(session)
    assert report.is_balanced
    assert report.debits[Asset.ATH] == report.credits[Asset.ATH] > 0


def test_nobody_claims_more_than_is_payable(
    database: Database, make_seal: MakePosting, make_claim: MakePosting
) -> None:
    book(database, make_seal(0))
    with pytest.raises(BalanceRuleError, match="below zero"):
        book(database, make_claim(1))
    with database.reading() as session:
        assert journal.last_seq(session) == 1
        journal.verify_journal(session)


def test_rollover_that_is_not_there_cannot_come_in(database: Database, make_seal: MakePosting) -> None:
    book(database, make_seal(0, rollover_out=100))
    with pytest.raises(BalanceRuleError, match=ROLLOVER):
        book(database, make_seal(1, rollover_in=101))
    book(database, make_seal(1, rollover_in=100))


def test_a_difference_in_suspense_stops_the_next_seal_until_it_is_explained(
    database: Database, make_seal: MakePosting, make_point: Callable[[int], ChainPoint]
) -> None:
    first = make_seal(0)
    finding = suspense_entry(
        name="7/payable", account=payable(Address((1).to_bytes(20, "big"))), difference=-3,
        evidence={"expected": 10, "found": 7}, effective_at=Timestamp(1),
    )  # fmt: skip
    book(database, first, activation(first, make_point(1)), finding)
    with pytest.raises(BalanceRuleError, match="suspense"):
        book(database, make_seal(1))
    with database.reading() as session:
        found = journal.find(session, finding.key)
    assert found is not None
    undo = undo_entry(
        undone_key=finding.key, undone_hash=found.hash, undone_transfers=finding.transfers, reason="explained",
        effective_at=Timestamp(2),
    )  # fmt: skip
    book(database, undo, make_seal(1))


def test_a_reversed_seal_leaves_nothing_behind_and_can_be_sealed_again(
    database: Database, make_seal: MakePosting
) -> None:
    seal = make_seal(0, rollover_out=9)
    book(database, seal)
    with database.transaction() as session:
        entry = journal.find(session, seal.key)
        assert entry is not None
        reversal = reversal_entry(
            epoch=EpochNumber(0), attempt=1, sealed_hash=entry.hash,
            sealed_transfers=journal.transfers(session, entry.seq), reason="revoked", effective_at=Timestamp(9),
        )  # fmt: skip
        journal.append(session, reversal, recorded_at=NOW)
        assert {balance.net for balance in journal.balances(session).values()} == {0}
        journal.append(session, make_seal(0, attempt=2), recorded_at=NOW)
        journal.verify_journal(session)


def test_balances_of_any_moment_are_a_replay_up_to_its_seq(database: Database, make_seal: MakePosting) -> None:
    for epoch in range(3):
        book(database, make_seal(epoch))
    with database.reading() as session:
        assert journal.balances(session, as_of_seq=0) == {}
        budget = journal.balances(session, as_of_seq=1)[EMISSION].debits
        assert journal.balances(session, as_of_seq=2)[EMISSION].debits == 2 * budget
        assert journal.balances(session, as_of_seq=3) == journal.balances(session)


def test_a_rebuilt_projection_is_the_one_that_was_there(database: Database, make_seal: MakePosting) -> None:
    book(database, make_seal(0), make_seal(1))
    with database.transaction() as session:
        before = journal.balances(session)
        journal.rebuild_balances(session)
        assert journal.balances(session) == before


def test_sums_beyond_64_and_128_bits_stay_exact(database: Database, make_seal: MakePosting) -> None:
    seal = make_seal(0, rollover_out=2**200 + 1)
    book(database, seal, make_seal(1, rollover_out=2**200 + 1))
    with database.reading() as session:
        assert journal.balances(session)[ROLLOVER].net == 2**201 + 2
