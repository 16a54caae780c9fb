"""Which state of the ledger an answer speaks of: epoch, journal position, block, head."""

from dataclasses import dataclass

from ledger.books.posting import Chain
from ledger.db import chain_log, epochs, journal
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger

_BOOKED = frozenset({EpochState.SEALED, EpochState.PROPOSED, EpochState.ACTIVE, EpochState.FINAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStanding:
    """The last sealed epoch, the last journal entry, the last final block, the head of the seal chain (0x-hex)."""

    epoch: EpochNumber | None
    seq: int
    block: int | None
    head: str


def standing(ledger: Ledger) -> LedgerStanding:
    """Where the books stand now; needs no chain."""
    with ledger.database.reading() as session:
        final = chain_log.final_point(session, ledger.domain.chain_id)
        head = journal.head(session, Chain.SEAL)
        return LedgerStanding(
            epoch=epochs.last_in(session, _BOOKED),
            seq=journal.last_seq(session),
            block=None if final is None else final.number,
            head="0x" + head.hash.hex() if head.number else "",
        )
