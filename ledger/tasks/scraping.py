"""What a worker shows at `/metrics`: the database's figures, and what its processes counted.

Nothing that counts is imported before the first scrape: the processes a worker forks have to find their shared folder
named first (`ledger.telemetry.serving`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger.model.errors import LedgerError

if TYPE_CHECKING:
    from ledger.steps.checkup.figures import Figures
    from ledger.workspace import Workspace


def scrape_of(place: "Workspace") -> Callable[[], bytes]:
    """Makes the text of one scrape; a database that cannot be opened is `database_up 0`."""
    opened: list[Figures] = []

    def scrape() -> bytes:
        from ledger.steps.checkup.figures import Figures, render, render_without_database

        try:
            if not opened:
                opened.append(Figures(ledger=place.open(read_only=True, start_chain=False)))
        except LedgerError:
            return render_without_database()
        try:
            return render(opened[0])
        finally:
            opened[0].ledger.database.close()  # the worker forks again: no open connection may be carried over

    return scrape
