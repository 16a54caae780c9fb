"""Several endpoints of one chain: whoever fails, lags or lies is passed over, and nothing is lost by it."""

from collections.abc import Iterator

import pytest
from rpc_proxy import RpcProxy

from ledger.chain.errors import (
    AnswerError,
    BlockMissingError,
    ChainUnreachableError,
    OtherGenesisError,
    WrongChainError,
)
from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.node import endpoint, endpoints
from ledger.chain.node.connection import Connection, connect
from ledger.chain.node.endpoint import Anchor
from ledger.chain.node.endpoints import endpoint_urls
from ledger.chain.sending.signer import KeySigner, Transaction
from ledger.model.errors import UsageError
from ledger.model.units import Address, Hash32, Timestamp, to_hex

START = Timestamp(1_686_787_200)
PAYEE = Address(b"\xbb" * 20)


@pytest.fixture(scope="module")
def node() -> Iterator[AnvilProcess]:
    with AnvilProcess.start(timestamp=START) as running:
        yield running


@pytest.fixture
def three(node: AnvilProcess) -> Iterator[list[RpcProxy]]:
    """Three ways to the same node, each able to misbehave by itself."""
    with RpcProxy(node.rpc_url) as one, RpcProxy(node.rpc_url) as two, RpcProxy(node.rpc_url) as third:
        yield [one, two, third]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PROBE_SECONDS", 1.5)


def through(*proxies: RpcProxy, seconds: float = 1.5) -> Connection:
    return connect(",".join(proxy.url for proxy in proxies), timeout_seconds=seconds)


def asked(proxies: list[RpcProxy], method: str) -> list[int]:
    return [proxy.calls.count(method) for proxy in proxies]


def mine(proxy: RpcProxy, blocks: int) -> None:
    proxy.ask("anvil_mine", hex(blocks))


class TestReading:
    def test_the_first_that_is_well_is_asked_and_the_others_are_left_alone(self, three) -> None:
        connection = through(*three)
        for _ in range(5):
            connection.head()
        assert asked(three, "eth_getBlockByNumber") == [6, 0, 0]

    @pytest.mark.parametrize("kind", ["timeout-before", "reset-before", "status", "garbage", "drip"])
    def test_one_that_fails_is_passed_over_and_left_in_peace_for_a_while(self, three, kind) -> None:
        connection = through(*three)
        met = three[0].misbehave(kind)
        for _ in range(5):
            assert connection.head().timestamp >= START
        assert met.met <= 3, "it is not asked again at once"
        assert asked(three, "eth_getBlockByNumber")[2] == 0

    def test_it_is_asked_again_later_after_it_has_shown_its_identity(self, three, monkeypatch) -> None:
        monkeypatch.setattr(endpoint, "ASIDE_SECONDS", 0.0)
        connection = through(*three)
        three[0].misbehave("status", times=1)
        connection.head()
        connection.head()
        assert asked(three, "eth_chainId") == [2, 1, 0]

    def test_each_failure_sets_it_aside_for_twice_as_long_and_no_longer_than_the_bound(self, three) -> None:
        connection = through(three[0], three[1])
        first = connection._endpoints._all[0]
        spans = []
        for _ in range(12):
            before = first.aside_until
            first.fail(AnswerError("wrong"))
            spans.append(round(first.aside_until - max(before, 0)) if before > 0 else 1)
        assert first.failures == 12
        import time

        assert endpoint.ASIDE_AT_MOST - 1 < first.aside_until - time.monotonic() <= endpoint.ASIDE_AT_MOST

    def test_when_all_are_set_aside_they_are_asked_all_the_same(self, three) -> None:
        connection = through(*three)
        for proxy in three:
            proxy.misbehave("status", times=4)
        with pytest.raises(ChainUnreachableError):
            connection.head()
        for proxy in three:
            proxy.behave()
        assert connection.head().timestamp >= START

    def test_one_that_is_set_aside_is_asked_when_the_others_fail(self, three) -> None:
        connection = through(*three)
        three[0].misbehave("status", times=1)
        connection.head()
        for proxy in three[1:]:
            proxy.misbehave("status")
        assert connection.head().timestamp >= START
        assert connection.in_one_look(connection.head).timestamp >= START

    def test_the_error_says_how_many_failed_and_why_and_nothing_secret(self, three) -> None:
        urls = ",".join(f"{proxy.url}/s3cr3t" for proxy in three)
        connection = connect(urls, timeout_seconds=0.5)
        three[0].misbehave("status")
        three[1].misbehave("garbage")
        three[2].misbehave("timeout-before")
        with pytest.raises(ChainUnreachableError, match=r"3 of 3 endpoints failed: 1 .*503; 2 .*no JSON") as met:
            connection.head()
        assert "no answer within" in str(met.value)
        assert "s3cr3t" not in str(met.value) + repr(connection)

    def test_one_endpoint_alone_is_asked_as_if_there_were_no_others(self, three) -> None:
        connection = through(three[0])
        before = len(three[0].calls)
        connection.in_one_look(connection.head)
        assert three[0].calls[before:] == ["eth_getBlockByNumber"]
        three[0].misbehave("status", times=1)
        with pytest.raises(
            ChainUnreachableError, match=r"^chain\.unreachable: eth_get.*: the node does not answer: HTTP"
        ):
            connection.head()
        assert connection.head().timestamp >= START


