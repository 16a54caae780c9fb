"""Named places where a test may end the process, to prove that nothing is lost or done twice there."""

import os
import signal

FAULTPOINT_VARIABLE = "ATH_LEDGER_FAULTPOINT"


def faultpoint(name: str) -> None:
    """Do nothing, unless the environment names this place: then end the process as `kill -9` would.

    SIGKILL, not an exception: no handler, rollback or flush may run, just as in a power cut.
    """
    if os.environ.get(FAULTPOINT_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
