"""The follower believes the canonical chain only, books nothing early, and never forgets a reorg."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rpc_proxy import RpcProxy

from ledger.chain.contracts.followed import Followed
from ledger.chain.contracts.interface import ContractInterface
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.errors import BlockMissingError, FinalityBrokenError, LogsHiddenError, RpcError
from ledger.chain.following.follower import final_events, recent_events, sync
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Connection, Finality, connect
from ledger.db.chain_log import canonical_blocks, reorgs
from ledger.db.engine import Database
from ledger.model.units import Address, Timestamp, to_hex

EMITTER = Address(b"\xe1" * 20)
# copies its calldata to memory and logs it: first word the topic, the rest the data
EMITTER_CODE = "0x366000600037600051602036036020a100"
INTERFACE = ContractInterface(
    "Emitter",
    [
        {
            "type": "event",
            "name": "Rang",
            "inputs": [{"name": "bellNumber", "type": "uint256", "indexed": False}],
        }
    ],
)
DEPTH = 3
FINALITY = Finality(depth=DEPTH)
SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


@pytest.fixture
def followed(connection: Connection) -> Iterator[Followed]:
    """The emitter, followed from the next block on; each test starts on quiet ground."""
    connection.rpc("evm_setAutomine", True)
    connection.rpc("anvil_setCode", to_hex(EMITTER), EMITTER_CODE)
    mine(connection, DEPTH + 1)
    yield Followed(contracts={EMITTER: INTERFACE}, first_block=connection.head().number + 1)
    connection.rpc("evm_setAutomine", True)


def mine(connection: Connection, blocks: int) -> None:
    for _ in range(blocks):
        connection.rpc("evm_mine")


def ring(connection: Connection, number: int) -> None:
    """One block with one event."""
    before = connection.head().number
    topic = INTERFACE.events["Rang"]
    connection.rpc(
        "eth_sendTransaction",
        {"from": SENDER, "to": to_hex(EMITTER), "data": to_hex(topic + number.to_bytes(32, "big"))},
    )
    while connection.head().number == before:  # automine answers before it mines
        pass


def bells(events: list) -> list[int]:
    return [event.arguments["bell_number"] for event in events]


def test_an_event_is_returned_once_and_only_when_final(database: Database, connection: Connection, followed) -> None:
    ring(connection, 1)
    assert sync(database, connection, followed, FINALITY) == []
    assert bells(recent_events(database, 31337, followed)) == [1]
    mine(connection, DEPTH - 1)
    assert sync(database, connection, followed, FINALITY) == []
    mine(connection, 1)
    events = sync(database, connection, followed, FINALITY)
    assert bells(events) == [1]
    assert events[0].contract == "Emitter"
    assert events[0].block_hash == connection.block(events[0].block_number).hash
    assert sync(database, connection, followed, FINALITY) == []
    assert bells(final_events(database, 31337, followed, above=0)) == [1]


def test_hundreds_of_empty_blocks_cost_few_rows(database: Database, connection: Connection, followed) -> None:
    ring(connection, 1)
    connection.rpc("anvil_mine", hex(500))
    ring(connection, 2)
    connection.rpc("anvil_mine", hex(50))
    assert bells(sync(database, connection, followed, FINALITY)) == [1, 2]
    with database.reading() as session:
        assert len(canonical_blocks(session, 31337)) == 2 + DEPTH + 1


def test_the_last_blocks_are_linked_without_a_gap(database: Database, connection: Connection, followed) -> None:
    ring(connection, 1)
    mine(connection, 7)
    sync(database, connection, followed, FINALITY)
    with database.reading() as session:
        head, *older = canonical_blocks(session, 31337)[: DEPTH + 1]
    for block in older:
        assert head.parent_hash == block.hash
        head = block


def test_a_reorg_above_the_final_block_replaces_what_was_seen(database, connection, followed) -> None:
    mine(connection, 2)
    ring(connection, 1)
    sync(database, connection, followed, FINALITY)
    lost = connection.head().hash
    connection.rpc("anvil_reorg", 2, [])
    assert connection.head().hash != lost
    ring(connection, 2)
    mine(connection, DEPTH)
    assert bells(sync(database, connection, followed, FINALITY)) == [2]
    with database.reading() as session:
        (reorg,) = reorgs(session, 31337)
    assert reorg.left_hash == lost
    assert not reorg.breaks_finality


@pytest.mark.parametrize("depth", [1, DEPTH - 1, DEPTH])
def test_a_reorg_as_deep_as_finality_breaks_nothing(database, connection, followed, depth: int) -> None:
    ring(connection, 1)
    mine(connection, DEPTH)
    assert bells(sync(database, connection, followed, FINALITY)) == [1]
    connection.rpc("anvil_reorg", depth, [])
    mine(connection, 1)
    assert sync(database, connection, followed, FINALITY) == []
    assert bells(final_events(database, 31337, followed, above=0)) == [1]


@pytest.mark.parametrize("depth", [DEPTH + 1, 3 * DEPTH])
def test_a_reorg_deeper_than_finality_is_committed_then_raised_once(database, connection, followed, depth) -> None:
    mine(connection, 3 * DEPTH)
    ring(connection, 1)
    mine(connection, DEPTH)
    assert bells(sync(database, connection, followed, FINALITY)) == [1]
    connection.rpc("anvil_reorg", depth, [])
    with pytest.raises(FinalityBrokenError, match="were final and are gone"):
        sync(database, connection, followed, FINALITY)
    with database.reading() as session:
        assert reorgs(session, 31337)[-1].breaks_finality
    assert final_events(database, 31337, followed, above=0) == []
    ring(connection, 2)
    mine(connection, DEPTH)
    assert bells(sync(database, connection, followed, FINALITY)) == [2]
    assert bells(final_events(database, 31337, followed, above=0)) == [2]


def test_events_of_the_new_branch_below_the_old_final_block_are_not_skipped(database, connection, followed) -> None:
    ring(connection, 1)
    moved = last_transaction(connection)
    mine(connection, 2 * DEPTH)
    assert bells(sync(database, connection, followed, FINALITY)) == [1]
    connection.rpc("anvil_reorg", 2 * DEPTH + 1, [[moved, 1]])
    with pytest.raises(FinalityBrokenError):
        sync(database, connection, followed, FINALITY)
    (event,) = sync(database, connection, followed, FINALITY)
    assert event.block_number == followed.first_block + 1
    assert event.block_hash == connection.block(event.block_number).hash


def test_a_branch_that_wins_back_is_believed_again(database: Database) -> None:
    start = Timestamp(1_686_787_200)
    with AnvilProcess.start(timestamp=start) as first, AnvilProcess.start(timestamp=start) as second:
        one, other = connect(first.rpc_url), connect(second.rpc_url)
        for each in (one, other):  # the same blocks, to the hash
            DemoTime(each)
            each.rpc("anvil_setCode", to_hex(EMITTER), EMITTER_CODE)
            mine(each, DEPTH + 1)
        assert one.head().hash == other.head().hash
        followed = Followed(contracts={EMITTER: INTERFACE}, first_block=DEPTH + 2)
        ring(one, 1)
        sync(database, one, followed, FINALITY)
        ring(other, 2)
        mine(other, 1)
        sync(database, other, followed, FINALITY)
        assert bells(recent_events(database, 31337, followed)) == [2]
        mine(one, DEPTH)
        assert bells(sync(database, one, followed, FINALITY)) == [1]
    with database.reading() as session:
        assert len(reorgs(session, 31337)) == 2


def last_transaction(connection: Connection) -> dict:
    """The newest block's transaction, as anvil_reorg takes it into another block."""
    raw = connection.rpc("eth_getBlockByNumber", "latest", True)["transactions"][0]
    return {name: raw[name] for name in ("from", "to", "input", "nonce", "gas")}


