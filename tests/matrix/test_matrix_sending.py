"""Transactions that are dropped, priced out, overtaken, refused or sent by two: each effect happens once."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from matrix.stage import EPOCH, K, Outcome, Stage

from ledger.chain.errors import CallRevertedError, NonceTakenError
from ledger.chain.sending.fees import GWEI, FeePolicy
from ledger.chain.sending.signer import Transaction
from ledger.db import outbox
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.db.outbox_entry import Attempt
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import Address, to_hex
from ledger.steps.drive import step
from ledger.steps.transactions.deciding import abandon
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.halt import resume

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
WORKER = Path(__file__).with_name("settling_process.py")
BUMP_SECONDS = FeePolicy().bump_after_seconds


def attempts(stage: Stage, what: str) -> list[Attempt]:
    with stage.ledger.database.reading() as session:
        return outbox.attempts(session, stage.entry(what))


def unsent(outcome: Outcome) -> Outcome:
    """Without how often what was sent: for faults after which a person lets an effect be planned anew."""
    return replace(outcome, sent=(), nonces=())


def pass_seconds(stage: Stage, seconds: int) -> None:
    stage.time.jump_to(type(stage.direct.head().timestamp)(stage.direct.head().timestamp + seconds))


@pytest.mark.row("mempool drop")
@pytest.mark.parametrize(
    "times", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(60, marks=pytest.mark.slow)]
)
def test_transactions_are_accepted_and_forgotten(stage: Stage, undisturbed: Outcome, times: int) -> None:
    """The node accepts the first 1, 3 or 60 broadcasts and forgets them; the same bytes go out again, later a bump."""
    stage.proxy.misbehave("drop", times=times)
    assert stage.play() == undisturbed
    assert stage.hits == times
    made = len(attempts(stage, "propose"))
    assert made == 1 if times < 60 else 1 < made <= FeePolicy().max_attempts


@pytest.mark.row("mempool drop")
def test_a_pending_transaction_vanishes(stage: Stage, undisturbed: Outcome) -> None:
    """A pending transaction is thrown out of the pool between two looks, six times."""
    stage.settle(EpochState.PROPOSED)
    stage.direct.rpc("evm_setAutomine", False)
    for _ in range(6):
        send_planned(stage.ledger)
        stage.direct.rpc("anvil_dropTransaction", to_hex(stage.entry("propose").tx_hash or b""))
        stage.time.mine()
    stage.direct.rpc("evm_setAutomine", True)
    assert stage.direct.nonce(stage.publisher.address) == 0
    assert stage.play() == undisturbed


@pytest.mark.row("fee spike")
@pytest.mark.parametrize("spike_gwei", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_the_base_fee_rises_above_what_was_signed(stage: Stage, undisturbed: Outcome, spike_gwei: int) -> None:
    """The base fee stands at 40 gwei, then at 500, above the cap, for thirty blocks while a proposal is pending."""
    stage.settle(EpochState.PROPOSED)
    stage.direct.rpc("evm_setAutomine", False)
    send_planned(stage.ledger)
    looks = []

    def spike() -> None:
        looks.append(stage.direct.head().base_fee_wei)
        if len(looks) < 30:
            stage.direct.rpc("anvil_setNextBlockBaseFeePerGas", hex(spike_gwei * GWEI))
        if len(looks) == 30:
            stage.direct.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
            stage.direct.rpc("evm_setAutomine", True)

    stage.settle(between=spike)
    made = attempts(stage, "propose")
    policy = FeePolicy()
    assert max(looks) == spike_gwei * GWEI
    assert 1 < len(made) <= policy.max_attempts or spike_gwei * GWEI > policy.cap_wei
    assert max(attempt.max_fee_per_gas_wei for attempt in made) <= policy.cap_wei
    assert len({attempt.raw for attempt in made}) == len(made)
    assert stage.play() == undisturbed


@pytest.mark.row("fee spike")
def test_a_spike_between_signing_and_sending(stage: Stage, undisturbed: Outcome) -> None:
    """The base fee rises above the cap before anything is signed: the ledger waits and says so."""
    stage.settle(EpochState.PROPOSED)
    for _ in range(3):
        stage.direct.rpc("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
        stage.time.mine()
        with pytest.raises(EnvironmentFailure, match=r"fee-cap.*passes the cap"):
            step(stage.ledger, EPOCH)
    assert stage.entry("propose").state.value == "planned"
    stage.direct.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    assert stage.play() == undisturbed


@pytest.mark.row("foreign nonce")
def test_another_program_sends_from_the_publishers_account(stage: Stage, undisturbed: Outcome) -> None:
    """Another program uses the proposal's nonce: sending stops with one clear message until a person decides."""
    stage.settle(EpochState.PROPOSED)
    publisher, nonce = stage.publisher, stage.entry("propose").nonce
    foreign = publisher.sign(
        Transaction(
            chain_id=stage.direct.chain_id, nonce=nonce, to=Address(b"\xf0" * 20), value_wei=1, calldata=b"",
            gas=21_000, max_fee_per_gas_wei=100 * GWEI, max_priority_fee_per_gas_wei=GWEI,
        )
    )  # fmt: skip
    stage.direct.broadcast(foreign.raw)
    while stage.direct.nonce(publisher.address) == nonce:
        pass
    for _ in range(5):
        with pytest.raises(NonceTakenError, match=rf"nonce {nonce} of 0x.* planned for epoch/0/propose/1, was used by"):
            step(stage.ledger, EPOCH)
        stage.time.mine()
    assert stage.entry("propose").state.value == "conflicted"
    assert stage.direct.nonce(publisher.address) == nonce + 1, "nothing is sent any more"
    assert "settle.nonce-taken" in (HOWTO / "nonce-taken.md").read_text(encoding="utf-8")

    abandon(stage.ledger, "epoch/0/propose/1", "sent by hand from a wallet")
    stage.settle()
    assert stage.state() is EpochState.HALTED
    resume(stage.ledger, EPOCH, "the account is ours alone again")
    outcome = stage.play()
    assert unsent(outcome) == unsent(undisturbed)
    assert dict(outcome.sent)["epoch/0/propose/1"] == "abandoned"
    assert outcome.nonces == (undisturbed.nonces[0] + 1, *undisturbed.nonces[1:])


