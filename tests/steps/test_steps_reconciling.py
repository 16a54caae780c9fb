"""Reconciliation on a real chain: what agrees, every kind of difference, and what a difference stops."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.books.accounts import SUSPENSE, claimed, payable
from ledger.books.errors import BalanceRuleError
from ledger.chain.contracts.artefacts import CARBON_VAULT, REWARDS_LEDGER, storage_slot
from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.sending.signer import KeySigner
from ledger.chain.sending.transact import plan_transaction, send
from ledger.db import journal
from ledger.db.chain_log import FinalPoint, add_final_point
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, Wei, to_hex
from ledger.rehearsal import Rehearsal, role_key
from ledger.steps.drive import state_of, step
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling import reconcile as reconciling
from ledger.steps.reconciling.booking import postings, record
from ledger.steps.reconciling.finding import Finding, Outcome, Reconciliation, compared
from ledger.steps.reconciling.reconcile import (
    BooksBehindError,
    BooksMovedError,
    ChainBehindError,
    NothingFinalError,
    reconcile,
)
from ledger.steps.reconciling.suspense import NoSuchSuspenseError, clear
from ledger.steps.recorded.open_differences import open_differences
from ledger.steps.transactions.sending import send_once
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import Waiting
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import keccak256
from ledger.workspace import Workspace

FIRST, SECOND = EpochNumber(0), EpochNumber(1)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Epoch 0 final, one operator of three has claimed, carbon was retired, epoch 1 computed; the chain sleeps."""
    root = tmp_path_factory.mktemp("reconciled") / "ledger"
    rehearsal = Rehearsal.create(root, WorkedExample())
    ledger = rehearsal.deploy(lambda _: None)
    with pytest.raises(NothingFinalError):
        reconcile(ledger)
    rehearsal.register(ledger)
    for epoch in (FIRST, SECOND):
        rehearsal.attest(ledger, epoch)
    list(rehearsal.settle(ledger, FIRST))
    rehearsal.claim(ledger, 0)
    rehearsal.finish(ledger)
    _retire(ledger)
    DemoTime(ledger.settlement().connection, kept_in=root / "chain").jump_to(
        Timestamp(ledger.calendar.cut_off(SECOND) + 1)
    )
    DemoTime(ledger.settlement().connection, kept_in=root / "chain").mine(2)
    follow(ledger)
    while state_of(ledger, SECOND) is not EpochState.COMPUTED:
        step(ledger, SECOND)
    ledger.close()
    rehearsal.stop()
    return root


@pytest.fixture
def root(settled: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "ledger"
    shutil.copytree(settled, copy)
    start_detached(copy / "chain")
    yield copy
    stop_detached(copy / "chain")


@pytest.fixture
def ledger(root: Path) -> Iterator[Ledger]:
    opened = Workspace.at(root).open()
    yield opened
    opened.close()


def _retire(ledger: Ledger) -> None:
    settlement = ledger.settlement()
    retirer = KeySigner(role_key("retirer"))
    settlement.connection.rpc("anvil_setBalance", to_hex(retirer.address), hex(10**20))
    vault = settlement.deployment.carbon_vault(settlement.connection)
    call = vault.retire(1000, Wei(10**15), Address(bytes([5] * 20)), Hash32(bytes([6] * 32)), "registry://1")
    send_once(ledger, retirer, call, "retire")
    DemoTime(settlement.connection, kept_in=None).mine()
    follow(ledger)


def differing(found: Reconciliation) -> set[tuple[str, str]]:
    return {(each.rule, each.account or each.what) for each in found.differing}


def operator(rank: int) -> Address:
    return WorkedExample().operators[rank].address


def set_claimed(ledger: Ledger, account: Address, claimed_wei: int) -> None:
    """Give the contract another memory of what was claimed, as only a broken chain could."""
    contract = ledger.settlement().rewards_ledger
    place = keccak256(address_word(account) + uint_word(storage_slot(REWARDS_LEDGER, "_accounts")))
    settlement = ledger.settlement()
    settlement.connection.rpc(
        "anvil_setStorageAt", to_hex(contract.address), to_hex(place), "0x" + claimed_wei.to_bytes(32, "big").hex()
    )
    DemoTime(settlement.connection).mine(3)
    follow(ledger)


def tamper(root: Path, *statements: str) -> None:
    """Whoever has the file drops the guards, changes rows, and puts the guards back."""
    with sqlite3.connect(root / "ledger.sqlite") as database:
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)
        for _, ddl in guards:
            database.execute(ddl)
    database.close()


