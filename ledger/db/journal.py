"""The journal in the database: appending to the two hash chains, reading back, and the walk that finds tampering.

Everything happens inside the caller's transaction. Appending is one at a time on both engines, so no two
entries ever continue the same hash.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, insert, select
from sqlalchemy.orm import Session

from ledger.books.accounts import Asset, TransferCode
from ledger.books.errors import IdempotencyConflictError, JournalBrokenError
from ledger.books.posting import Chain, EntryKind, Posting, content_hash, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Balance, Sums, TrialBalance
from ledger.books.trial_balance import trial_balance as check_balances
from ledger.books.verify import KEY_TWICE, Head, JournalEntry
from ledger.books.verify import verify_journal as walk_journal
from ledger.db.balances import move_balances, replace_balances, stored_balances
from ledger.db.schema import table_of
from ledger.db.serial import one_at_a_time
from ledger.db.tables.journal import JournalEntryRow, TransferRow
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32, Seq, Timestamp, to_hex
from ledger.tree.canonical import parse_canonical

_ENTRIES: Final = table_of(JournalEntryRow)
_TRANSFERS: Final = table_of(TransferRow)
_ROWS_AT_ONCE: Final = 5_000
_ENTRY_COLUMNS: Final = tuple(_ENTRIES.columns[name] for name in JournalEntry._fields)
_TRANSFER_COLUMNS: Final = tuple(
    _TRANSFERS.columns[name] for name in ("entry_seq", "line_no", "debit", "credit", "asset", "amount", "code")
)

# statements are built once: every booking runs all of them
_HEAD: Final = (
    select(_ENTRIES.c.number, _ENTRIES.c.hash)
    .where(_ENTRIES.c.chain == bindparam("chain"))
    .order_by(_ENTRIES.c.number.desc())
    .limit(1)
)
_LAST_SEQ: Final = select(func.max(_ENTRIES.c.seq))
_OF_KEY: Final[Select[Any]] = select(*_ENTRY_COLUMNS).where(_ENTRIES.c.key == bindparam("key"))
_NEWEST_OF_CHAIN: Final = (
    select(_ENTRIES.c.canonical).where(_ENTRIES.c.chain == bindparam("chain")).order_by(_ENTRIES.c.number.desc())
)


class BalancesDifferError(MismatchError):
    """The projection of the balances is not the sum of the transfers."""

    code = "books.balances-differ"
    default_hint = "the transfers are right, the projection is not: find out who changed it, then rebuild it"


def append(session: Session, posting: Posting, *, recorded_at: Timestamp) -> JournalEntry:
    """Book a posting at the end of its chain; the same posting again returns the entry that is there.

    Raises IdempotencyConflictError when its key is booked with another content, BalanceRuleError when an
    account would stand where its rule forbids.
    """
    one_at_a_time(session, "journal")
    content = posting.content()
    body_hash = content_hash(content)
    there = find(session, posting.key)
    if there is not None:
        if there.body_hash != body_hash:
            raise IdempotencyConflictError(
                f"{posting.key} is booked as seq {there.seq} with content {to_hex(there.body_hash)},"
                f" now it is to be {to_hex(body_hash)}"
            )
        return there
    before = head(session, posting.chain)
    number = before.number + 1
    canonical = entry_bytes(content, number).canonical
    entry = JournalEntry(
        seq=Seq(last_seq(session) + 1),
        chain=posting.chain,
        number=number,
        key=posting.key,
        kind=posting.kind,
        effective_at=posting.effective_at,
        canonical=canonical,
        body_hash=body_hash,
        previous_hash=before.hash,
        hash=link(posting.chain, before.hash, canonical),
        transfer_count=len(posting.transfers),
    )
    connection = session.connection()
    row = {column.name: getattr(entry, column.name) for column in _ENTRY_COLUMNS}
    row |= {"chain": entry.chain.value, "kind": entry.kind.value, "recorded_at": recorded_at}
    connection.execute(insert(_ENTRIES), row)
    for start in range(0, len(posting.transfers), _ROWS_AT_ONCE):
        chunk = posting.transfers[start : start + _ROWS_AT_ONCE]
        connection.execute(insert(_TRANSFERS), _transfer_rows(entry.seq, start, chunk))
    move_balances(session, posting.transfers, at_seal=posting.kind is EntryKind.SEAL, key=posting.key)
    return entry


def head(session: Session, chain: Chain) -> Head:
    """The end of a chain; number 0 and hash 0 while it is empty."""
    row = session.execute(_HEAD, {"chain": chain.value}).one_or_none()
    return Head() if row is None else Head(number=row.number, hash=Hash32(row.hash))


def last_seq(session: Session) -> Seq:
    """The newest entry's position over both chains; 0 while there is none."""
    return Seq(int(session.execute(_LAST_SEQ).scalar_one() or 0))


