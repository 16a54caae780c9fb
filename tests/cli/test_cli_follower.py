"""A ledger that only follows: it meets activations and corrections of epochs it has not computed yet, and waits."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.books.posting import Chain
from ledger.chain.local.anvil import find_running, stop_detached
from ledger.cli.edge import run
from ledger.db import corrections, epochs, journal
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.header import EpochHeader
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.settings import SETTINGS_FILE
from ledger.steps.correcting.book import CorrectionMissingError
from ledger.steps.drive import run as drive
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of, standing_header
from ledger.steps.transitions.follow import follow
from ledger.workspace import Workspace

EPOCH = EpochNumber(0)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path / "publisher", WorkedExample())
    yield rehearsal
    stop_detached(rehearsal.workspace.chain_folder)


def follower_of(publisher: Rehearsal, place: Path) -> Path:
    """The same evidence and an empty journal, no key, and the publisher's chain as anybody's node serves it."""
    root = publisher.workspace.root
    shutil.copytree(root, place, ignore=shutil.ignore_patterns("chain", ".lock", "keys"))
    (place / "chain").mkdir()
    (place / "keys").mkdir()
    running = find_running(publisher.workspace.chain_folder)
    assert running is not None
    (place / SETTINGS_FILE).write_text(f'clock = "chain"\nrpc_url = "{running.rpc_url}"\n')
    return place


def standing_of(ledger: Ledger, epoch: EpochNumber) -> tuple[EpochState, bytes, EpochHeader | None]:
    with ledger.database.reading() as session:
        header = standing_header(session, epoch) if epochs.state_of(session, epoch) is EpochState.FINAL else None
        return epochs.state_of(session, epoch), journal.head(session, Chain.SEAL).hash, header


def test_a_follower_waits_for_what_it_has_not_computed_and_ends_with_the_same_books(
    publisher: Rehearsal, supersede: Callable[[Path, Any], list[str]], tmp_path: Path
) -> None:
    ledger = publisher.deploy(lambda _: None)
    publisher.register(ledger)
    publisher.attest(ledger, EPOCH)
    root = follower_of(publisher, tmp_path / "follower")
    list(publisher.settle(ledger, EPOCH))
    publisher.claim(ledger, 0)
    publisher.finish(ledger)
    stated = supersede(publisher.workspace.root, ledger)
    follow(ledger)

    follower = Workspace.at(root).open()
    assert follow(follower) == []  # activation, claim and correction wait: the epoch is not even frozen here
    assert standing_of(follower, EPOCH)[0] is EpochState.OPEN
    with pytest.raises(CorrectionMissingError):
        list(drive(follower))
    with follower.database.reading() as session:
        states = [event.state for event in epochs.events(session, EPOCH)]
        assert EpochState.HALTED not in states
        assert epochs.state_of(session, EPOCH) is EpochState.FINAL
        assert corrections.booked(session, EPOCH) is None
        ours = header_of(session, EPOCH)
    with ledger.database.reading() as session:
        assert ours == header_of(session, EPOCH)
    follower.close()

    # the tree is told by whoever governs; then the correction is booked, and nobody has to resume anything
    assert run(["gov", "supersede", *stated, "--broadcast", "--workspace", str(root)]) == 0
    follower = Workspace.at(root).open()
    follow(follower)
    assert standing_of(follower, EPOCH) == standing_of(ledger, EPOCH)
    follower.close()
    ledger.close()