def test_an_event_that_moves_to_another_block_is_returned_from_there(database, connection, followed) -> None:
    ring(connection, 1)
    sync(database, connection, followed, FINALITY)
    connection.rpc("anvil_reorg", 1, [[last_transaction(connection), 0]])
    mine(connection, DEPTH)
    (event,) = sync(database, connection, followed, FINALITY)
    assert bells([event]) == [1]
    assert connection.block(event.block_number).hash == event.block_hash


def test_a_node_that_is_behind_makes_nothing_vanish(database, connection, followed, monkeypatch) -> None:
    ring(connection, 1)
    mine(connection, DEPTH)
    sync(database, connection, followed, FINALITY)
    behind = connection.head().number - 2
    plain = Connection.rpc

    def stale(self, method, *params):
        if method == "eth_getBlockByNumber":
            number = behind if params[0] == "latest" else int(params[0], 16)
            return plain(self, method, hex(number), False) if number <= behind else None
        return plain(self, method, *params)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "rpc", stale)
        assert sync(database, connection, followed, FINALITY) == []
    with database.reading() as session:
        assert reorgs(session, 31337) == []
    assert bells(final_events(database, 31337, followed, above=0)) == [1]


def test_a_node_that_cannot_answer_for_a_block_makes_nothing_vanish(
    database, connection, followed, monkeypatch
) -> None:
    ring(connection, 1)
    mine(connection, DEPTH)
    sync(database, connection, followed, FINALITY)
    tip = connection.head().number
    mine(connection, 1)
    plain = Connection.rpc

    def forgetful(self, method, *params):
        missing = method == "eth_getBlockByNumber" and params[0] == hex(tip)
        return None if missing else plain(self, method, *params)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "rpc", forgetful)
        with pytest.raises(BlockMissingError):
            sync(database, connection, followed, FINALITY)
    with database.reading() as session:
        assert reorgs(session, 31337) == []


