"""The journal in the database: appending entries to the two hash chains, reading them back, balances, the walk.

Everything happens inside the caller's transaction, which on SQLite holds the write lock; on PostgreSQL an advisory
lock makes appending one at a time, so no two entries ever continue the same hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Balance, Sums, TrialBalance, sum_transfers
from ledger.books.trial_balance import trial_balance as check_balances
from ledger.books.verify import Head, JournalEntry
from ledger.books.verify import verify_journal as walk_journal
from ledger.db.errors import AlreadyDifferentError
from ledger.db.tables.journal import BalanceRow, JournalEntryRow, TransferRow
from ledger.model.errors import MismatchError
from ledger.model.units import ZERO_HASH, Hash32, Seq, Timestamp
from ledger.tree.canonical import parse_canonical

_APPEND_LOCK: Final = 0x617468  # "ath"
_ROWS_AT_ONCE: Final = 5_000


class PostingConflictError(AlreadyDifferentError):
    """The business key is booked with other content. Nothing was booked."""

    code = "books.conflict"
    default_hint = "ath-ledger audit journal --key KEY shows what is booked"


class BalancesDifferError(MismatchError):
    """The projection of the balances is not the sum of the transfers."""

    code = "books.balances-differ"


def append(session: Session, posting: Posting, *, recorded_at: Timestamp) -> JournalEntry:
    """Book a posting at the end of its chain; the same posting again returns the entry that is there.

    Raises PostingConflictError when its key is booked with other content.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPEND_LOCK})
    before = head(session, posting.chain)
    bytes_ = entry_bytes(posting.content(), before.number + 1)
    there = find(session, posting.key)
    if there is not None:
        if there.body_hash != bytes_.body_hash:
            raise PostingConflictError(f"{posting.key} is booked as entry seq {there.seq} with other content")
        return there
    entry = JournalEntry(
        seq=Seq(last_seq(session) + 1),
        chain=posting.chain,
        number=before.number + 1,
        key=posting.key,
        kind=posting.kind,
        effective_at=posting.effective_at,
        canonical=bytes_.canonical,
        body_hash=bytes_.body_hash,
        previous_hash=before.hash,
        hash=link(posting.chain, before.hash, bytes_.canonical),
        transfer_count=len(posting.transfers),
    )
    session.add(
        JournalEntryRow(
            seq=entry.seq,
            chain=entry.chain.value,
            number=entry.number,
            key=entry.key,
            kind=entry.kind.value,
            effective_at=entry.effective_at,
            canonical=entry.canonical,
            body_hash=entry.body_hash,
            previous_hash=entry.previous_hash,
            hash=entry.hash,
            transfer_count=entry.transfer_count,
            recorded_at=recorded_at,
        )
    )
    session.flush()
    _insert_transfers(session, entry.seq, posting.transfers)
    _move_balances(session, posting.transfers)
    return entry


def head(session: Session, chain: Chain) -> Head:
    """The end of a chain; number 0 and hash 0 while it is empty."""
    row = session.execute(
        select(JournalEntryRow.number, JournalEntryRow.hash)
        .where(JournalEntryRow.chain == chain.value)
        .order_by(JournalEntryRow.number.desc())
        .limit(1)
    ).one_or_none()
    return Head() if row is None else Head(number=row.number, hash=Hash32(row.hash))


def last_seq(session: Session) -> Seq:
    """The newest entry's position over both chains; 0 while there is none."""
    return Seq(int(session.execute(select(func.max(JournalEntryRow.seq))).scalar_one() or 0))


def find(session: Session, key: str) -> JournalEntry | None:
    """The entry with this business key, or None."""
    row = session.execute(select(JournalEntryRow).where(JournalEntryRow.key == key)).scalar_one_or_none()
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
    query = select(JournalEntryRow).where(JournalEntryRow.seq > after).order_by(JournalEntryRow.seq)
    if chain is not None:
        query = query.where(JournalEntryRow.chain == chain.value)
    if kind is not None:
        query = query.where(JournalEntryRow.kind == kind.value)
    if up_to is not None:
        query = query.where(JournalEntryRow.seq <= up_to)
    if limit is not None:
        query = query.limit(limit)
    return [_entry(row) for row in session.execute(query).scalars()]


def transfers(session: Session, seq: int) -> tuple[Transfer, ...]:
    """An entry's transfers in line order."""
    rows = session.execute(select(TransferRow).where(TransferRow.entry_seq == seq).order_by(TransferRow.line_no))
    return tuple(_transfer(row) for row in rows.scalars())


def last_booked_block(session: Session) -> int:
    """The block of the newest entry of the chain log that names one; 0 while there is none."""
    newest = select(JournalEntryRow.canonical).where(JournalEntryRow.chain == Chain.LOG.value)
    for canonical in session.execute(newest.order_by(JournalEntryRow.number.desc())).scalars():
        at = parse_canonical(canonical)["body"].get("at")
        if at is not None:
            return int(at["block"])
    return 0


