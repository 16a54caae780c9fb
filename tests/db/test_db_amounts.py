"""Amounts up to 2²⁵⁶ − 1 and free epochs up to 2⁶⁴ − 1 come back as they went in, and sort rightly."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError

from ledger.books.accounts import EMISSION, SUSPENSE, Asset, TransferCode
from ledger.books.errors import BalanceRuleError
from ledger.books.posting import Chain, EntryKind, Posting
from ledger.books.transfers import Transfer
from ledger.db import journal
from ledger.db.engine import Database
from ledger.db.schema import Uint64, Wei256
from ledger.model.units import Timestamp

PURSE = Table("purse", MetaData(), Column("id", Integer, primary_key=True), Column("amount", Wei256))
SPAN = Table("span", MetaData(), Column("id", Integer, primary_key=True), Column("epoch", Uint64))
AMOUNTS = [0, 1, 2**63, 10**27 + 1, 2**255 + 12345678901234567890, 10**77 + 1, 2**256 - 1]


def test_no_digit_is_lost_and_sql_orders_by_value(database: Database) -> None:
    with database.transaction() as session:
        PURSE.create(session.connection())
        session.execute(insert(PURSE), [{"id": place, "amount": amount} for place, amount in enumerate(AMOUNTS)])
    with database.reading() as session:
        assert session.execute(select(PURSE.c.amount).order_by(PURSE.c.amount.desc())).scalars().all() == AMOUNTS[::-1]
        large = session.execute(select(PURSE.c.amount).where(PURSE.c.amount > 2**63)).scalars().all()
    assert sorted(large) == AMOUNTS[3:]


def test_the_engines_own_numbers_would_have_lost_digits(sqlite_database: Database) -> None:
    with sqlite_database.reading() as session:
        plain = session.execute(text("SELECT CAST('1000000000000000000000000001' AS NUMERIC)")).scalar_one()
    assert int(plain) != 10**27 + 1


@pytest.mark.parametrize("wrong", [True, 1.0, Decimal(1), "1", -1, 2**256])
def test_what_is_no_amount_is_refused_before_it_reaches_the_database(database: Database, wrong: Any) -> None:
    with database.transaction() as session:
        PURSE.create(session.connection())
    with pytest.raises((StatementError, TypeError, ValueError)), database.transaction() as session:
        session.execute(insert(PURSE), {"id": 1, "amount": wrong})


def test_an_epoch_named_for_ever_fits_and_sorts(database: Database) -> None:
    epochs = [0, 255, 256, 2**63, 2**64 - 1]
    with database.transaction() as session:
        SPAN.create(session.connection())
        session.execute(insert(SPAN), [{"id": place, "epoch": epoch} for place, epoch in enumerate(epochs)])
    with database.reading() as session:
        assert session.execute(select(SPAN.c.epoch).order_by(SPAN.c.epoch)).scalars().all() == epochs
        assert session.execute(select(SPAN.c.epoch).where(SPAN.c.epoch <= 255)).scalars().all() == [0, 255]


def gift(number: int, amount: int) -> Posting:
    """An amount of any size, into the only account that may stand anywhere."""
    moved = (Transfer(EMISSION, SUSPENSE, amount, Asset.ATH, TransferCode.SUSPENSE),)
    return Posting(
        chain=Chain.LOG, key=f"gift/{number}", kind=EntryKind.SUSPENSE, effective_at=Timestamp(0), body={},
        transfers=moved,
    )  # fmt: skip


def test_the_largest_amount_is_booked_summed_and_walked_exactly(database: Database) -> None:
    with database.transaction() as session:
        for number, amount in enumerate((2**255, 2**255 - 2, 1)):
            journal.append(session, gift(number, amount), recorded_at=Timestamp(0))
    with database.reading() as session:
        assert journal.balances(session)[SUSPENSE].credits == 2**256 - 1
        assert journal.balances(session, as_of_seq=2)[SUSPENSE].credits == 2**256 - 2
        assert [journal.transfers(session, seq)[0].amount for seq in (1, 2, 3)] == [2**255, 2**255 - 2, 1]
        journal.verify_journal(session)


def test_a_sum_beyond_the_largest_amount_is_refused_by_name(database: Database) -> None:
    with database.transaction() as session:
        journal.append(session, gift(0, 2**256 - 1), recorded_at=Timestamp(0))
    with pytest.raises(BalanceRuleError, match="2\\^256"), database.transaction() as session:
        journal.append(session, gift(1, 1), recorded_at=Timestamp(0))
    with database.reading() as session:
        journal.verify_journal(session)
        assert journal.last_seq(session) == 1