def test_a_range_query_that_is_wrongly_empty_hides_no_event(database, connection, followed, monkeypatch) -> None:
    ring(connection, 1)
    mine(connection, 1)
    plain = Connection.rpc

    def lagging(self, method, *params):
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            return []
        return plain(self, method, *params)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "rpc", lagging)
        sync(database, connection, followed, FINALITY)
    assert bells(recent_events(database, 31337, followed)) == [1]


@pytest.mark.parametrize("blocks_later", [1, DEPTH + 40])
def test_a_node_that_hides_events_in_every_answer_is_found_out(
    database, connection, followed, blocks_later: int
) -> None:
    """Also when many blocks have passed since the last look, so that the event is far below the final block."""
    ring(connection, 1)
    mine(connection, blocks_later)
    with RpcProxy(connection.rpc_url) as proxy:
        lying = connect(proxy.url)
        proxy.misbehave("empty-logs")
        with pytest.raises(LogsHiddenError, match=f"block {followed.first_block}"):
            sync(database, lying, followed, FINALITY)
        proxy.behave()
        found = proxy.ask("eth_getLogs", {"fromBlock": hex(followed.first_block), "address": [to_hex(EMITTER)]})
        proxy.misbehave("answer", "eth_getLogs", value=found[:0], times=1)
        mine(connection, DEPTH)
        assert bells(sync(database, lying, followed, FINALITY)) == [1]


def test_with_a_second_endpoint_hidden_events_are_read_there(database, connection, followed) -> None:
    ring(connection, 1)
    mine(connection, DEPTH)
    with RpcProxy(connection.rpc_url) as lying, RpcProxy(connection.rpc_url) as honest:
        both = connect(f"{lying.url},{honest.url}")
        lying.misbehave("empty-logs")
        assert bells(sync(database, both, followed, FINALITY)) == [1]


def test_logs_are_fetched_in_pieces_the_node_accepts(connection, followed, monkeypatch) -> None:
    for number in range(6):
        ring(connection, number)
        mine(connection, 3)
    plain = Connection.rpc
    asked = []

    def strict(self, method, *params):
        if method == "eth_getLogs":
            wide = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            asked.append(wide)
            if wide > 5:
                raise RpcError("query exceeds max block range 5", message="query exceeds max block range 5")
        return plain(self, method, *params)

    monkeypatch.setattr(Connection, "rpc", strict)
    found = fetch_logs(connection, [EMITTER], followed.first_block, connection.head().number)
    assert [int.from_bytes(log.data, "big") for log in found] == list(range(6))
    assert max(asked) > 5


Step = st.one_of(
    st.tuples(st.just("ring"), st.integers(1, 999)),
    st.tuples(st.just("mine"), st.integers(1, 3)),
    st.tuples(st.just("reorg"), st.integers(1, 2 * DEPTH)),
    st.tuples(st.just("sync"), st.just(0)),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(Step, min_size=3, max_size=10))
def test_after_any_script_of_reorgs_the_follower_equals_a_fresh_one(
    script, connection: Connection, tmp_path_factory, make_ledger
) -> None:
    connection.rpc("anvil_setCode", to_hex(EMITTER), EMITTER_CODE)
    mine(connection, 2 * DEPTH + 1)
    followed = Followed(contracts={EMITTER: INTERFACE}, first_block=connection.head().number + 1)
    veteran = make_ledger(tmp_path_factory.mktemp("veteran") / "ledger.db")
    newcomer = make_ledger(tmp_path_factory.mktemp("newcomer") / "ledger.db")

    def look() -> None:
        try:
            sync(veteran, connection, followed, FINALITY)
        except FinalityBrokenError:
            sync(veteran, connection, followed, FINALITY)

    for what, amount in script:
        if what == "ring":
            ring(connection, amount)
        elif what == "mine":
            mine(connection, amount)
        elif what == "reorg":
            depth = min(amount, connection.head().number - followed.first_block + 1)
            if depth > 0:
                connection.rpc("anvil_reorg", depth, [])
        else:
            look()
    mine(connection, DEPTH)
    look()
    sync(newcomer, connection, followed, FINALITY)
    try:
        assert final_events(veteran, 31337, followed, above=0) == final_events(newcomer, 31337, followed, above=0)
        assert recent_events(veteran, 31337, followed) == recent_events(newcomer, 31337, followed)
    finally:
        veteran.close()
        newcomer.close()
