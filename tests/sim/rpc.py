"""A fake node: answers the JSON-RPC the ledger speaks from the fake chain, and lies or fails when a fault is drawn.

Duck-typed as web3's HTTPProvider for `ledger.chain.node.connection.Connection`. Every call is a moment at which the
worker may be interrupted or killed. A stale answer shows the chain as it was some blocks ago, whole and consistent, as
a lagging backend behind a load balancer does.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import requests

from ledger.chain.contracts.artefacts import REWARDS_LEDGER, storage_slot
from ledger.model.units import Address, Hash32, from_hex, to_hex
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import keccak256

from . import wire
from .chain import Block, Chain, Log, NodeRefusalError, called
from .contract import RefusedError

GAS: Final = 300_000
_ACCOUNTS_SLOT: Final = uint_word(storage_slot(REWARDS_LEDGER, "_accounts"))

Interrupt = Callable[[str], str | None]
"""Told each method before it is answered; says which fault to inject, or kills the worker."""


class Node:
    """The node as one worker sees it."""

    def __init__(self, chain: Chain, chain_id: int, interrupt: Interrupt) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._interrupt = interrupt

    def make_request(self, method: str, params: list[Any]) -> Any:
        """One call."""
        fault = self._interrupt(method)
        return self._faulty(fault, lambda: self._answer(method, params, self._view(fault), fault))

    def make_batch_request(self, calls: Sequence[tuple[str, list[Any]]]) -> Any:
        """Many calls, answered from one view of the chain."""
        fault = self._interrupt(f"batch of {calls[0][0]}" if calls else "batch")
        view = self._view(fault)
        return self._faulty(fault, lambda: [self._answer(method, params, view, fault) for method, params in calls])

    def _faulty(self, fault: str | None, answered: Callable[[], Any]) -> Any:
        match fault:
            case "lost request":
                raise requests.ConnectionError
            case "lost answer":
                answered()
                raise requests.Timeout
            case "no JSON":
                raise ValueError("Expecting value")
            case "server error":
                return {"error": {"code": -32603, "message": "internal error"}}
            case "server error after":
                answered()
                return {"error": {"code": -32603, "message": "internal error"}}
        return answered()

    def _view(self, fault: str | None) -> list[Block]:
        """The blocks this answer is given from."""
        blocks = self._chain.blocks
        if fault is not None and fault.startswith("stale head "):
            return blocks[: -int(fault.removeprefix("stale head "))]
        return blocks

    def _answer(self, method: str, params: list[Any], blocks: list[Block], fault: str | None) -> dict[str, Any]:
        try:
            return {"result": self._result(method, params, blocks, fault)}
        except NodeRefusalError as refused:
            return {"error": {"code": -32000, "message": str(refused)}}
        except RefusedError as refused:
            return {"error": {"code": 3, "message": "execution reverted", "data": wire.revert_data(str(refused))}}

    def _result(self, method: str, params: list[Any], blocks: list[Block], fault: str | None) -> Any:
        match method:
            case "eth_chainId":
                return hex(self._chain_id + 1 if fault == "wrong chain" else self._chain_id)
            case "eth_getBlockByNumber":
                block = _at(blocks, params[0])
                return block.answer if block and fault != "missing block" else None
            case "eth_getBlockByHash":
                wanted = Hash32(from_hex(params[0], 32))
                return next((block.answer for block in blocks if block.hash == wanted), None)
            case "eth_getTransactionCount":
                sender = Address(from_hex(params[0], 20))
                mined = _require(blocks, params[1]).nonces.get(sender, 0)
                if params[1] == "pending":
                    while any(sent.sender == sender and sent.nonce == mined for sent in self._chain.pool.values()):
                        mined += 1
                return hex(mined)
            case "eth_getCode":
                return to_hex(code_at(Address(from_hex(params[0], 20))))
            case "eth_getTransactionReceipt":
                return self._receipt(Hash32(from_hex(params[0], 32)), blocks, fault)
            case "eth_call" | "eth_estimateGas":
                return self._call(params[0], _require(blocks, params[1] if len(params) > 1 else "latest"), method)
            case "eth_getStorageAt":
                return to_hex(_stored(_require(blocks, params[2]), params[1]))
            case "eth_getLogs":
                return self._logs(params[0], blocks, fault)
            case "eth_sendRawTransaction":
                return to_hex(self._chain.submit(from_hex(params[0]), wants_base_fee=fault == "strict fees"))
        raise NodeRefusalError(f"the method {method} does not exist")

    def _receipt(self, tx_hash: Hash32, blocks: list[Block], fault: str | None) -> dict[str, Any] | None:
        if fault == "null receipt":
            return None
        # a lying node still believes the block a reorganisation took away
        block = self._chain.seen_in.get(tx_hash) if fault == "stale receipt" else self._chain.at.get(tx_hash)
        if block is None or block.number > blocks[-1].number:
            return None
        return {
            "transactionHash": to_hex(tx_hash),
            "blockNumber": hex(block.number),
            "blockHash": to_hex(block.hash),
            "status": hex(block.succeeded[tx_hash]),
            "gasUsed": hex(GAS),
        }

    def _call(self, request: dict[str, str], block: Block, method: str) -> str:
        to, calldata = Address(from_hex(request["to"], 20)), from_hex(request["data"])
        if to == block.state.ledger:
            answer = wire.view(block.state, calldata)
            if answer is not None:
                return to_hex(answer)
            sender = Address(from_hex(request["from"], 20))
            called(block.state, sender, to, calldata, block.timestamp)
        return hex(GAS) if method == "eth_estimateGas" else "0x"

    def _logs(self, wanted: dict[str, Any], blocks: list[Block], fault: str | None) -> list[dict[str, Any]]:
        if "blockHash" in wanted:
            block_hash = from_hex(wanted["blockHash"], 32)
            chosen = [block for block in blocks if block.hash == block_hash]
            if not chosen:
                raise NodeRefusalError("unknown block")
            if fault == "no logs":
                return []
        else:
            first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            if fault == "no logs":
                return []
            if fault == "narrow logs" and last > first:
                raise NodeRefusalError("query exceeds max block range 1")
            chosen = blocks[first : last + 1]
        addresses = {from_hex(address, 20) for address in wanted["address"]} if "address" in wanted else None
        topics = {from_hex(topic, 32) for topic in wanted.get("topics", [[]])[0]}
        return [
            _log_answer(log, block)
            for block in chosen
            for log in block.logs
            if (addresses is None or log.address in addresses) and (not topics or log.topics[0] in topics)
        ]


def code_at(address: Address) -> bytes:
    """A contract's code: something, and another for each."""
    return b"\xfe" + address


