"""Named places where a test may end the process, to prove that nothing is lost or done twice there."""

import os
import signal
from collections import Counter
from collections.abc import Callable

FAULTPOINT_VARIABLE = "ATH_LEDGER_FAULTPOINT"
heard: Callable[[str], None] | None = None
"""A simulation inside this process hears of every place; what it raises there ends its worker."""
_passed: Counter[str] = Counter()


def faultpoint(name: str) -> None:
    """Do nothing, unless the environment names this place: then end the process as `kill -9` would.

    `name@3` ends it at the third time it passes here. SIGKILL, not an exception: no handler, rollback or flush
    may run, just as in a power cut.
    """
    if heard is not None:
        heard(name)
    wanted = os.environ.get(FAULTPOINT_VARIABLE)
    if not wanted:
        return
    place, _, time = wanted.partition("@")
    if place != name:
        return
    _passed[name] += 1
    if _passed[name] == int(time or 1):
        os.kill(os.getpid(), signal.SIGKILL)