@pytest.mark.row("earlier attempt mines late")
def test_the_first_attempt_is_mined_after_the_second_was_sent(stage: Stage, undisturbed: Outcome) -> None:
    """A bumped transaction is thrown out, and the one before it, hours old, is mined instead."""
    stage.settle(EpochState.PROPOSED)
    stage.direct.rpc("evm_setAutomine", False)
    send_planned(stage.ledger)
    first = attempts(stage, "propose")[0]
    for _ in range(3):  # mined it would be: it has to leave the pool before a block comes
        stage.direct.rpc("anvil_dropTransaction", to_hex(stage.entry("propose").tx_hash or b""))
        pass_seconds(stage, BUMP_SECONDS)
        send_planned(stage.ledger)
    last = attempts(stage, "propose")[-1]
    assert last.number == 3
    stage.direct.rpc("anvil_dropTransaction", to_hex(last.tx_hash))
    stage.direct.rpc("eth_sendRawTransaction", to_hex(first.raw))
    stage.direct.rpc("evm_mine")
    stage.direct.rpc("evm_setAutomine", True)
    stage.settle()
    assert stage.entry("propose").tx_hash == first.tx_hash
    assert stage.play() == undisturbed


@pytest.mark.row("revert on chain")
def test_the_treasury_takes_its_allowance_back_in_the_same_block(stage: Stage, undisturbed: Outcome) -> None:
    """The activation is mined behind a transaction that makes it fail; it moves nothing and is planned anew."""
    stage.settle(EpochState.ACTIVE)
    deployment = stage.ledger.settlement().deployment
    stage.direct.rpc("evm_setAutomine", False)
    send_planned(stage.ledger)
    treasury, spender = deployment.treasury, deployment.addresses["RewardsLedger"]
    token = deployment.token(stage.direct)
    allowed = token.allowance_wei(treasury, spender, "latest")
    approve(stage, treasury, spender, token.address, 0)
    stage.direct.rpc("evm_mine")
    stage.direct.rpc("evm_setAutomine", True)
    before = token.balance_wei(treasury, "latest")
    send_planned(stage.ledger)
    assert (stage.entry("activate").state.value, stage.entry("activate").detail) == ("mined", "reverted")
    stage.time.mine(K + 1)
    for _ in range(4):
        with suppress(CallRevertedError):  # planned anew it is refused before it is sent, until the treasury agrees
            step(stage.ledger, EPOCH)
    assert stage.entry("activate").state.value == "reverted"
    assert token.balance_wei(treasury, "latest") == before

    approve(stage, treasury, spender, token.address, allowed)
    outcome = stage.play()
    assert unsent(outcome) == unsent(undisturbed)
    assert dict(outcome.sent)["epoch/0/activate/1"] == "reverted"
    assert outcome.events["EpochActivated"] == 1