class TestIdentity:
    def test_another_chain_is_never_asked_anything_else(self, three) -> None:
        three[0].misbehave("wrong-chain-id", value=5)
        connection = connect(",".join(each.url for each in three), expected_chain_id=31337)
        connection.head()
        assert set(three[0].calls) == {"eth_chainId", "eth_getBlockByNumber"}
        assert three[0].calls.count("eth_getBlockByNumber") == 1, "its genesis only"
        assert connection.chain_id == 31337

    def test_another_genesis_under_the_same_id_is_passed_over(self, three) -> None:
        with AnvilProcess.start(timestamp=Timestamp(START + 9)) as other:
            genesis = Hash32(bytes.fromhex(three[0].ask("eth_getBlockByNumber", "0x0", False)["hash"][2:]))
            connection = connect(f"{other.rpc_url},{three[0].url}", expected_genesis_hash=genesis)
            assert connection.head().hash == through(three[0]).head().hash
            with pytest.raises(OtherGenesisError):
                connect(other.rpc_url, expected_genesis_hash=genesis)

    def test_when_all_serve_another_chain_that_is_the_error(self, three) -> None:
        for proxy in three:
            proxy.misbehave("wrong-chain-id")
        with pytest.raises(WrongChainError, match="serves chain 1, expected chain 31337"):
            connect(",".join(each.url for each in three), expected_chain_id=31337)

    def test_an_endpoint_that_changes_its_chain_is_noticed_by_the_next_look(self, three) -> None:
        connection = through(*three)
        connection.head()
        three[0].misbehave("wrong-chain-id")
        connection.in_one_look(connection.head)
        assert asked(three, "eth_getBlockByNumber")[1] > 0


class TestLooks:
    def test_all_reads_of_a_look_are_of_one_endpoint_and_begin_anew_on_the_next(self, three) -> None:
        connection = through(*three)
        three[0].misbehave("status", "eth_getBalance")
        seen = []

        def work() -> int:
            seen.append(len(seen))
            connection.head()
            return connection.balance_wei(PAYEE)

        assert connection.in_one_look(work) == 0
        assert seen == [0, 1]
        assert asked(three, "eth_getBalance") == [1, 1, 0], "no single read moved to another endpoint"

    def test_one_that_lags_is_passed_over(self, three) -> None:
        mine(three[0], 10)
        connection = through(*three)
        head = connection.head().number
        three[0].misbehave("stale-head", value=head - endpoints.LAG_BLOCKS - 1)
        assert connection.in_one_look(connection.head).number == head
        three[0].play([])
        three[0].misbehave("stale-head", value=head - endpoints.LAG_BLOCKS)
        connection = through(*three)
        assert connection.in_one_look(connection.head).number == head - endpoints.LAG_BLOCKS, "a little is nothing"

    def test_one_that_claims_blocks_nobody_has_is_found_out(self, three) -> None:
        connection = through(*three)
        three[0].misbehave("answer", "eth_blockNumber", value=hex(10**9))

        def work() -> int:
            return connection.block(connection.head().number).number

        three[0].misbehave("missing-block", "eth_getBlockByNumber", skip=1)
        assert connection.in_one_look(work) == connection.head().number

    def test_one_on_another_branch_than_the_final_block_is_passed_over(self, three) -> None:
        mine(three[0], 3)
        connection = through(*three)
        final = connection.head()
        for proxy in three[:1]:
            proxy.remember()
            proxy.ask("eth_getBlockByNumber", hex(final.number), False)
        three[0].ask("anvil_reorg", 1, [])
        now = connection.block(final.number)
        assert now.hash != final.hash
        three[0].misbehave("remembered", "eth_getBlockByNumber")
        anchor = Anchor(number=now.number, hash=now.hash)
        assert connection.in_one_look(lambda: connection.block(now.number), anchor).hash == now.hash

    def test_when_nobody_has_the_final_block_the_reader_learns_it(self, three) -> None:
        connection = through(*three)
        anchor = Anchor(number=0, hash=Hash32(b"\x01" * 32))
        assert connection.in_one_look(lambda: connection.block(0).number, anchor) == 0

    def test_what_all_of_them_say_is_what_is_raised(self, three) -> None:
        connection = through(*three)
        with pytest.raises(BlockMissingError):
            connection.in_one_look(lambda: connection.block(10**9))
        assert asked(three, "eth_blockNumber") == [3, 2, 1] or min(asked(three, "eth_blockNumber")) >= 1

    def test_a_look_as_a_whole_has_an_end(self, three) -> None:
        connection = through(*three)
        for proxy in three:
            proxy.misbehave("slow", "eth_getBalance", seconds=0.2)

        def work() -> None:
            while True:
                connection.balance_wei(PAYEE)

        with pytest.raises(ChainUnreachableError, match=r"used up|no answer within 0\."):
            connection.in_one_look(work, seconds=1)
        assert sum(asked(three, "eth_getBalance")) < 20
        assert connection.balance_wei(PAYEE) == 0, "and afterwards nobody is to blame"

    def test_what_the_work_itself_raises_is_nobodys_failure(self, three) -> None:
        connection = through(*three)
        with pytest.raises(UsageError):
            connection.in_one_look(lambda: endpoint_urls(""))
        assert [each.is_well for each in connection.endpoints()] == [True, True, True]


