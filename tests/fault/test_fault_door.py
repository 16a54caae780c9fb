"""Who was sent away at the door is sent away again, whenever the chain dies under a rehearsal that is played again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.chain.local.anvil import find_running
from ledger.demo.network import DemoNetwork
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.typed_data import Domain
from ledger.model.clock import FixedClock
from ledger.model.units import EpochNumber, Hash32
from ledger.rehearsal import Rehearsal
from ledger.steps.ledger import Ledger

EPOCH = EpochNumber(0)
NODES = 3


class NetworkThatLosesItsChain(DemoNetwork):
    """Kills the chain as soon as the first batch of an epoch is on its way."""

    def __init__(self, chain_folder: Path) -> None:
        super().__init__(nodes=NODES)
        self._chain_folder = chain_folder

    def batches(
        self, epoch: EpochNumber, domain: Domain, roles_block_hash: Hash32 | None = None
    ) -> Iterator[SignedBatch]:
        node = find_running(self._chain_folder)
        assert node is not None
        node.kill()
        yield from super().batches(epoch, domain, roles_block_hash)


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path / "ledger", DemoNetwork(nodes=NODES))
    yield rehearsal
    rehearsal.stop()


def opened_anew(ledger: Ledger) -> Ledger:
    """The same books as a process finds them that has just begun; its time needs no chain."""
    return Ledger(
        database=ledger.database,
        evidence=ledger.evidence,
        artefacts=ledger.artefacts,
        clock=FixedClock(ledger.clock.now()),
        calendar=ledger.calendar,
        domain=ledger.domain,
        connect=ledger.connect,
    )


def test_a_chain_that_dies_while_evidence_is_handed_in_again_lets_no_stranger_in(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    first = rehearsal.attest(ledger, EPOCH)
    assert "batch.role" in {receipt.code for receipt in first.refused}

    again = Rehearsal(rehearsal.workspace, NetworkThatLosesItsChain(rehearsal.workspace.chain_folder))
    second = again.attest(opened_anew(ledger), EPOCH)

    assert find_running(rehearsal.workspace.chain_folder) is None
    assert second.admitted == first.admitted
    assert [receipt.code for receipt in second.refused] == [receipt.code for receipt in first.refused]
    ledger.close()
