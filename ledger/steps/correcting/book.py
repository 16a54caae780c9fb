"""RootSuperseded, final: the correction into the books. Later epochs, proofs and claims stand on it from here on."""

from sqlalchemy.orm import Session

from ledger.chain.contracts.logs import ChainEvent
from ledger.db import corrections, journal
from ledger.model.errors import InvariantError, NotFoundError
from ledger.model.units import Address, EpochNumber, Hash32, Wei, to_hex
from ledger.steps.correcting.draft import posting_of
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import tree_of


class CorrectionMissingError(NotFoundError):
    """The chain has a correction whose tree this ledger was never given; the books wait for it."""

    code = "correction.missing"
    default_hint = "ath-ledger gov supersede --tree FILE --reason TEXT --broadcast, with the governor's file and reason"


def book_correction(ledger: Ledger, session: Session, event: ChainEvent) -> None:
    """Book a superseded root; an event that is booked already changes nothing.

    Raises CorrectionMissingError, and InvariantError when the entry would not be the one the header names.
    """
    epoch, header = EpochNumber(event.arguments["epoch"]), Hash32(event.arguments["header_hash"])
    correction = corrections.find(session, header)
    if correction is None:
        raise CorrectionMissingError(f"epoch {epoch}: the chain has correction {to_hex(header)}, which is not known")
    there = journal.find(session, corrections.correction_key(epoch, correction.number))
    if there is not None and there.hash == correction.ledger_head:
        return
    tree = tree_of(ledger, session, epoch)
    rows = (tree.value_at(index) for index in range(len(tree)))
    before = {Address(bytes(account)): Wei(int(wei)) for account, wei in rows}
    entry = journal.append(session, posting_of(ledger, session, correction, before), recorded_at=ledger.clock.now())
    if entry.hash != correction.ledger_head:
        raise InvariantError(
            f"epoch {epoch}: its correction would be entry {to_hex(entry.hash)}, the header on chain names "
            f"{to_hex(correction.ledger_head)}: the seal chain has grown since it was announced"
        )