class TestSending:
    def transfer(self, connection: Connection, key: int) -> bytes:
        signer = KeySigner(key.to_bytes(32, "big"))
        connection.rpc("anvil_setBalance", to_hex(signer.address), hex(10**20))
        return signer.sign(
            Transaction(
                chain_id=31337, nonce=0, to=PAYEE, value_wei=1, calldata=b"", gas=21_000,
                max_fee_per_gas_wei=10**10, max_priority_fee_per_gas_wei=1,
            )
        ).raw  # fmt: skip

    def test_the_same_bytes_go_to_all(self, three) -> None:
        connection = through(*three)
        connection.broadcast(self.transfer(connection, 0x5E01))
        assert asked(three, "eth_sendRawTransaction") == [1, 1, 1]

    def test_one_that_drops_them_loses_nothing(self, three) -> None:
        connection = through(*three)
        before = connection.balance_wei(PAYEE)
        three[0].misbehave("drop")
        connection.broadcast(self.transfer(connection, 0x5E02))
        while connection.balance_wei(PAYEE) == before:
            pass

    @pytest.mark.parametrize("kind", ["timeout-before", "reset-before"])
    def test_no_answer_from_one_is_no_matter_when_another_has_it(self, three, kind) -> None:
        connection = through(*three)
        three[0].misbehave(kind, "eth_sendRawTransaction")
        raw = self.transfer(connection, 0x5E10 + len(kind))
        assert connection.in_one_look(lambda: connection.broadcast(raw)).startswith("0x")

    def test_without_any_acceptance_it_is_maybe_sent(self, three) -> None:
        connection = through(*three)
        for proxy in three:
            proxy.misbehave("timeout-after", "eth_sendRawTransaction")
        raw = self.transfer(connection, 0x5E30)
        with pytest.raises(ChainUnreachableError):
            connection.in_one_look(lambda: connection.broadcast(raw))


class TestStandings:
    def test_every_endpoint_is_told_with_its_reason(self, three) -> None:
        mine(three[0], 10)
        connection = through(*three)
        head = connection.head().number
        three[1].misbehave("stale-head", value=head - 7)
        three[2].misbehave("wrong-chain-id")
        one, two, third = connection.endpoints()
        assert (one.number, one.is_well, one.why, one.head_number) == (1, True, "", head)
        assert (two.is_well, two.why) == (False, "7 blocks behind")
        assert (third.is_well, third.why) == (False, "the node serves chain 1, expected chain 31337")
        assert one.place == three[0].url.removeprefix("http://")


def test_the_setting_names_one_address_or_several() -> None:
    assert endpoint_urls("http://a") == ("http://a",)
    assert endpoint_urls(" http://a , http://b,") == ("http://a", "http://b")
    for wrong in ("", " , ", "http://a,http://a"):
        with pytest.raises(UsageError):
            endpoint_urls(wrong)