def find(session: Session, key: str) -> JournalEntry | None:
    """The entry with this business key, or None."""
    row = session.execute(_OF_KEY, {"key": key}).one_or_none()
    return None if row is None else _entry(row)


def entries(
    session: Session,
    *,
    chain: Chain | None = None,
    kind: EntryKind | None = None,
    after: int = 0,
    up_to: int | None = None,
    limit: int | None = None,
) -> list[JournalEntry]:
    """Entries with after < seq ≤ up_to, in order of seq."""
    query = _entries_query().where(_ENTRIES.c.seq > after).order_by(_ENTRIES.c.seq)
    if chain is not None:
        query = query.where(_ENTRIES.c.chain == chain.value)
    if kind is not None:
        query = query.where(_ENTRIES.c.kind == kind.value)
    if up_to is not None:
        query = query.where(_ENTRIES.c.seq <= up_to)
    if limit is not None:
        query = query.limit(limit)
    return [_entry(row) for row in session.execute(query)]


def transfers(session: Session, seq: int) -> tuple[Transfer, ...]:
    """An entry's transfers in line order."""
    rows = session.execute(_transfers_query().where(_TRANSFERS.c.entry_seq == seq))
    return tuple(_transfer(row) for row in rows)


def last_booked_block(session: Session) -> int:
    """The block of the newest entry of the chain log that names one; 0 while there is none."""
    for canonical in session.execute(_NEWEST_OF_CHAIN, {"chain": Chain.LOG.value}).scalars():
        at = parse_canonical(canonical)["body"].get("at")
        if at is not None:
            return int(at["block"])
    return 0


def balances(session: Session, *, as_of_seq: int | None = None) -> dict[str, Balance]:
    """Every account's sums, now or as they stood right after entry `as_of_seq`; exact."""
    if as_of_seq is None:
        return stored_balances(session)
    return _replayed(session, as_of_seq)


def trial_balance(session: Session, *, as_of_seq: int | None = None) -> TrialBalance:
    """The balances checked against each other and the chart of accounts."""
    return check_balances(balances(session, as_of_seq=as_of_seq))


def rebuild_balances(session: Session) -> None:
    """Make the projection anew from the transfers."""
    one_at_a_time(session, "journal")
    replace_balances(session, _replayed(session, None))


def verify_journal(
    session: Session,
    *,
    expected: Mapping[Chain, Head] | None = None,
    passing: Callable[[JournalEntry], None] = lambda _entry: None,
) -> dict[Chain, Head]:
    """Walk every entry and transfer, then hold the projection against them; both heads as walked.

    `expected` are heads known from outside, `passing` is told each entry (a long walk has a progress bar).
    Raises JournalBrokenError naming the first bad seq, BalancesDifferError.
    """

    def told() -> Iterator[tuple[JournalEntry, Sequence[Transfer]]]:
        for entry, lines in walked:
            passing(entry)
            yield entry, lines

    sums = Sums()
    with closing(_walked(session, sums)) as walked:
        heads = walk_journal(told(), expected=expected, keys_differ=True)
    if sums.balances() != stored_balances(session):
        raise BalancesDifferError("the stored balances are not the sums of the transfers")
    return heads


def _walked(session: Session, sums: Sums) -> Generator[tuple[JournalEntry, Sequence[Transfer]], None, None]:
    """Entries with their transfers in order of seq; transfers of no entry, or unreadable rows, break the walk."""
    repeated = _first_repeated_key(session)
    with (
        closing(_stream(session, _transfers_query())) as lines,
        closing(_stream(session, _entries_query().order_by(_ENTRIES.c.seq))) as rows,
    ):
        yield from _joined(rows, lines, repeated, sums)


