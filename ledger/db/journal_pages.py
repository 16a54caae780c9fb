"""The journal a page at a time: entries without their transfers, and transfers, filtered in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import Session

from ledger.db.schema import table_of
from ledger.db.tables.journal import JournalEntryRow, TransferRow

_ENTRIES = table_of(JournalEntryRow)
_TRANSFERS = table_of(TransferRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries: positions inclusive, the chain, the kind, the business key."""

    first: int = 1
    last: int | None = None
    chain: str | None = None
    kind: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter:
    """Which transfers: entries' positions inclusive, an account or the beginning of accounts, the asset, the code."""

    first: int = 1
    last: int | None = None
    account: str | None = None
    """All accounts that begin so where it ends with a slash."""
    asset: str | None = None
    code: str | None = None


def entry_page(session: Session, wanted: EntryFilter, *, after: int, limit: int) -> list[Any]:
    """Rows of entries after a position, in order; all columns."""
    query = select(_ENTRIES).where(_ENTRIES.c.seq > max(after, wanted.first - 1)).order_by(_ENTRIES.c.seq).limit(limit)
    if wanted.last is not None:
        query = query.where(_ENTRIES.c.seq <= wanted.last)
    for name in ("chain", "kind", "key"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(_ENTRIES.c[name] == value)
    return list(session.execute(query))


def transfer_page(session: Session, wanted: TransferFilter, *, after: tuple[int, int], limit: int) -> list[Any]:
    """Rows of transfers after an entry's line, in order; all columns."""
    place = (_TRANSFERS.c.entry_seq, _TRANSFERS.c.line_no)
    query = select(_TRANSFERS).where(tuple_(*place) > after).order_by(*place).limit(limit)
    if wanted.first > 1:
        query = query.where(_TRANSFERS.c.entry_seq >= wanted.first)
    if wanted.last is not None:
        query = query.where(_TRANSFERS.c.entry_seq <= wanted.last)
    if wanted.asset is not None:
        query = query.where(_TRANSFERS.c.asset == wanted.asset)
    if wanted.code is not None:
        query = query.where(_TRANSFERS.c.code == wanted.code)
    if wanted.account is not None:
        query = query.where(
            or_(*(_touches(side, wanted.account) for side in (_TRANSFERS.c.debit, _TRANSFERS.c.credit)))
        )
    return list(session.execute(query))


def entry_keys(session: Session, seqs: Sequence[int]) -> dict[int, str]:
    """The business keys of at most a page of entries, by position."""
    rows = session.execute(select(_ENTRIES.c.seq, _ENTRIES.c.key).where(_ENTRIES.c.seq.in_(seqs)))
    return {row.seq: row.key for row in rows}


def _touches(side: Any, account: str) -> Any:
    return side.startswith(account, autoescape=True) if account.endswith("/") else side == account
