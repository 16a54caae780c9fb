"""Calls that are never answered, before and after the node did what was asked."""

from collections.abc import Callable

import pytest
from matrix.stage import Outcome, Stage

METHODS = (
    "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionCount", "eth_call", "eth_estimateGas",
    "eth_getLogs", "eth_getBlockByNumber", "eth_chainId", "eth_getCode",
)  # fmt: skip
ROW = {
    "timeout-before": pytest.mark.row("RPC timeout before acceptance"),
    "timeout-after": pytest.mark.row("RPC timeout after acceptance"),
}
EITHER = [pytest.param(kind, id=kind, marks=mark) for kind, mark in ROW.items()]


@pytest.mark.parametrize("kind", EITHER)
def test_every_broadcast_is_left_unanswered_once(stage: Stage, undisturbed: Outcome, kind: str) -> None:
    """The first broadcast of every transaction, the ledger's and the operators', gets no answer."""
    for _ in range(5):
        stage.proxy.misbehave(kind, "eth_sendRawTransaction", times=1, skip=1 if stage.hits else 0)
    assert stage.play() == undisturbed
    assert stage.hits >= 2
    assert "chain.unreachable" in stage.met


@pytest.mark.slow
@pytest.mark.parametrize("kind", EITHER)
@pytest.mark.parametrize("method", METHODS)
def test_every_third_call_of_a_method_is_left_unanswered(
    stage: Stage, undisturbed: Outcome, kind: str, method: str
) -> None:
    """One method after the other: every third call of it gets no answer, twelve times."""
    stage.harass(kind, method, times=1, spared=2, rounds=12)
    assert stage.play() == undisturbed
    assert stage.hits >= 1


@pytest.mark.parametrize("kind", EITHER)
def test_one_of_three_endpoints_never_answers(
    stage_with: Callable[..., Stage], undisturbed: Outcome, kind: str
) -> None:
    """The first of three endpoints never answers a broadcast."""
    stage = stage_with(endpoints=3)
    stage.proxy.misbehave(kind, "eth_sendRawTransaction")
    assert stage.play() == undisturbed
    assert stage.met == [], "nobody but the ledger itself has noticed"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("reset-before", marks=ROW["timeout-before"]),
        pytest.param("status", marks=ROW["timeout-after"]),
        pytest.param("garbage", marks=ROW["timeout-after"]),
        pytest.param("reset-after", marks=ROW["timeout-after"]),
    ],
)
def test_torn_connections_server_errors_and_garbage(stage: Stage, undisturbed: Outcome, kind: str) -> None:
    """Every fourth call, whatever it is, meets a torn connection, a 503 or no JSON."""
    stage.harass(kind, times=1, spared=3, rounds=60)
    assert stage.play() == undisturbed
    assert stage.hits >= 10
