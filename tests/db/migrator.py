"""A process of its own that migrates a ledger: `migrator.py URL up|down REVISION`; it can be ended in the middle of it.

With `ATH_LEDGER_FAULTPOINT=statement@N` it ends as by SIGKILL after the N-th statement that it sent to the database.
"""

import sys

from sqlalchemy import event

from ledger.db import migrations
from ledger.db.engine import open_database
from ledger.db.faultpoint import faultpoint


def main(url: str, direction: str, revision: str) -> None:
    database = open_database(url, create=True)
    event.listen(database.engine, "after_cursor_execute", lambda *_: faultpoint("statement"))
    if direction == "up":
        migrations.upgrade(database, revision)
    else:
        migrations.downgrade(database, revision)
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