def _at(blocks: list[Block], where: str) -> Block | None:
    if where in {"latest", "pending"}:
        return blocks[-1]
    number = int(where, 16)
    return blocks[number] if number < len(blocks) else None


def _require(blocks: list[Block], where: Any) -> Block:
    if isinstance(where, dict):
        wanted = from_hex(where["blockHash"], 32)
        found = next((block for block in reversed(blocks) if block.hash == wanted), None)
    else:
        found = _at(blocks, where)
    if found is None:
        raise NodeRefusalError("header not found")
    return found


def _stored(block: Block, place: str) -> bytes:
    """A word of the ledger's accounts; the only storage that is read in bulk."""
    wanted = from_hex(place, 32)
    for account, claimed in block.state.claimed.items():
        if keccak256(address_word(account) + _ACCOUNTS_SLOT) == wanted:
            return uint_word(claimed)
    return bytes(32)


def _log_answer(log: Log, block: Block) -> dict[str, Any]:
    return {
        "blockNumber": hex(block.number),
        "blockHash": to_hex(block.hash),
        "transactionHash": to_hex(log.tx_hash),
        "logIndex": hex(log.log_index),
        "address": to_hex(log.address),
        "topics": [to_hex(topic) for topic in log.topics],
        "data": to_hex(log.data),
    }
