"""The outbox pays once: whatever is repeated, lost, reordered, undone or done by somebody else."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from secrets import token_bytes
from typing import Any

import pytest
from rpc_proxy import RpcProxy

from ledger.chain.errors import (
    CallRevertedError,
    ChainUnreachableError,
    CodeMissingError,
    FeeCapError,
    FundsMissingError,
    NonceTakenError,
    OtherGenesisError,
)
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.node.connection import Receipt, connect
from ledger.chain.sending.fees import GWEI, FeePolicy
from ledger.chain.sending.outbox import open_outbox, pump
from ledger.chain.sending.signer import NodeSigner, Transaction
from ledger.db.engine import open_database
from ledger.db.exclusion import HeldElsewhereError, exclusively
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.db.outbox import IntentConflictError, SenderUnknownError, abandon, attempts, enqueue, withdraw
from ledger.model.errors import RefusedError
from ledger.model.units import Address, Hash32, Timestamp, to_hex
from ledger.tree.keccak import keccak256

Desk = Any  # conftest's; a conftest cannot be imported
ALWAYS_REVERTS = "0x60006000fd"
STOPS = "0x00"


@pytest.fixture
def payee() -> bytes:
    return token_bytes(20)


def sent_attempts(desk: Desk, key: str) -> int:
    with desk.database.reading() as session:
        return len(attempts(session, desk.entry(key)))


def foreign_transfer(desk: Desk, nonce: int) -> None:
    """A transaction from the outbox's own account that the outbox does not know."""
    signed = desk.signer.sign(
        Transaction(
            chain_id=desk.connection.chain_id,
            nonce=nonce,
            to=Address(b"\xee" * 20),
            value_wei=1,
            calldata=b"",
            gas=21_000,
            max_fee_per_gas_wei=50 * GWEI,
            max_priority_fee_per_gas_wei=GWEI,
        )
    )
    desk.connection.rpc("eth_sendRawTransaction", to_hex(signed.raw))


class TestPlanning:
    def test_the_same_key_and_body_is_one_entry(self, desk) -> None:
        assert desk.plan("epoch/0/propose/1") == desk.plan("epoch/0/propose/1")

    def test_the_same_key_with_another_body_is_a_conflict(self, desk) -> None:
        desk.plan("epoch/0/propose/1")
        with pytest.raises(IntentConflictError, match="epoch/0/propose/1"):
            desk.plan("epoch/0/propose/1", value_wei=8)

    def test_nonces_are_gapless_from_the_one_the_outbox_was_opened_at(self, desk) -> None:
        managed = Address(bytes.fromhex("3c44cdddb6a900fa2b585dd299e03d12fa4293bc"))
        desk.connection.rpc("anvil_setNonce", to_hex(managed), "0x29")
        assert open_outbox(desk.database, desk.connection, managed) == 41
        desk.connection.rpc("anvil_setNonce", to_hex(managed), "0x63")
        assert open_outbox(desk.database, desk.connection, managed) == 41
        desk.signer = NodeSigner(desk.connection, managed)
        assert [desk.plan(f"k/{at}").nonce for at in range(3)] == [41, 42, 43]

    def test_an_account_nobody_opened_cannot_plan(self, desk) -> None:
        desk.signer = type(desk.signer)(b"\x77" * 32)
        with pytest.raises(SenderUnknownError):
            desk.plan("k")

    def test_a_rolled_back_step_plans_nothing(self, desk) -> None:
        class Stop(Exception):  # noqa: N818
            pass

        def step() -> None:
            with desk.database.transaction() as session:
                enqueue(
                    session, key="k", chain_id=31337, sender=desk.signer.address, to=Address(b"\xbb" * 20),
                    calldata=b"", at=desk.clock.now(),
                )  # fmt: skip
                raise Stop

        with pytest.raises(Stop):
            step()
        assert desk.plan("other").nonce == 0