def test_a_settled_ledger_agrees_with_claims_open_and_made_and_after_a_retirement(ledger: Ledger) -> None:
    found = reconcile(ledger)
    assert found.differing == ()
    assert {each.rule for each in found.findings} == {"R1", "R2", "R3", "R4", "R5"}
    figures = {each.what: each for each in found.findings}
    assert int(figures["carbon/spent"].found) == 10**15
    assert int(figures["carbon/retired"].found) == 10**9
    assert figures["operators that agree"].found == "3 of 3"
    with ledger.database.reading() as session:
        balances = journal.balances(session)
    assert balances[claimed(operator(0))].net > 0
    assert balances[payable(operator(1))].net > 0
    assert list(postings(found)) == []


def test_a_seal_that_waits_for_its_activation_is_no_difference(ledger: Ledger) -> None:
    while state_of(ledger, SECOND) is not EpochState.PROPOSED:
        step(ledger, SECOND)
    with ledger.database.reading() as session:
        assert journal.balances(session)["rollover"].net > 0
    assert reconcile(ledger).differing == ()


def test_a_claim_the_books_have_not_followed_is_no_difference_at_their_final_block(root: Path, ledger: Ledger) -> None:
    before = reconcile(ledger, recompute=False)
    Rehearsal(Workspace.at(root), WorkedExample()).claim(ledger, 1)
    DemoTime(ledger.settlement().connection).mine(5)
    after = reconcile(ledger, recompute=False)
    assert after.differing == ()
    assert after.block == before.block
    assert ledger.settlement().connection.head().number > after.block.number
    follow(ledger)
    assert reconcile(ledger, recompute=False).differing == ()


