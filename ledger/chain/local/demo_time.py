"""Time on a local chain: every block's timestamp is set, so that runs repeat to the block hash.

Only for Anvil. A rehearsal of past days takes its time from its chain (`ChainClock`), never from the machine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger.chain.local.anvil_state import keep
from ledger.chain.node.connection import Block, Connection
from ledger.db.faultpoint import faultpoint
from ledger.model.errors import UsageError
from ledger.model.units import Timestamp

BLOCK_SECONDS: Final = 12
"""Seconds between blocks unless time is jumped, as on Ethereum."""


class ChainClock:
    """The time of the chain's last block."""

    def __init__(self, connection: Connection | Callable[[], Connection]) -> None:
        self._connection = connection

    def now(self) -> Timestamp:
        """Unix seconds of the newest block. A function given instead of a connection is called on first use."""
        if not isinstance(self._connection, Connection):
            self._connection = self._connection()
        return self._connection.head().timestamp


class DemoTime:
    """Moves an Anvil chain through time in one jump instead of thousands of blocks.

    With `kept_in`, the folder of a chain started detached, every block made here is on disk before anything
    relies on it: what is final in the books is then never lost with a chain that is killed.
    """

    def __init__(
        self, connection: Connection, *, kept_in: Path | None = None, block_seconds: int = BLOCK_SECONDS
    ) -> None:
        # must be repeated after each start of the chain: Anvil does not keep it in its state
        connection.rpc("anvil_setBlockTimestampInterval", block_seconds)
        self._connection = connection
        self._kept_in = kept_in

    def jump_to(self, at: Timestamp) -> Block:
        """Mine one block at exactly this second. UsageError when the chain is already past it."""
        head = self._connection.head()
        if at < head.timestamp:
            raise UsageError(f"the chain's time is {head.timestamp}, it cannot go back to {at}", hint="jump forward")
        if at > head.timestamp:
            self._connection.rpc("evm_mine", int(at))
            self._keep_block()
        return self._connection.head()

    def mine(self, blocks: int = 1) -> Block:
        """Mine empty blocks, each one interval after the one before."""
        for _ in range(blocks):
            self._connection.rpc("evm_mine")
        self._keep_block()
        return self._connection.head()

    def keep(self) -> None:
        """Put the chain as it is on disk, where a folder was given."""
        if self._kept_in is not None:
            keep(self._connection, self._kept_in)

    def _keep_block(self) -> None:
        faultpoint("time.after_block")
        self.keep()
        faultpoint("time.after_keep")