def balances(session: Session, *, as_of_seq: int | None = None) -> dict[str, Balance]:
    """Every account's sums, now or as they were after an entry; summed from the transfers, never by SQL."""
    if as_of_seq is None:
        rows = session.execute(select(BalanceRow).order_by(BalanceRow.account)).scalars()
        return {row.account: Balance(debits=row.debits, credits=row.credits) for row in rows}
    return sum_transfers(_all_transfers(session, as_of_seq))


def trial_balance(session: Session, *, as_of_seq: int | None = None) -> TrialBalance:
    """The balances checked against each other and the chart of accounts."""
    return check_balances(balances(session, as_of_seq=as_of_seq))


def verify_journal(session: Session, *, expected: Mapping[Chain, Head] | None = None) -> dict[Chain, Head]:
    """Walk every entry and transfer, then hold the projection against them.

    `expected` are heads known from outside. Raises JournalBrokenError naming the first bad seq,
    BalancesDifferError.
    """
    sums = Sums()

    def walked() -> Iterator[tuple[JournalEntry, Sequence[Transfer]]]:
        lines = _grouped_transfers(session)
        pending = next(lines, None)
        for entry in _stream(session):
            if pending is not None and pending[0] == entry.seq:
                found: Sequence[Transfer] = pending[1]
                pending = next(lines, None)
            else:
                found = ()
            for transfer in found:
                sums.add(transfer)
            yield entry, found

    heads = walk_journal(walked(), expected=expected)
    if sums.balances() != balances(session):
        raise BalancesDifferError("the stored balances are not the sums of the transfers")
    return heads


def rebuild_balances(session: Session) -> None:
    """Make the projection anew from the transfers."""
    session.query(BalanceRow).delete()
    rows = [
        {"account": account, "debits": balance.debits, "credits": balance.credits}
        for account, balance in sum_transfers(_all_transfers(session, None)).items()
    ]
    if rows:
        session.execute(insert(BalanceRow), rows)


def _insert_transfers(session: Session, seq: int, lines: Sequence[Transfer]) -> None:
    rows = [
        {
            "entry_seq": seq,
            "line_no": number,
            "debit": line.debit,
            "credit": line.credit,
            "asset": line.asset.value,
            "amount": line.amount,
            "code": line.code.value,
        }
        for number, line in enumerate(lines)
    ]
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        session.execute(insert(TransferRow), rows[at : at + _ROWS_AT_ONCE])


def _move_balances(session: Session, lines: Sequence[Transfer]) -> None:
    moved = sum_transfers(lines)
    names = list(moved)
    stored: dict[str, BalanceRow] = {}
    for at in range(0, len(names), 500):
        found = session.execute(select(BalanceRow).where(BalanceRow.account.in_(names[at : at + 500]))).scalars()
        stored |= {row.account: row for row in found}
    fresh = []
    for account, change in moved.items():
        row = stored.get(account)
        if row is None:
            fresh.append({"account": account, "debits": change.debits, "credits": change.credits})
        else:
            row.debits, row.credits = row.debits + change.debits, row.credits + change.credits
    if fresh:
        session.execute(insert(BalanceRow), fresh)
    session.flush()


def _stream(session: Session) -> Iterator[JournalEntry]:
    query = select(JournalEntryRow).order_by(JournalEntryRow.seq).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in session.execute(query).scalars():
        yield _entry(row)


def _grouped_transfers(session: Session) -> Iterator[tuple[int, list[Transfer]]]:
    query = (
        select(TransferRow)
        .order_by(TransferRow.entry_seq, TransferRow.line_no)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    for seq, rows in groupby(session.execute(query).scalars(), key=lambda row: row.entry_seq):
        yield seq, [_transfer(row) for row in rows]


def _all_transfers(session: Session, up_to: int | None) -> Iterator[Transfer]:
    query = select(TransferRow).execution_options(yield_per=_ROWS_AT_ONCE)
    if up_to is not None:
        query = query.where(TransferRow.entry_seq <= up_to)
    for row in session.execute(query).scalars():
        yield _transfer(row)


def _transfer(row: TransferRow) -> Transfer:
    return Transfer(row.debit, row.credit, row.amount, Asset(row.asset), TransferCode(row.code))


def _entry(row: JournalEntryRow) -> JournalEntry:
    return JournalEntry(
        seq=Seq(row.seq),
        chain=Chain(row.chain),
        number=row.number,
        key=row.key,
        kind=EntryKind(row.kind),
        effective_at=Timestamp(row.effective_at),
        canonical=row.canonical,
        body_hash=Hash32(row.body_hash),
        previous_hash=Hash32(row.previous_hash or ZERO_HASH),
        hash=Hash32(row.hash),
        transfer_count=row.transfer_count,
    )
