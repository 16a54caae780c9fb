"""Which state of the ledger an answer speaks of: epoch, journal position, block, head."""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from ledger.books.posting import Chain
from ledger.db.tables.epochs import EpochRow
from ledger.db.tables.journal import JournalEntryRow
from ledger.db.tables.settlement import ChainFinality
from ledger.model.epoch import SEALED_STATES
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStanding:
    """The last sealed epoch, the last journal entry, the last final block, the head of the seal chain (0x-hex)."""

    epoch: EpochNumber | None
    seq: int
    block: int | None
    head: str


def standing(ledger: Ledger) -> LedgerStanding:
    """Where the books stand now; needs no chain. One question to the database: every answer asks it."""
    with ledger.database.reading() as session:
        epoch, seq, block, head = session.execute(_QUESTION, {"chain": ledger.domain.chain_id}).one()
    return LedgerStanding(
        epoch=None if epoch is None else EpochNumber(epoch),
        seq=int(seq or 0),
        block=None if block is None else int(block),
        head="" if head is None else "0x" + bytes(head).hex(),
    )


_QUESTION = select(
    select(func.max(EpochRow.epoch))
    .where(EpochRow.state.in_([state.value for state in SEALED_STATES]))
    .scalar_subquery(),
    select(func.max(JournalEntryRow.seq)).scalar_subquery(),
    select(ChainFinality.number)
    .where(ChainFinality.chain_id == bindparam("chain"))
    .order_by(ChainFinality.seq.desc())
    .limit(1)
    .scalar_subquery(),
    select(JournalEntryRow.hash)
    .where(JournalEntryRow.chain == Chain.SEAL.value)
    .order_by(JournalEntryRow.number.desc())
    .limit(1)
    .scalar_subquery(),
)
