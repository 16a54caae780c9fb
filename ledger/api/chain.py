"""The server's way to the chain: it reads, holds no key, starts no chain, and waits seconds at most."""

from threading import Lock
from typing import TYPE_CHECKING, Final

from ledger.model.recursion import recursion_bound
from ledger.workspace import ChainStoppedError, Workspace

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment
    from ledger.steps.settlement import Settlement

CALL_SECONDS: Final = 5


class ReadingChain:
    """The checked connection, made at first use and kept."""

    def __init__(self, place: Workspace, deployment: "Deployment") -> None:
        self._place, self._deployment = place, deployment
        self._settlement: Settlement | None = None
        self._connecting = Lock()

    def settlement(self) -> "Settlement":
        """The chain side without a publisher. ChainStoppedError, and the chain's own errors."""
        with self._connecting:
            if self._settlement is None:
                self._settlement = self._connected()
            return self._settlement

    def _connected(self) -> "Settlement":
        with recursion_bound():
            from ledger.chain.node.connection import connect
            from ledger.steps.settlement import Settlement

        deployment = self._deployment
        connection = connect(
            self._rpc_url(),
            expected_chain_id=deployment.chain_id,
            expected_genesis_hash=deployment.genesis_hash,
            timeout_seconds=CALL_SECONDS,
        )
        deployment.check(connection)
        return Settlement(
            connection=connection, deployment=deployment, finality=deployment.finality, publisher=None, fees=None
        )

    def _rpc_url(self) -> str:
        from ledger.chain.local.anvil import find_running

        if not self._place.is_own_chain:
            return self._place.settings.rpc_url
        running = find_running(self._place.chain_folder)
        if running is None:
            raise ChainStoppedError("the chain does not run")
        return running.rpc_url
