"""Time on a local chain: every block's timestamp is set, so that runs repeat to the block hash.

Only for Anvil. A rehearsal of past days takes its time from its chain (`ChainClock`), never from the machine.
"""

from collections.abc import Callable
from typing import Final

from ledger.chain.connection import Block, Connection
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
    """Moves an Anvil chain through time in one jump instead of thousands of blocks."""

    def __init__(self, connection: Connection, *, block_seconds: int = BLOCK_SECONDS) -> None:
        # must be repeated after each start of the chain: Anvil does not keep it in its state
        connection.rpc("anvil_setBlockTimestampInterval", block_seconds)
        self._connection = connection

    def jump_to(self, at: Timestamp) -> Block:
        """Mine one block at exactly this second. UsageError when the chain is already past it."""
        head = self._connection.head()
        if at < head.timestamp:
            raise UsageError(f"the chain's time is {head.timestamp}, it cannot go back to {at}", hint="jump forward")
        if at == head.timestamp:
            return head
        self._connection.rpc("evm_setNextBlockTimestamp", int(at))
        self._connection.rpc("evm_mine")
        return self._connection.head()

    def mine(self, blocks: int = 1) -> Block:
        """Mine empty blocks, each one interval after the one before."""
        for _ in range(blocks):
            self._connection.rpc("evm_mine")
        return self._connection.head()