def test_a_final_claim_a_crash_left_unbooked_is_asked_to_be_booked_first(
    root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rehearsal(Workspace.at(root), WorkedExample()).claim(ledger, 1)
    DemoTime(ledger.settlement().connection).mine(3)
    from ledger.chain.following.follower import sync

    settlement = ledger.settlement()
    sync(ledger.database, settlement.connection, settlement.deployment.followed, settlement.finality)
    with pytest.raises(BooksBehindError, match="Claimed"):
        reconcile(ledger)
    follow(ledger)
    assert reconcile(ledger, recompute=False).differing == ()


def test_a_tampered_balance_is_named_and_halts_the_next_epoch(root: Path, ledger: Ledger) -> None:
    account = payable(operator(1))
    ledger.close()
    tamper(root, f"UPDATE balances SET debits = printf('%078d', 7) WHERE account = '{account}'")
    ledger = Workspace.at(root).open()
    found = reconcile(ledger, recompute=False)
    assert differing(found) == {("R2", f"stored balance of {account}")}
    assert list(postings(found)) == []
    done = record(ledger, found)
    assert (done.keys, done.halted) == ((), SECOND)
    assert state_of(ledger, SECOND) is EpochState.HALTED
    assert "a person has to look" in _why(ledger)
    ledger.close()


def test_a_changed_journal_row_is_found_and_nothing_is_booked_onto_it(root: Path, ledger: Ledger) -> None:
    ledger.close()
    tamper(root, "UPDATE transfers SET amount = replace(amount, '7', '8') WHERE entry_seq = 2")
    ledger = Workspace.at(root).open()
    found = reconcile(ledger)
    (only,) = found.differing
    assert only.rule == "R1"
    assert "seq 2" in only.books
    assert {each.rule for each in found.findings if each.outcome is Outcome.NOT_LOOKED_AT} == {"R2", "R3", "R4", "R5"}
    with ledger.database.reading() as session:
        before = journal.last_seq(session)
    assert record(ledger, found).halted == SECOND
    with ledger.database.reading() as session:
        assert journal.last_seq(session) == before
    ledger.close()


def test_tokens_sent_to_the_vault_by_a_stranger_are_a_notice_and_stop_nobody(ledger: Ledger) -> None:
    _send_tokens(ledger, ledger.settlement().deployment.addresses[CARBON_VAULT])
    found = reconcile(ledger, recompute=False)
    (notice,) = (each for each in found.findings if each.outcome is Outcome.NOTICE)
    assert (notice.what, notice.difference) == ("tokens behind the carbon vault", 7)
    assert found.differing == ()


def _send_tokens(ledger: Ledger, to: Address) -> None:
    settlement = ledger.settlement()
    treasury = KeySigner(role_key("deployer"))
    token = settlement.deployment.token(settlement.connection)
    plan = plan_transaction(settlement.connection, treasury.address, token.transfer(to, Wei(7)))
    send(settlement.connection, treasury, plan)
    DemoTime(settlement.connection).mine(2)
    follow(ledger)


def test_a_chain_that_remembers_another_claim_differs_operator_by_operator(ledger: Ledger) -> None:
    set_claimed(ledger, operator(1), 5)
    found = reconcile(ledger, recompute=False)
    assert differing(found) == {("R4", payable(operator(1))), ("R4", claimed(operator(1)))}
    assert {each.difference for each in found.differing} == {5, -5}


def test_a_booked_difference_stops_new_payouts_until_it_is_cleared(ledger: Ledger) -> None:
    set_claimed(ledger, operator(1), 5)
    found = reconcile(ledger, recompute=False)
    wanted = [posting.key for _, posting in postings(found)]
    done = record(ledger, found)
    assert (list(done.keys), done.halted) == (wanted, None)
    with ledger.database.reading() as session:
        assert len(open_differences(session)) == 2
        assert SUSPENSE in journal.balances(session)
        journal.verify_journal(session)
        booked = journal.find(session, wanted[0])
        assert booked is not None
        assert str(found.block.number).encode() in booked.canonical

    # the two cancel out on the account, and still each of them stops the epoch
    waiting = step(ledger, SECOND)
    assert isinstance(waiting, Waiting)
    assert waiting.state is EpochState.COMPUTED
    assert "2 differences stand in suspense" in waiting.why

    again = reconcile(ledger, recompute=False)
    assert {each.what for each in again.differing} == set(wanted)
    assert record(ledger, again).keys == ()

    set_claimed(ledger, operator(1), 0)
    for key in wanted:
        entry, is_new = clear(ledger, key, "the node's storage was damaged; restored from another node")
        assert is_new
        assert clear(ledger, key.removeprefix("suspense/"), "again") == (entry, False)
    assert reconcile(ledger, recompute=False).differing == ()
    assert not isinstance(step(ledger, SECOND), Waiting)
    assert state_of(ledger, SECOND) is EpochState.SEALED


def test_a_sealed_epoch_is_neither_proposed_nor_activated_over_a_difference(ledger: Ledger) -> None:
    step(ledger, SECOND)
    set_claimed(ledger, operator(1), 5)
    record(ledger, reconcile(ledger, recompute=False))
    assert "new payouts rest" in _why(ledger)
    assert state_of(ledger, SECOND) is EpochState.SEALED


def test_the_journal_itself_refuses_a_seal_while_something_is_in_suspense(ledger: Ledger) -> None:
    from ledger.steps.transitions.seal import seal

    set_claimed(ledger, operator(1), 5)
    one = reconcile(ledger, recompute=False)
    record(ledger, Reconciliation(block=one.block, seq=one.seq, findings=one.differing[:1]))
    with pytest.raises(BalanceRuleError, match="suspense"):
        seal(ledger, SECOND)


def test_clearing_what_was_never_booked_is_refused(ledger: Ledger) -> None:
    with pytest.raises(NoSuchSuspenseError):
        clear(ledger, "epoch/0/seal/1", "a seal is no difference")


def test_a_node_that_is_behind_the_books_is_waited_for(ledger: Ledger) -> None:
    _pretend_final(ledger, 10_000, Hash32(bytes([1] * 32)))
    with pytest.raises(ChainBehindError, match="final to block 10000"):
        reconcile(ledger)


def test_another_branch_below_the_final_block_is_a_difference(ledger: Ledger) -> None:
    number = reconcile(ledger, recompute=False).block.number
    _pretend_final(ledger, number, Hash32(bytes([1] * 32)))
    assert differing(reconcile(ledger)) == {("R3", f"block {number}")}


def _pretend_final(ledger: Ledger, number: int, hash_: Hash32) -> None:
    point = FinalPoint(number=number, hash=hash_, timestamp=Timestamp(1), head_number=number)
    with ledger.database.transaction() as session:
        add_final_point(session, ledger.domain.chain_id, point)


def test_evidence_that_was_altered_is_a_difference_of_the_recomputation(root: Path, ledger: Ledger) -> None:
    victim = next(path for path in sorted((root / "evidence").rglob("*")) if path.is_file() and "batch" in str(path))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x00")
    found = reconcile(ledger)
    assert {each.rule for each in found.differing} == {"R5"}
    assert record(ledger, found).halted == SECOND


def _why(ledger: Ledger) -> str:
    result = step(ledger, SECOND)
    assert isinstance(result, Waiting)
    return result.why


def test_books_that_go_on_meanwhile_make_no_difference(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process follows between two looks: what it booked is not held against the block of before."""
    DemoTime(ledger.settlement().connection, kept_in=None).mine(2)
    real, looked = reconciling.chain_totals, []

    def while_another_follows(*arguments: Any) -> Iterator[Finding]:
        looked.append(1)
        if len(looked) == 1:
            follow(ledger)
            yield compared("R3", "something that is new", 0, 1)
        else:
            yield from real(*arguments)

    monkeypatch.setattr(reconciling, "chain_totals", while_another_follows)
    assert not reconcile(ledger, recompute=False).differing
    assert len(looked) == 2


def test_books_that_never_stand_still_are_not_called_wrong(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    time = DemoTime(ledger.settlement().connection, kept_in=None)

    def always_moving(*_arguments: Any) -> Iterator[Finding]:
        time.mine(1)
        follow(ledger)
        yield compared("R3", "something that is new", 0, 1)

    monkeypatch.setattr(reconciling, "chain_totals", always_moving)
    with pytest.raises(BooksMovedError):
        reconcile(ledger, recompute=False)