class TestSending:
    def test_an_entry_goes_out_is_mined_and_becomes_final(self, desk, payee) -> None:
        desk.plan("k", payee)
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.pump().is_idle
        desk.mine(2)
        assert [entry.state.value for entry in desk.pump().entries] == ["final"]
        assert desk.pump().is_idle
        assert desk.received(payee) == 7

    def test_pumping_ten_times_pays_once(self, desk, payee) -> None:
        desk.plan("k", payee)
        for _ in range(10):
            desk.pump()
        assert desk.received(payee) == 7
        assert sent_attempts(desk, "k") == 1

    def test_many_entries_go_out_in_the_order_of_their_nonces(self, desk, payee) -> None:
        for at in range(4):
            desk.plan(f"k/{at}", payee)
        desk.pump()
        assert [desk.state(f"k/{at}") for at in range(4)] == ["mined"] * 4
        assert desk.received(payee) == 28

    def test_a_second_broadcaster_is_turned_away(self, desk, payee) -> None:
        desk.plan("k", payee)
        name = f"outbox/31337/{to_hex(desk.signer.address)}"
        with exclusively(desk.database, name), pytest.raises(HeldElsewhereError):
            desk.pump()
        assert desk.state("k") == "planned"

    def test_many_pumps_at_once_pay_once(self, desk, payee) -> None:
        desk.plan("k", payee)

        def attempt(_: int) -> None:
            with suppress(HeldElsewhereError):
                desk.pump()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(attempt, range(8)))
        desk.pump()
        assert desk.received(payee) == 7

    def test_a_call_the_contract_refuses_is_never_sent(self, desk, payee) -> None:
        desk.connection.rpc("anvil_setCode", to_hex(payee), ALWAYS_REVERTS)
        desk.plan("k", payee, b"\x01\x02\x03\x04", 0)
        with pytest.raises(CallRevertedError, match="reverted without a reason"):
            desk.pump()
        assert desk.state("k") == "planned"
        assert desk.connection.nonce(desk.signer.address) == 0

    def test_a_transaction_that_reverts_on_chain_is_reverted_not_repeated(self, desk, payee) -> None:
        desk.connection.rpc("anvil_setCode", to_hex(payee), STOPS)
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee, b"\x01", 0)
        desk.pump(patience_seconds=0)
        desk.connection.rpc("anvil_setCode", to_hex(payee), ALWAYS_REVERTS)
        desk.mine(3)
        desk.pump()
        assert desk.state("k") == "reverted"
        assert desk.pump().is_idle

    def test_only_the_deployments_contracts_are_called(self, desk, payee) -> None:
        desk.plan("k", payee, b"\x01", 0)
        with pytest.raises(CodeMissingError, match="no contract of this deployment"):
            desk.pump(code_hashes={})
        with pytest.raises(CodeMissingError, match="not what was deployed"):
            desk.pump(code_hashes={Address(payee): keccak256(b"other code")})
        desk.pump(code_hashes={Address(payee): keccak256(b"")})
        assert desk.state("k") == "mined"

    def test_an_account_without_coin_is_told_so(self, desk, payee) -> None:
        desk.connection.rpc("anvil_setBalance", to_hex(desk.signer.address), "0x10")
        desk.plan("k", payee, value_wei=0)
        with pytest.raises(FundsMissingError):
            desk.pump()

    def test_a_node_managed_account_signs_before_anything_is_sent(self, database, connection, payee, desk) -> None:
        managed = Address(bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8"))
        open_outbox(database, connection, managed)
        desk.signer = NodeSigner(connection, managed)
        desk.plan("k", payee)
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.received(payee) == 7


class TestLoss:
    def test_a_dropped_transaction_goes_out_again_as_it_was(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        desk.connection.rpc("anvil_dropTransaction", to_hex(desk.entry("k").tx_hash))
        desk.mine()
        assert desk.received(payee) == 0
        desk.pump(patience_seconds=0)
        desk.mine()
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.received(payee) == 7
        assert sent_attempts(desk, "k") == 1

    def test_a_node_that_knows_the_transaction_already_is_no_error(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        desk.pump(patience_seconds=0)
        desk.mine()
        desk.pump()
        assert desk.received(payee) == 7

    @pytest.mark.parametrize("way", ["timeout-before", "timeout-after", "reset-before", "reset-after", "status"])
    def test_an_answer_that_never_comes_is_maybe_sent(self, desk, payee, way) -> None:
        desk.plan("k", payee)
        with RpcProxy(desk.connection.rpc_url) as proxy:
            sound, desk.connection = desk.connection, connect(proxy.url, timeout_seconds=0.3)
            met = proxy.misbehave(way, "eth_sendRawTransaction")
            with pytest.raises(ChainUnreachableError):
                desk.pump()
            assert met.met == 1, "what may have been sent is not sent again by itself"
            desk.connection = sound
        assert desk.state("k") == "broadcast"
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.received(payee) == 7

    @pytest.mark.parametrize(
        "point",
        [
            "outbox.sign.before_commit",
            "outbox.sign.after_commit",
            "outbox.broadcast.before_send",
            "outbox.broadcast.after_send",
            "outbox.broadcast.before_commit",
            "outbox.broadcast.after_commit",
            "outbox.mined.before_commit",
            "outbox.mined.after_commit",
        ],
    )
    def test_a_process_killed_anywhere_still_pays_once(self, desk, payee, point) -> None:
        desk.plan("k", payee)
        assert killed_pump(desk, point) == -signal.SIGKILL
        desk.pump()
        desk.mine(2)
        desk.pump()
        assert desk.state("k") == "final"
        assert desk.received(payee) == 7
        assert desk.connection.nonce(desk.signer.address) == 1

    def test_a_node_that_is_gone_loses_nothing(self, payee, desk) -> None:
        desk.plan("k", payee)
        with AnvilProcess.start() as short_lived:
            desk.connection = connect(short_lived.rpc_url)
        with pytest.raises(ChainUnreachableError):
            desk.pump()
        assert desk.state("k") == "planned"

    def test_a_node_that_serves_another_chain_now_is_sent_nothing(self, payee, desk) -> None:
        desk.plan("k", payee)
        with AnvilProcess.start(timestamp=Timestamp(1)) as other:
            swapped = connect(other.rpc_url)
            swapped.genesis_hash = desk.connection.genesis_hash
            desk.connection = swapped
            with pytest.raises(OtherGenesisError):
                desk.pump()
        assert desk.state("k") == "planned"


class TestReorgs:
    def test_a_mined_entry_that_is_undone_goes_out_again(self, desk, payee) -> None:
        desk.plan("k", payee)
        desk.pump()
        before = desk.entry("k").block_hash
        desk.connection.rpc("anvil_reorg", 1, [])
        assert desk.connection.block(desk.entry("k").block_number).hash != before
        report = desk.pump()
        assert desk.state("k") == "mined"
        assert not report.reopened
        assert desk.received(payee) == 7

    def test_a_final_entry_whose_block_is_gone_is_reopened_and_reported(self, desk, payee) -> None:
        desk.plan("k/0", payee)
        desk.plan("k/1", payee)
        desk.pump()
        desk.mine(2)
        desk.pump()
        assert desk.state("k/1") == "final"
        desk.connection.rpc("anvil_reorg", 4, [])
        report = desk.pump()
        assert [entry.key for entry in report.reopened] == ["k/1", "k/0"]
        desk.mine(2)
        desk.pump()
        assert [desk.state("k/0"), desk.state("k/1")] == ["final", "final"]
        assert desk.received(payee) == 14

    def test_a_receipt_of_a_block_that_is_not_on_the_chain_is_not_believed(self, desk, payee, monkeypatch) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        head = desk.connection.head()
        stale = Receipt(
            tx_hash=desk.entry("k").tx_hash,
            block_number=head.number,
            block_hash=Hash32(b"\x57" * 32),
            succeeded=True,
            gas_used=21_000,
        )
        with monkeypatch.context() as patch:
            patch.setattr(type(desk.connection), "receipts", lambda self, hashes: [stale for _ in hashes])
            desk.pump(patience_seconds=0)
        assert desk.state("k") == "broadcast"
        desk.mine()
        desk.pump()
        assert desk.received(payee) == 7

    def test_a_node_that_counts_too_few_transactions_changes_no_nonce(self, desk, payee, monkeypatch) -> None:
        desk.plan("k/0", payee)
        desk.pump()
        desk.plan("k/1", payee)
        with monkeypatch.context() as patch:
            patch.setattr(type(desk.connection), "nonce", lambda self, account, at="latest": 0)
            desk.pump()
        assert desk.state("k/1") == "mined"
        assert desk.received(payee) == 14

    def test_a_shallower_reorg_leaves_older_final_entries_alone(self, desk, payee) -> None:
        desk.plan("k/0", payee)
        desk.pump()
        desk.mine(3)
        desk.pump()
        desk.plan("k/1", payee)
        desk.pump()
        desk.connection.rpc("anvil_reorg", 1, [])
        assert not desk.pump().reopened
        assert desk.state("k/0") == "final"
        assert desk.received(payee) == 14


class TestForeignNonce:
    def test_a_taken_nonce_stops_everything_with_a_clear_message(self, desk, payee) -> None:
        desk.plan("k/0", payee)
        desk.plan("k/1", payee)
        foreign_transfer(desk, 0)
        for _ in range(2):
            with pytest.raises(NonceTakenError, match=r"nonce 0 of 0x.* planned for k/0, was used by another"):
                desk.pump()
        assert [desk.state("k/0"), desk.state("k/1")] == ["conflicted", "planned"]
        assert desk.received(payee) == 0

    def test_after_a_person_has_looked_the_next_entry_goes_out(self, desk, payee) -> None:
        desk.plan("k/0", payee)
        desk.plan("k/1", payee)
        foreign_transfer(desk, 0)
        with pytest.raises(NonceTakenError):
            desk.pump()
        with desk.database.transaction() as session:
            abandon(session, "k/0", "sent by hand from a wallet", desk.clock.now())
        desk.pump()
        assert [desk.state("k/0"), desk.state("k/1")] == ["abandoned", "mined"]

    def test_a_taken_nonce_that_a_reorg_gives_back_is_ours_again(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        ours = desk.entry("k").tx_hash
        desk.connection.rpc("anvil_dropTransaction", to_hex(ours))
        foreign_transfer(desk, 0)
        desk.mine()
        with pytest.raises(NonceTakenError):
            desk.pump()
        with desk.database.reading() as session:
            raw = attempts(session, desk.entry("k"))[0].raw
        desk.connection.rpc("anvil_reorg", 1, [[to_hex(raw), 0]])
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.received(payee) == 7

    def test_only_a_conflict_can_be_abandoned(self, desk, payee) -> None:
        desk.plan("k", payee)
        with pytest.raises(RefusedError, match="not conflicted"), desk.database.transaction() as session:
            abandon(session, "k", "why not", desk.clock.now())


class TestFees:
    def test_a_stuck_transaction_is_replaced_at_the_same_nonce(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        desk.clock.at += desk.fees.bump_after_seconds
        desk.pump(patience_seconds=0)
        desk.mine()
        desk.pump()
        with desk.database.reading() as session:
            first, second = attempts(session, desk.entry("k"))
        assert second.max_fee_per_gas_wei > first.max_fee_per_gas_wei * 11 // 10
        assert desk.entry("k").tx_hash == second.tx_hash
        assert desk.received(payee) == 7
        assert desk.connection.nonce(desk.signer.address) == 1

    def test_an_earlier_attempt_that_is_mined_late_counts(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        desk.clock.at += desk.fees.bump_after_seconds
        desk.pump(patience_seconds=0)
        with desk.database.reading() as session:
            first, second = attempts(session, desk.entry("k"))
        desk.connection.rpc("anvil_dropTransaction", to_hex(second.tx_hash))
        desk.connection.rpc("eth_sendRawTransaction", to_hex(first.raw))
        desk.mine()
        desk.pump()
        assert desk.entry("k").tx_hash == first.tx_hash
        assert desk.received(payee) == 7

    def test_bumps_end_at_the_cap(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.fees = FeePolicy(cap_wei=6 * GWEI)
        desk.plan("k", payee)
        for _ in range(12):
            desk.pump(patience_seconds=0)
            desk.clock.at += desk.fees.bump_after_seconds
        with desk.database.reading() as session:
            made = attempts(session, desk.entry("k"))
        assert 1 < len(made) <= desk.fees.max_attempts
        assert max(attempt.max_fee_per_gas_wei for attempt in made) <= 6 * GWEI
        desk.mine()
        desk.pump()
        assert desk.received(payee) == 7

    def test_a_base_fee_above_the_cap_is_waited_out(self, desk, payee) -> None:
        desk.fees = FeePolicy(cap_wei=2 * GWEI)
        desk.plan("k", payee)
        desk.connection.rpc("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
        desk.mine()
        with pytest.raises(FeeCapError):
            desk.pump()
        assert desk.state("k") == "planned"
        desk.connection.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        desk.mine()

    def test_a_fee_spike_between_signing_and_sending_bumps_at_once(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        desk.connection.rpc("anvil_dropTransaction", to_hex(desk.entry("k").tx_hash))
        desk.connection.rpc("anvil_setNextBlockBaseFeePerGas", hex(30 * GWEI))
        desk.mine()
        desk.pump(patience_seconds=0)
        desk.mine()
        desk.clock.at += desk.fees.bump_after_seconds
        desk.pump(patience_seconds=0)
        desk.mine()
        desk.pump()
        assert desk.state("k") == "mined"
        assert desk.received(payee) == 7
        desk.connection.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        desk.mine()


class TestWithdrawing:
    def test_a_withdrawn_entry_uses_its_nonce_up_and_pays_nothing(self, desk, payee) -> None:
        desk.plan("k/0", payee)
        desk.plan("k/1", payee)
        with desk.database.transaction() as session:
            withdraw(session, "k/0", "the epoch was revoked", desk.clock.now())
        desk.pump()
        desk.mine(2)
        desk.pump()
        assert [desk.state("k/0"), desk.state("k/1")] == ["withdrawn", "final"]
        assert desk.received(payee) == 7

    def test_withdrawing_after_the_broadcast_replaces_it(self, desk, payee) -> None:
        desk.connection.rpc("evm_setAutomine", False)
        desk.plan("k", payee)
        desk.pump(patience_seconds=0)
        with desk.database.transaction() as session:
            withdraw(session, "k", "wrong amount", desk.clock.now())
        desk.pump(patience_seconds=0)
        desk.mine(3)
        desk.pump()
        assert desk.state("k") == "withdrawn"
        assert desk.received(payee) == 0

    def test_withdrawing_too_late_tells_that_it_was_paid(self, desk, payee) -> None:
        desk.plan("k", payee)
        desk.pump()
        with pytest.raises(RefusedError, match="too late"), desk.database.transaction() as session:
            withdraw(session, "k", "too late", desk.clock.now())


def killed_pump(desk: Desk, point: str) -> int:
    """One pump in a process of its own, which the named fault point kills; its exit status."""
    child = os.fork()
    if child == 0:  # nothing of the parent's open files and connections is used in here
        status = 1
        try:
            os.environ[FAULTPOINT_VARIABLE] = point
            database = open_database(str(desk.database.engine.url), create=True)
            connection = connect(desk.connection.rpc_url)
            pump(database, connection, desk.signer, desk.clock, desk.finality, patience_seconds=5)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
