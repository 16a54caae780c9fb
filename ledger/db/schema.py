"""What every table is built from: the metadata, its naming rule, and the column types that lose nothing.

A table marked `append_only()` never changes a row once written; `ledger.db.guards` enforces it inside the
database. Every other table is a projection that can be rebuilt from the append-only ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, LargeBinary, MetaData, Numeric, String, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

WEI256_DIGITS: Final = 78
"""Decimal digits of 2²⁵⁶ − 1."""
WEI256_ZERO: Final = "0" * WEI256_DIGITS
"""Zero as SQLite stores it; PostgreSQL reads the same literal as the number 0, so one CHECK serves both."""

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Mother of all tables."""

    metadata = MetaData(naming_convention=NAMING)


def table_of(row: type[Base]) -> Table:
    """The table behind a row class, for bulk statements that need no objects."""
    table = row.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{row.__name__} is not mapped to a plain table")
    return table


class Wei256(TypeDecorator[int]):
    """A whole number from 0 to 2²⁵⁶ − 1, exact on both engines and ordered rightly by SQL.

    NUMERIC(78,0) on PostgreSQL. On SQLite zero-padded text of 78 digits, because SQLite's own NUMERIC
    turns large numbers into floats without a warning. Never SUM() it in SQLite: sum in Python.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(WEI256_DIGITS, 0))
        return dialect.type_descriptor(String(WEI256_DIGITS))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if type(value) is not int:  # bool and Decimal pass isinstance-like checks and hide mistakes
            raise TypeError(f"an amount is an int, not {type(value).__name__}: {value!r}")
        if not 0 <= value < 2**256:
            raise ValueError(f"amount {value} is outside 0 … 2^256 - 1")
        return value if dialect.name == "postgresql" else f"{value:0{WEI256_DIGITS}d}"

    def result_processor(self, dialect: Dialect, _column: object) -> Callable[[Any | None], int | None]:
        """As `process_result_value`, without a call for the text that SQLite holds: a walk reads a million of them."""
        return lambda value: int(value) if type(value) is str else self.process_result_value(value, dialect)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if not isinstance(value, str | Decimal):
            raise TypeError(f"the database returned {type(value).__name__} for an amount: {value!r}")
        return int(value)


class Uint64(TypeDecorator[int]):
    """A whole number from 0 to 2⁶⁴ − 1 as 8 big-endian bytes: exact, and ordered rightly by SQL.

    For epochs that a contract names freely ("until for ever" is 2⁶⁴ − 1): a signed column refuses those,
    and the follower would stop at a log that is valid.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> bytes | None:
        return None if value is None else value.to_bytes(8, "big")

    def process_result_value(self, value: bytes | None, _dialect: Dialect) -> int | None:
        return None if value is None else int.from_bytes(value, "big")


BigInt: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit integer. INTEGER on SQLite (64 bits there), where only that word makes a primary key the row id."""
Hash32Column: Final = LargeBinary(32)
AddressColumn: Final = LargeBinary(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gapless:
    """A column that counts without gaps, from `first`, within the rows that share the `within` columns."""

    column: str
    within: tuple[str, ...] = ()
    first: int = 1


def append_only(*gapless: Gapless) -> dict[str, Any]:
    """The last element of `__table_args__` of a table whose rows never change.

    Rows of `gapless` columns can only be added in order.
    """
    return {"info": {"append_only": True, "gapless": gapless}}
