"""Deriving the indexes of a new epoch before somebody asks for its explanations."""

import logging
from threading import Event, Thread
from typing import Final

from ledger.model.errors import LedgerError, NotFoundError
from ledger.steps.answers.ahead import derive_ahead
from ledger.steps.answers.explain import last_computed
from ledger.steps.ledger import Ledger

_LOOK_SECONDS: Final = 15
_LOG: Final = logging.getLogger("ledger.api")


class Warmer:
    """A thread that looks for a newly computed epoch now and then. What it cannot derive, an explanation will say."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stopping = Event()
        self._thread = Thread(target=self._work, name="api-warmer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; an index that is being derived is left to the process's end."""
        self._stopping.set()

    def _work(self) -> None:
        while True:
            try:
                derive_ahead(self._ledger, last_computed(self._ledger))
            except NotFoundError:
                pass  # nothing is computed yet
            except LedgerError as error:
                _LOG.warning("the newest epoch has no index: %s", error)
            except Exception:  # noqa: BLE001 - the edge of its thread: answers do without it
                _LOG.exception("the newest epoch has no index")
            if self._stopping.wait(_LOOK_SECONDS):
                return
