"""A process of its own that appends to a ledger's books: `appender.py URL NAME COUNT [LINES]`.

Prints a line before each append, so that a test can kill it in the middle of one.
"""

import sys

from ledger.books.accounts import CORRECTIONS, Asset, TransferCode, payable
from ledger.books.posting import Chain, EntryKind, Posting
from ledger.books.transfers import Transfer
from ledger.db import journal
from ledger.db.engine import open_database
from ledger.model.units import Address, Timestamp


def posting(name: str, number: int, lines: int) -> Posting:
    """An entry that gives nothing to nobody in `lines` pairs of transfers there and back."""
    there = [payable(Address((place + 1).to_bytes(20, "big"))) for place in range(lines // 2)]
    code = TransferCode.CORRECTION
    pairs = [
        (Transfer(CORRECTIONS, account, 1, Asset.ATH, code), Transfer(account, CORRECTIONS, 1, Asset.ATH, code))
        for account in there
    ]
    return Posting(
        chain=Chain.LOG,
        key=f"test/{name}/{number}",
        kind=EntryKind.CORRECTION,
        effective_at=Timestamp(0),
        body={"name": name, "number": number},
        transfers=tuple(transfer for pair in pairs for transfer in pair),
    )


def main(url: str, name: str, count: str, lines: str = "2") -> None:
    database = open_database(url)
    for number in range(int(count)):
        wanted = posting(name, number, int(lines))
        print(number, flush=True)  # noqa: T201 - the test reads it
        with database.transaction() as session:
            journal.append(session, wanted, recorded_at=Timestamp(number))
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
