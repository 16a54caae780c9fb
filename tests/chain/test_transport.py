"""One deadline for a whole answer, a bound on its size, and no word of the address in what is said."""

import os
import time
from collections.abc import Iterator

import pytest
from rpc_proxy import RpcProxy

from ledger.chain.local.anvil import AnvilProcess
from ledger.chain.node import bounds
from ledger.chain.node.transport import Transport, TransportError

SECRET = "d0ntt3ll"
ASK = ("eth_chainId", [])


@pytest.fixture(scope="module")
def proxy() -> Iterator[RpcProxy]:
    with AnvilProcess.start() as node, RpcProxy(node.rpc_url) as running:
        yield running


@pytest.fixture
def line(proxy: RpcProxy) -> Iterator[Transport]:
    proxy.behave()
    yield Transport(f"{proxy.url}/{SECRET}?key={SECRET}".replace("//", f"//{SECRET}:{SECRET}@"))
    proxy.behave()


def test_an_answer_comes_back_as_the_node_gave_it(line: Transport) -> None:
    assert line.ask(ASK, 5)["result"] == "0x7a69"
    assert [answer["result"] for answer in line.ask_many([ASK, ("net_version", [])], 5)] == ["0x7a69", "31337"]
    assert line.ask(("eth_nothing", []), 5)["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("timeout-before", {}, "no answer within"),
        ("timeout-after", {}, "no answer within"),
        ("slow", {"seconds": 5}, "no answer within"),
        ("drip", {"seconds": 0.1}, "no answer within"),
        ("reset-before", {}, "the connection broke"),
        ("reset-after", {}, "the connection broke"),
        ("status", {}, "HTTP status 503"),
        ("status", {"value": 429}, "HTTP status 429"),
        ("garbage", {}, "no JSON"),
        ("garbage", {"value": ""}, "no JSON"),
        ("huge", {"value": 3 * 2**20}, "larger than 2097152 bytes"),
    ],
)
def test_every_way_not_to_answer_has_an_end_and_a_reason(
    proxy: RpcProxy, line: Transport, kind: str, options: dict, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_ANSWER", 2 * 2**20)
    proxy.misbehave(kind, **options)
    began = time.monotonic()
    with pytest.raises(TransportError, match=why) as raised:
        line.ask(ASK, 0.7)
    assert time.monotonic() - began < 60, "an hour is how long the proxy would wait"
    assert SECRET not in str(raised.value)
    proxy.behave()
    assert line.ask(ASK, 5)["result"] == "0x7a69"


def test_an_answer_that_drips_byte_by_byte_is_bounded_in_its_headers_already(proxy: RpcProxy, line: Transport) -> None:
    proxy.misbehave("drip", seconds=0.3)  # of its 80 bytes of headers 3 arrive in time
    with pytest.raises(TransportError, match="no answer within 1 s"):
        line.ask(ASK, 1)


def test_a_broken_connection_is_made_again_only_for_what_may_be_asked_twice(proxy: RpcProxy, line: Transport) -> None:
    met = proxy.misbehave("reset-before", times=2)
    assert line.ask(ASK, 5, repeats=2)["result"] == "0x7a69"
    assert met.met == 2
    proxy.misbehave("reset-before", times=1)
    with pytest.raises(TransportError):
        line.ask(ASK, 5)


def test_nobody_there_is_said_so() -> None:
    with pytest.raises(TransportError, match="nobody listens"):
        Transport("http://127.0.0.1:9").ask(ASK, 5)
    for url in ("ftp://127.0.0.1", "nonsense", "http://", "http://[::1"):
        with pytest.raises(TransportError):
            Transport(url).ask(ASK, 5)


def test_a_forked_child_has_a_line_of_its_own(line: Transport) -> None:
    assert line.ask(ASK, 5)["result"] == "0x7a69"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if line.ask(("net_version", []), 5)["result"] == "31337" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert line.ask(ASK, 5)["result"] == "0x7a69"


def test_only_host_and_port_are_ever_shown(line: Transport) -> None:
    assert SECRET not in line.place + repr(line)
    assert line.place.startswith("127.0.0.1:")
    assert Transport("https://node.example/v2/key").place == "node.example"
