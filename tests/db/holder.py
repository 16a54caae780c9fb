"""A process of its own that holds a lock of a ledger until it is ended: `holder.py URL NAME`. Says when it has it."""

import sys
import time

from ledger.db.engine import open_database
from ledger.db.exclusion import exclusively


def main(url: str, name: str) -> None:
    database = open_database(url)
    with exclusively(database, name):
        print("held", flush=True)  # noqa: T201 - the test reads it
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
