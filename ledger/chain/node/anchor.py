"""From where on a node is believed: the block the books are final to."""

from ledger.chain.node.endpoint import Anchor
from ledger.db import chain_log
from ledger.db.engine import Database


def final_anchor(database: Database, chain_id: int) -> Anchor | None:
    """The block the books are final to; None before the first look."""
    with database.reading() as session:
        point = chain_log.final_point(session, chain_id)
    return None if point is None else Anchor(number=point.number, hash=point.hash)
