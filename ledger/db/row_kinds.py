"""Values of another kind than their column's: SQLite stores a text where bytes belong, and says nothing.

Whoever edits a SQLite database by hand does it easily: `replace()` on bytes makes text, `amount + 1` a float. Reading
such a value breaks in a different way in every place, so whoever checks the books looks for them first. PostgreSQL
refuses them by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Column, Table, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ledger.db.schema import WEI256_DIGITS, Base, Wei256
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError

_SQLITE: Final = "sqlite"
_KINDS: Final = {"BLOB": "blob", "VARCHAR": "text", "TEXT": "text"}
"""What SQLite stores for a declared type; every other type of the schema is a whole number."""
_STATES: Final = frozenset({("epochs", "state"), ("epoch_events", "state")})
_WALKED: Final = frozenset({"journal_entries", "transfers"})
_READABLE: Final = "ath_ledger_readable"


class StoredKindError(MismatchError):
    """A stored value is of another kind than its column: text for bytes, a float for a number, bytes for text."""

    code = "db.stored-kind"
    default_hint = "the database was changed by hand: keep it for evidence and restore a backup"


@contextmanager
def kinds_named(session: Session) -> Iterator[None]:
    """Around a walk of the journal: the first row that holds another kind of value is named (StoredKindError).

    The journal's own rows are looked at only when the walk breaks, as it does over such a value: to look at all of them
    takes as long as half a walk.
    """
    check_kinds(session, but=_WALKED)
    try:
        yield
    except Exception:
        check_kinds(session)
        raise


def check_kinds(session: Session, *, but: frozenset[str] = frozenset()) -> None:
    """Look at every value of every table, or of all but some; StoredKindError names the first row that is wrong."""
    connection = session.connection()
    if connection.dialect.name != _SQLITE:
        return
    driver = connection.connection.driver_connection
    if driver is None:
        return
    driver.create_function(_READABLE, 1, _is_readable, deterministic=True)
    for table in Base.metadata.sorted_tables:
        if table.name not in but:
            _check_table(connection, table)


def _check_table(connection: Connection, table: Table) -> None:
    keys = list(table.primary_key.columns)
    wrong = {column: _is_wrong(column, _kind(connection, column)) for column in table.columns}
    shown = ", ".join(_printable(column) for column in keys)
    told = ", ".join(f"typeof({_quoted(column.name)}), {condition}" for column, condition in wrong.items())
    anything = " OR ".join(wrong.values())
    row = connection.execute(
        text(f"SELECT {shown}, {told} FROM {_quoted(table.name)} WHERE {anything} LIMIT 1")  # noqa: S608 - own names
    ).one_or_none()
    if row is None:
        return
    place = ", ".join(f"{column.name} {value}" for column, value in zip(keys, row, strict=False))
    for number, column in enumerate(wrong):
        found, is_wrong = row[len(keys) + 2 * number : len(keys) + 2 * number + 2]
        if is_wrong:
            kind = _kind(connection, column)
            held = f"{found} where {kind} belongs" if found != kind else f"text that is no {_meant(column)}"
            raise StoredKindError(f"{table.name} {place[:200]}: {column.name} is {held}")


def _printable(column: Column[object]) -> str:
    name = _quoted(column.name)
    return f"quote(iif({_READABLE}(CAST({name} AS BLOB)), {name}, CAST({name} AS BLOB)))"


def _is_wrong(column: Column[object], kind: str) -> str:
    name = _quoted(column.name)
    condition = f"typeof({name}) NOT IN ('{kind}'{', ' + repr('null') if column.nullable else ''})"
    if kind == "text":
        # a look at the bytes costs a call out of SQLite: plain ASCII, which nearly all text is, needs none
        unusual = f"({name} GLOB '*[^ -~]*' OR length({name}) != length(CAST({name} AS BLOB)))"
        condition += f" OR (typeof({name}) = 'text' AND {unusual} AND NOT {_READABLE}(CAST({name} AS BLOB)))"
    if isinstance(column.type, Wei256):
        condition += f" OR length({name}) != {WEI256_DIGITS} OR {name} GLOB '*[^0-9]*'"
    if (column.table.name, column.name) in _STATES:
        condition += f" OR {name} NOT IN ({', '.join(repr(state.value) for state in EpochState)})"
    return f"({condition})"


def _meant(column: Column[object]) -> str:
    if (column.table.name, column.name) in _STATES:
        return "state of an epoch"
    return f"whole number of {WEI256_DIGITS} digits" if isinstance(column.type, Wei256) else "UTF-8"


def _kind(connection: Connection, column: Column[object]) -> str:
    declared = column.type.compile(connection.dialect).split("(")[0]
    return _KINDS.get(declared, "integer")


def _quoted(name: str) -> str:
    return f'"{name}"'


def _is_readable(content: bytes | None) -> bool:
    try:
        (content or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