def approve(stage: Stage, owner: Address, spender: Address, token: Address, amount: int) -> None:
    """The owner's word on the token, before everything else in the next block."""
    data = "0x095ea7b3" + spender.hex().rjust(64, "0") + f"{amount:064x}"
    stage.direct.rpc("anvil_impersonateAccount", to_hex(owner))
    stage.direct.rpc("anvil_setBalance", to_hex(owner), hex(10**20))
    fees = {"maxFeePerGas": hex(200 * GWEI), "maxPriorityFeePerGas": hex(100 * GWEI)}
    stage.direct.rpc("eth_sendTransaction", {"from": to_hex(owner), "to": to_hex(token), "data": data} | fees)


@pytest.mark.row("two workers with one sender key")
def test_two_processes_settle_one_ledger_at_once(stage: Stage, undisturbed: Outcome) -> None:
    """Two processes settle one ledger with one key at the same time, from the freeze to the end."""
    workers = [worker(stage) for _ in range(2)]
    ended = [process.communicate(timeout=200) for process in workers]
    assert [process.returncode for process in workers] == [0, 0], ended
    assert stage.state() is EpochState.FINAL
    assert stage.play() == undisturbed


@pytest.mark.row("two workers with one sender key")
def test_two_pumps_at_once_send_once(stage: Stage, undisturbed: Outcome) -> None:
    """Two threads pump one account at the same moment, ten times: one sends, the other is told so."""
    stage.settle(EpochState.PROPOSED)
    other = stage.workspace.open()
    met: list[str] = []

    def pump(ledger: object) -> None:
        try:
            send_planned(ledger)  # type: ignore[arg-type]
        except EnvironmentFailure as error:
            met.append(error.code)

    for _ in range(10):
        both = [threading.Thread(target=pump, args=(ledger,)) for ledger in (stage.ledger, other)]
        for each in both:
            each.start()
        for each in both:
            each.join()
    other.close()
    assert set(met) <= {"db.held-elsewhere"}
    assert len(attempts(stage, "propose")) == 1
    assert stage.play() == undisturbed


@pytest.mark.row("kill after broadcast")
@pytest.mark.parametrize(
    "moment", ["outbox.broadcast.after_send", pytest.param("outbox.broadcast.before_commit", marks=pytest.mark.slow)]
)
def test_killed_between_sending_and_noting_the_answer(stage: Stage, undisturbed: Outcome, moment: str) -> None:
    """A process is killed after each of the ledger's transactions was sent and before it noted that."""
    for _ in ("the proposal", "the activation"):
        process = worker(stage, faultpoint=moment)
        said = process.communicate(timeout=200)
        assert process.returncode == -signal.SIGKILL, said
    assert stage.play() == undisturbed


@pytest.mark.row("kill after broadcast")
def test_killed_while_the_node_keeps_silent(stage: Stage, undisturbed: Outcome) -> None:
    """The node takes the transaction and does not answer, and the process that waits is killed."""
    met = stage.proxy.misbehave("timeout-after", "eth_sendRawTransaction", times=1)
    process = worker(stage)
    while not met.met:
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert stage.play() == undisturbed


def worker(stage: Stage, faultpoint: str = "") -> "subprocess.Popen[str]":
    """A process of its own that settles the stage's ledger through the proxy."""
    import os

    command = [sys.executable, str(WORKER), str(stage.workspace.root), stage.workspace.settings.rpc_url]
    command += [stage.direct.rpc_url]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATH_LEDGER_")}
    if faultpoint:
        environment[FAULTPOINT_VARIABLE] = faultpoint
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_worker_says_what_it_cannot_do(stage: Stage) -> None:
    """The process that the tests above start is a real one: without a node it ends with the reason."""
    stage.proxy.misbehave("wrong-chain-id")
    process = worker(stage)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "chain.wrong-chain" in said
