"""Amounts up to 2²⁵⁶ − 1 and free epochs up to 2⁶⁴ − 1 come back as they went in, and sort rightly."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError

from ledger.db.engine import Database
from ledger.db.schema import Uint64, Wei256

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
