"""Settles a stage's ledger as a process of its own: `python settling_process.py WORKSPACE RPC_URL ANVIL_URL`.

What it waits for it waits out, as a worker does; time is moved on the Anvil itself, past the proxy.
"""

import sys
import time
from pathlib import Path

from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import connect
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure, LedgerError, TransactionFailedError
from ledger.model.units import EpochNumber, Timestamp
from ledger.settings import Settings
from ledger.steps.drive import state_of, step
from ledger.steps.transitions.transition import Done, Waiting
from ledger.workspace import Workspace

EPOCH = EpochNumber(0)


def settle(root: Path, rpc_url: str, anvil_url: str) -> None:
    """Until the epoch is final."""
    settings = Settings(
        rpc_url=rpc_url,
        clock="chain",
        publisher_keystore="keys/publisher.json",
        publisher_password_file="keys/password",
    )
    ledger = Workspace(root=root, settings=settings).open()
    chain = connect(anvil_url)
    for _ in range(400):
        try:
            result = step(ledger, EPOCH)
        except (EnvironmentFailure, TransactionFailedError) as error:
            if not error.retryable:
                raise
            time.sleep(0.01)
            continue
        match result:
            case Done():
                break
            case Waiting(until=int(at)) if at > chain.head().timestamp:
                DemoTime(chain).jump_to(Timestamp(at))
            case Waiting():
                DemoTime(chain).mine()
    done = state_of(ledger, EPOCH) is EpochState.FINAL
    ledger.close()
    raise SystemExit(0 if done else 3)


if __name__ == "__main__":
    try:
        settle(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    except LedgerError as error:
        sys.exit(str(error))