def _joined(
    rows: Iterator[Row[Any]], lines: Iterator[Row[Any]], repeated: int | None, sums: Sums
) -> Iterator[tuple[JournalEntry, Sequence[Transfer]]]:
    line = next(lines, None)
    for row in rows:
        seq = row[0]
        if line is not None and line[0] < seq:
            break
        found: list[Transfer] = []
        try:
            entry = _entry(row)
            while line is not None and line[0] == seq:
                transfer = _transfer(line)
                sums.add(transfer)
                found.append(transfer)
                line = next(lines, None)
        except (ValueError, TypeError) as error:
            raise JournalBrokenError(seq, f"({row.key}) it cannot be read: {error}") from error
        if seq == repeated:
            raise JournalBrokenError(seq, f"({entry.chain} {entry.number}, {entry.key}) {KEY_TWICE}")
        yield entry, found
    if line is not None:
        raise JournalBrokenError(line[0], "it is missing; its transfers are still there")


def _first_repeated_key(session: Session) -> int | None:
    """The first seq whose business key is booked before it; None where the unique key did its work.

    Asked of the database, so that the walk need not remember a million keys.
    """
    times = select(_ENTRIES.c.key).group_by(_ENTRIES.c.key).having(func.count() > 1)
    rows = session.execute(
        select(_ENTRIES.c.seq, _ENTRIES.c.key).where(_ENTRIES.c.key.in_(times)).order_by(_ENTRIES.c.seq)
    )
    seen: set[str] = set()
    for seq, key in rows:
        if key in seen:
            return int(seq)
        seen.add(key)
    return None


def _replayed(session: Session, up_to: int | None) -> dict[str, Balance]:
    """The sums of all transfers, or of those up to an entry; whole numbers added in Python."""
    query: Select[Any] = select(_TRANSFERS.c.debit, _TRANSFERS.c.credit, _TRANSFERS.c.amount)
    if up_to is not None:
        query = query.where(_TRANSFERS.c.entry_seq <= up_to)
    sums = Sums()
    debits, credits_ = sums.debits, sums.credits
    with closing(_stream(session, query)) as lines:
        for debit, credit, amount in lines:  # a million of them: no objects in between
            debits[debit] = debits.get(debit, 0) + amount
            credits_[credit] = credits_.get(credit, 0) + amount
    return sums.balances()


def _stream(session: Session, query: Select[Any]) -> Generator[Any, None, None]:
    """Rows in bounded memory, on either engine."""
    result = session.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    try:
        for rows in result.partitions():
            yield from rows
    finally:
        result.close()  # a walk that ends early leaves no cursor open on the server


def _entries_query() -> Select[Any]:
    return select(*_ENTRY_COLUMNS)


def _transfers_query() -> Select[Any]:
    return select(*_TRANSFER_COLUMNS).order_by(_TRANSFERS.c.entry_seq, _TRANSFERS.c.line_no)


def _transfer_rows(seq: int, first: int, lines: Sequence[Transfer]) -> list[dict[str, Any]]:
    return [
        {
            "entry_seq": seq,
            "line_no": number,
            "debit": line.debit,
            "credit": line.credit,
            "asset": line.asset.value,
            "amount": line.amount,
            "code": line.code.value,
        }
        for number, line in enumerate(lines, first)
    ]


def _transfer(row: Sequence[Any]) -> Transfer:
    _, _, debit, credit, asset, amount, code = row
    return Transfer(debit, credit, amount, _asset(asset), _code(code))


def _entry(row: Sequence[Any]) -> JournalEntry:
    seq, chain, number, key, kind, *content = row
    return JournalEntry(seq, _chain(chain), number, key, _kind(kind), *content)


# a look-up of an enumeration by its value is ten times as slow, and a walk does millions; a wrong word still raises
_chain, _kind, _asset, _code = cache(Chain), cache(EntryKind), cache(Asset), cache(TransferCode)
