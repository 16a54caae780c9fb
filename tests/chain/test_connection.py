"""A connection knows which chain it talks to and says clearly when it does not."""

from collections.abc import Iterator

import pytest

from ledger.chain.errors import BlockMissingError, ChainUnreachableError, OtherGenesisError, RpcError, WrongChainError
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.node.connection import Connection, Finality, connect
from ledger.model.units import Hash32, Timestamp

START = Timestamp(1_686_787_200)


@pytest.fixture(scope="module")
def node() -> Iterator[AnvilProcess]:
    with AnvilProcess.start(timestamp=START, slots_in_an_epoch=1) as running:
        yield running


@pytest.fixture(scope="module")
def connection(node: AnvilProcess) -> Connection:
    made = connect(node.rpc_url)
    DemoTime(made).mine(10)  # blocks 1 … 10, twelve seconds apart
    return made


def test_another_chain_id_is_refused(node: AnvilProcess) -> None:
    with pytest.raises(WrongChainError, match="serves chain 31337, expected chain 1"):
        connect(node.rpc_url, expected_chain_id=1)


def test_another_genesis_is_refused(node: AnvilProcess) -> None:
    with pytest.raises(OtherGenesisError, match="expected 0x0707"):
        connect(node.rpc_url, expected_chain_id=31337, expected_genesis_hash=Hash32(b"\x07" * 32))


def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(ChainUnreachableError, match="does not answer"):
        connect("http://127.0.0.1:9")


def test_a_node_that_is_swapped_under_the_connection_is_noticed(connection: Connection) -> None:
    with AnvilProcess.start(timestamp=Timestamp(START + 3600)) as other:
        swapped = connect(other.rpc_url)
        swapped.genesis_hash = connection.genesis_hash
        with pytest.raises(OtherGenesisError):
            swapped.check_identity()
    connection.check_identity()


@pytest.mark.parametrize(("at", "number"), [(1, 0), (12, 0), (13, 1), (60, 4), (61, 5), (120, 9), (9999, 10)])
def test_the_last_block_before_a_second_is_found(connection: Connection, at: int, number: int) -> None:
    found = connection.last_block_before(Timestamp(START + at))
    assert found is not None
    assert found.number == number


def test_before_genesis_there_is_no_block(connection: Connection) -> None:
    assert connection.last_block_before(START) is None


def test_the_final_block_lies_the_given_depth_below_the_head(connection: Connection) -> None:
    found = connection.final_block(Finality(depth=3))
    assert found is not None
    assert found.number == 7
    assert connection.final_block(Finality(depth=11)) is None


def test_the_finalized_tag_is_followed(connection: Connection) -> None:
    found = connection.final_block(Finality(finalized_tag=True))
    assert found is not None
    assert found.number < 10


def test_a_missing_block_is_an_error_of_its_own(connection: Connection) -> None:
    with pytest.raises(BlockMissingError, match="4711"):
        connection.block(4711)


def test_reads_can_be_pinned_to_a_block_hash(connection: Connection) -> None:
    third = connection.block(3)
    assert connection.block(third.hash) == third
    account = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert connection.balance_wei(account, third.hash) == 10_000 * 10**18


def test_a_node_error_keeps_the_nodes_words(connection: Connection) -> None:
    with pytest.raises(RpcError, match="eth_nothing"):
        connection.rpc("eth_nothing")


def test_a_batch_answers_in_order(connection: Connection) -> None:
    assert [block.number for block in connection.blocks([9, 2, 5])] == [9, 2, 5]
