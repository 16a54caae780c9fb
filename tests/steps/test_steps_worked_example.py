"""The worked example all the way: signed evidence to tokens in three wallets, on a real chain (R6)."""

from collections.abc import Iterator

import pytest

from ledger.books.accounts import payable
from ledger.db import epochs, journal
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.storage.store import ItemKind
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import run, step
from ledger.steps.intake.collect import submit_item
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.sealed import header_of
from ledger.steps.recorded.totals import totals_of
from ledger.steps.transitions.transition import Done, Waiting
from ledger.tree.commitments import header_hash

EPOCH = EpochNumber(0)
PAYOUTS_WEI = (721622231880848551330, 94424553082237484005, 79080577108913964665)
CARBON_WEI = 4872637928000000000
RESERVE_WEI = 100 * 10**18
BUDGET_WEI = 1000 * 10**18


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("example") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def settled(rehearsal: Rehearsal) -> Iterator[Ledger]:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    list(rehearsal.settle(ledger, EPOCH))
    for rank in range(3):
        rehearsal.claim(ledger, rank)
    rehearsal.finish(ledger)
    yield ledger
    ledger.close()


def test_every_wallet_holds_its_payout_to_the_wei(settled: Ledger, rehearsal: Rehearsal) -> None:
    settlement = settled.settlement()
    token = settlement.deployment.token(settlement.connection)
    wallets = [signer.address for signer in rehearsal.network.operators]
    assert [token.balance_wei(wallet, "latest") for wallet in wallets] == list(PAYOUTS_WEI)


def test_the_budget_goes_to_operators_carbon_and_reserve_exactly(settled: Ledger) -> None:
    """R4.19."""
    with settled.database.reading() as session:
        totals = totals_of(session, EPOCH)
    assert (totals.payout_wei, totals.carbon_wei, totals.reserve_wei) == (sum(PAYOUTS_WEI), CARBON_WEI, RESERVE_WEI)
    assert totals.payout_wei + totals.carbon_wei + totals.reserve_wei == BUDGET_WEI
    settlement = settled.settlement()
    token = settlement.deployment.token(settlement.connection)
    assert token.balance_wei(settlement.deployment.reserve, "latest") == RESERVE_WEI
    assert token.balance_wei(settlement.deployment.addresses["CarbonVault"], "latest") == CARBON_WEI


def test_the_chain_holds_the_hash_of_our_header(settled: Ledger) -> None:
    settlement = settled.settlement()
    with settled.database.reading() as session:
        header = header_of(session, EPOCH)
    assert settlement.rewards_ledger.last_header_hash("latest") == header_hash(header)
    assert settlement.rewards_ledger.claim_root("latest") == header.claim_root


def test_the_books_balance_and_nothing_is_left_payable(settled: Ledger, rehearsal: Rehearsal) -> None:
    with settled.database.reading() as session:
        assert journal.trial_balance(session).is_balanced
        journal.verify_journal(session)
        balances = journal.balances(session)
    assert all(balances[payable(signer.address)].net == 0 for signer in rehearsal.network.operators)


def test_a_final_epoch_has_nothing_left_to_do(settled: Ledger) -> None:
    assert step(settled, EPOCH) == Done(epoch=EPOCH)


def test_the_next_epoch_waits_for_its_cut_off_and_says_until_when(settled: Ledger) -> None:
    results = list(run(settled))
    assert isinstance(results[-1], Waiting)
    assert results[-1].until == settled.calendar.cut_off(EpochNumber(1)) + 1


def test_claiming_again_pays_nothing(settled: Ledger, rehearsal: Rehearsal) -> None:
    assert rehearsal.claim(settled, 0).claimable_wei == 0


def test_evidence_of_a_frozen_epoch_is_refused_and_the_refusal_kept(settled: Ledger, rehearsal: Rehearsal) -> None:
    batch = next(rehearsal.network.batches(EPOCH, settled.domain))
    again = submit_item(settled, batch)
    assert again.is_admitted
    assert not again.is_new
    stranger = WorkedExample(seed=b"somebody else")
    receipt = submit_item(settled, next(stranger.batches(EPOCH, settled.domain)))
    assert (receipt.is_admitted, receipt.code) == (False, "batch.late")


def test_a_flipped_byte_in_a_batch_file_stops_whoever_reads_it(settled: Ledger, rehearsal: Rehearsal) -> None:
    stored = next(settled.evidence.list(ItemKind.BATCH))
    folder = rehearsal.workspace.root / "evidence"
    path = next(folder.rglob(f"{stored.uid.hex()}.*"))
    intact = path.read_bytes()
    path.write_bytes(intact[:-9] + bytes([intact[-9] ^ 1]) + intact[-8:])
    try:
        with settled.database.reading() as session, pytest.raises(MismatchError, match=stored.uid.hex()):
            load_frozen(settled, session, EPOCH)
    finally:
        path.write_bytes(intact)


def test_every_transition_is_on_record(settled: Ledger) -> None:
    with settled.database.reading() as session:
        states = [event.state for event in epochs.events(session, EPOCH)]
    assert states == [
        EpochState.OPEN,
        EpochState.FROZEN,
        EpochState.COMPUTED,
        EpochState.SEALED,
        EpochState.PROPOSED,
        EpochState.ACTIVE,
        EpochState.FINAL,
    ]
