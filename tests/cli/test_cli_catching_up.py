"""Yesterday's backup under today's chain: it is seen, nothing is sent, and catching up ends in the very same books.

One history on a real Anvil: epoch 0 is final and backed up, epoch 1 becomes final and is claimed, then the first ledger
is lost. What is restored knows neither epoch 1 nor the nonces it used.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import servers

from ledger.books.posting import Chain
from ledger.books.verify import Head
from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.chain.local.demo_time import DemoTime
from ledger.cli.edge import run
from ledger.db import epochs, journal, outbox
from ledger.db.outbox_entry import OutboxState
from ledger.demo.network import DemoNetwork
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transitions.lag import BehindChainError, lag
from ledger.steps.transitions.transition import Moved, Waiting
from ledger.workspace import Workspace

FIRST, SECOND, THIRD = (EpochNumber(number) for number in range(3))
ENGINES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


def network() -> DemoNetwork:
    return DemoNetwork(nodes=12, operators=4)


@dataclass(frozen=True, kw_only=True)
class History:
    """What is left of the first ledger, and what it had come to."""

    backup: Path
    in_window: Path
    """A backup from while epoch 1 was proposed: planned, and not signed."""
    bundle: Path
    window_bundle: Path
    """Of epoch 1 while its proposal was final and not active."""
    chain: Path
    window_chain: Path
    """The chain at that moment."""
    keys: Path
    heads: dict[Chain, Head]
    """After epoch 1 and its claims."""
    last: Any
    """The header of epoch 2, in a copy of the first ledger that was never lost."""
    last_heads: dict[Chain, Head]
    url: str


@contextmanager
def database_at(url: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if url:
            patch.setenv("ATH_LEDGER_DATABASE_URL", url)
        yield


def settle(rehearsal: Rehearsal, ledger: Ledger, epoch: EpochNumber) -> None:
    rehearsal.attest(ledger, epoch)
    for _ in rehearsal.settle(ledger, epoch):
        pass


def wait_for_the_window(ledger: Ledger, root: Path) -> None:
    """Step until the proposal is final and waits for the end of its window."""
    for _ in range(50):
        result = step(ledger, SECOND)
        if isinstance(result, Waiting) and result.until is not None:
            return
        DemoTime(ledger.settlement().connection, kept_in=root / "chain").mine()
    raise AssertionError("no window")


def heads_of(ledger: Ledger) -> dict[Chain, Head]:
    with ledger.database.reading() as session:
        return journal.verify_journal(session)


def command(root: Path, *arguments: object) -> int:
    return run([*map(str, arguments), "-w", str(root)])


@pytest.fixture(scope="module", params=ENGINES)
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    folder, url = tmp_path_factory.mktemp("lost"), ""
    if request.param == "postgresql":
        url = servers.new_place("postgresql", folder, request.getfixturevalue("postgres_url"))
    root = folder / "ledger"
    with database_at(url):
        rehearsal = Rehearsal.create(root, network())
        ledger = rehearsal.deploy(lambda _step: None)
        rehearsal.register(ledger)
        settle(rehearsal, ledger, FIRST)
        rehearsal.finish(ledger)
        assert command(root, "db", "backup", folder / "day-0") == 0
        rehearsal.attest(ledger, SECOND)
        for moved in rehearsal.settle(ledger, SECOND):
            if isinstance(moved, Moved) and moved.state is EpochState.PROPOSED:
                break
        assert command(root, "db", "backup", folder / "in-window") == 0
        wait_for_the_window(ledger, root)
        assert command(root, "audit", "export", "--epoch", "1", "--out", folder / "in-window.zip") == 0
        ledger.close()
        rehearsal.stop()
        shutil.copytree(root / "chain", folder / "chain-in-window")
        start_detached(root / "chain")
        ledger = rehearsal.workspace.open()
        for _ in rehearsal.settle(ledger, SECOND):
            pass
        for rank in range(2):
            rehearsal.claim(ledger, rank)
        rehearsal.finish(ledger)
        heads = heads_of(ledger)
        assert command(root, "audit", "export", "--epoch", "1", "--out", folder / "epoch-1.zip") == 0
        ledger.close()
        rehearsal.stop()
        shutil.copytree(root / "chain", folder / "chain")
        start_detached(root / "chain")
        ledger = rehearsal.workspace.open()
        settle(rehearsal, ledger, THIRD)  # what would have come, had nothing been lost
        rehearsal.finish(ledger)
        with ledger.database.reading() as session:
            last = header_of(session, THIRD)
        last_heads = heads_of(ledger)
        ledger.close()
        rehearsal.stop()
    return History(
        backup=folder / "day-0", in_window=folder / "in-window", bundle=folder / "epoch-1.zip", chain=folder / "chain",
        window_bundle=folder / "in-window.zip", window_chain=folder / "chain-in-window",
        keys=root / "keys", heads=heads, last=last, last_heads=last_heads, url=url,
    )  # fmt: skip


@pytest.fixture
def restored(history: History, tmp_path: Path, new_url: Callable[[str], str]) -> Iterator[Callable[..., Rehearsal]]:
    """Restores a backup beside the chain as it was when the first ledger was lost, or before."""
    url = new_url("postgresql") if history.url else ""
    root = tmp_path / "ledger"

    def make(backup: Path, chain: Path = history.chain) -> Rehearsal:
        assert command(root, "db", "restore", backup) == 0
        for name in ("chain", "keys"):
            (root / name).rmdir()
        shutil.copytree(chain, root / "chain")
        shutil.copytree(history.keys, root / "keys")
        start_detached(root / "chain")
        return Rehearsal(Workspace.at(root), network())

    with database_at(url):
        yield make
        stop_detached(root / "chain")


def sent(ledger: Ledger) -> int:
    settlement = ledger.settlement()
    assert settlement.publisher is not None
    return settlement.connection.nonce(settlement.publisher.address)


@pytest.mark.row("yesterday's backup")
def test_yesterdays_backup_sends_nothing_and_catches_up_to_the_same_books(
    history: History, restored: Callable[..., Rehearsal], capfd: pytest.CaptureFixture[str]
) -> None:
    """A backup from before an epoch and its claims is restored under the chain that has them."""
    rehearsal = restored(history.backup)
    root = rehearsal.workspace.root
    ledger = rehearsal.workspace.open()
    nonce = sent(ledger)

    found = lag(ledger)
    assert found is not None
    assert (found.epoch, found.headers, found.next_nonce, found.used_nonces) == (SECOND, 2, 2, nonce)
    with pytest.raises(BehindChainError, match="epoch 1"):
        step(ledger, SECOND)
    capfd.readouterr()
    assert command(root, "run", "--until-idle") == 5
    assert "books.behind-chain" in capfd.readouterr().err
    assert command(root, "db", "catch-up") == 7
    assert "books.evidence-missing" in capfd.readouterr().err
    assert sent(ledger) == nonce

    assert command(root, "db", "catch-up", "--bundle", history.bundle) == 0
    assert lag(ledger) is None
    assert heads_of(ledger) == history.heads
    assert sent(ledger) == nonce
    with ledger.database.reading() as session:
        assert epochs.state_of(session, SECOND) is EpochState.FINAL
        entries = outbox.entries(session, ledger.domain.chain_id)
    assert [entry.state for entry in entries if entry.nonce >= 2] == [OutboxState.ABANDONED] * (nonce - 2)
    assert command(root, "db", "catch-up") == 0  # twice is harmless
    assert command(root, "db", "check") == 0
    assert command(root, "audit", "verify") == 0

    settle(rehearsal, ledger, THIRD)
    rehearsal.finish(ledger)
    with ledger.database.reading() as session:
        assert header_of(session, THIRD) == history.last
    assert heads_of(ledger) == history.last_heads
    assert sent(ledger) == nonce + 2
    ledger.close()


@pytest.mark.row("yesterday's backup")
@pytest.mark.slow
def test_a_backup_from_before_the_proposal_was_signed_takes_the_one_on_chain(
    history: History, restored: Callable[..., Rehearsal]
) -> None:
    """A backup with a proposal that was planned and not signed is restored when it is final on chain."""
    rehearsal = restored(history.in_window)
    ledger = rehearsal.workspace.open()
    nonce = sent(ledger)
    with pytest.raises(BehindChainError):
        step(ledger, SECOND)
    assert command(rehearsal.workspace.root, "db", "catch-up") == 0
    assert (lag(ledger), sent(ledger)) == (None, nonce)
    assert heads_of(ledger) == history.heads
    settle(rehearsal, ledger, THIRD)
    with ledger.database.reading() as session:
        assert header_of(session, THIRD) == history.last
    ledger.close()


@pytest.mark.slow
def test_other_evidence_than_the_chains_is_never_sealed(
    history: History, restored: Callable[..., Rehearsal], capfd: pytest.CaptureFixture[str]
) -> None:
    rehearsal = restored(history.backup)
    ledger = rehearsal.workspace.open()
    before = heads_of(ledger)
    capfd.readouterr()
    assert command(rehearsal.workspace.root, "db", "catch-up", "--evidence-is-complete") == 4
    assert "books.other-evidence" in capfd.readouterr().err
    assert heads_of(ledger) == before
    ledger.close()


PLACES = (
    "collect.after_commit", "freeze.before_commit", "freeze.after_commit", "compute.after_effect",
    "compute.after_commit", "seal.before_commit", "seal.after_commit", "adopt.before_commit", "adopt.after_commit",
    "nonces.before_commit", "nonces.after_commit",
)  # fmt: skip


@pytest.mark.row("yesterday's backup")
@pytest.mark.slow
def test_a_proposal_in_its_window_is_taken_over_and_activated_also_when_catching_up_is_killed(
    history: History, restored: Callable[..., Rehearsal]
) -> None:
    """The lost ledger's proposal is in its window: catching up is killed at eleven places, and then activates it."""
    rehearsal = restored(history.backup, history.window_chain)
    ledger = rehearsal.workspace.open()
    nonce = sent(ledger)
    arguments = ["db", "catch-up", "--bundle", str(history.window_bundle), "-w", str(rehearsal.workspace.root)]
    program = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
    for place in PLACES:
        environment = {**os.environ, "ATH_LEDGER_FAULTPOINT": place}
        killed = subprocess.run([sys.executable, "-c", program, *arguments], env=environment, check=False)
        assert killed.returncode == -signal.SIGKILL, place
    assert run(arguments) == 0
    assert (lag(ledger), sent(ledger)) == (None, nonce)
    with ledger.database.reading() as session:
        assert epochs.state_of(session, SECOND) is EpochState.PROPOSED
    for _ in rehearsal.settle(ledger, SECOND):
        pass
    rehearsal.finish(ledger)
    with ledger.database.reading() as session:
        assert epochs.state_of(session, SECOND) is EpochState.FINAL
    assert heads_of(ledger)[Chain.SEAL] == history.heads[Chain.SEAL]
    assert sent(ledger) == nonce + 1
    assert command(rehearsal.workspace.root, "audit", "verify") == 0
    ledger.close()
