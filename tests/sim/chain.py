"""A fake chain: blocks with parent hashes, receipts, logs and blooms, a mempool, and reorganisations of any depth.

Blocks never change; a branch that was left is only dropped from the canonical list. A transaction of a dropped block
goes back to the mempool or is lost. Left out: gas and balances in the chain's own coin (everybody can pay), uncles,
peers; one node sees it all, and lies about it in `rpc`.
"""

import random
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

from ledger.model.units import Address, Hash32, to_hex
from ledger.tree.keccak import keccak256

from . import wire
from .contract import Model, RefusedError

GWEI: Final = 10**9
BLOCK_SECONDS: Final = 12
_BUMP_PERCENT: Final = 10
"""A replacement must pay this much more, as on real nodes."""


class NodeRefusalError(Exception):
    """The node refuses a transaction, in the words real nodes use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A transaction as the node decoded it. The bytes are ours: no curve, the sender stands in them."""

    tx_hash: Hash32
    sender: Address
    nonce: int
    to: Address
    calldata: bytes
    max_fee: int
    tip: int


def raw_bytes(sender: Address, nonce: int, to: Address, max_fee: int, tip: int, calldata: bytes) -> bytes:
    """A signed transaction's stand-in: deterministic, and another one for another fee."""
    return b"".join(
        (b"\x02", sender, nonce.to_bytes(8, "big"), to, max_fee.to_bytes(16, "big"), tip.to_bytes(16, "big"), calldata)
    )


@cache
def sent_from(raw: bytes) -> Sent:
    """The transaction in the bytes."""
    return Sent(
        tx_hash=keccak256(raw),
        sender=Address(raw[1:21]),
        nonce=int.from_bytes(raw[21:29], "big"),
        to=Address(raw[29:49]),
        max_fee=int.from_bytes(raw[49:65], "big"),
        tip=int.from_bytes(raw[65:81], "big"),
        calldata=raw[81:],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One event in a block."""

    tx_hash: Hash32
    log_index: int
    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    event: str
    values: dict[str, Any]
    """What the model emitted, for the oracles."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block, and the state of everything after it."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    base_fee: int
    transactions: tuple[Sent, ...]
    succeeded: dict[Hash32, bool]
    logs: tuple[Log, ...]
    state: Model
    nonces: dict[Address, int]

    @cached_property
    def answer(self) -> dict[str, Any]:
        """The block in JSON-RPC's form."""
        bloom = 0
        for value in {value for log in self.logs for value in (log.address, *log.topics)}:
            bloom |= _bloom_bits(value)
        return {
            "number": hex(self.number),
            "hash": to_hex(self.hash),
            "parentHash": to_hex(self.parent_hash),
            "timestamp": hex(self.timestamp),
            "baseFeePerGas": hex(self.base_fee),
            "logsBloom": to_hex(bloom.to_bytes(256, "big")),
        }


@dataclass(slots=True, kw_only=True)
class Chain:
    """The canonical blocks, what waits to be mined, and where mined transactions have ever been."""

    rng: random.Random
    addresses: dict[str, Address]
    """By the contract's name: who emits."""
    blocks: list[Block]
    pool: dict[Hash32, Sent] = field(default_factory=dict)
    """Every transaction the network still has, earlier attempts too: any of them may be mined."""
    seen_in: dict[Hash32, Block] = field(default_factory=dict)
    """The last block that held a transaction, canonical or not: stale answers come from here."""
    at: dict[Hash32, Block] = field(default_factory=dict)
    """Where each transaction is on the canonical chain."""
    base_fee: int = GWEI

    @property
    def head(self) -> Block:
        """The newest canonical block."""
        return self.blocks[-1]

    def copied(self, rng: random.Random) -> "Chain":
        """The same history, to go on from."""
        return Chain(
            rng=rng, addresses=self.addresses, blocks=list(self.blocks), seen_in=dict(self.seen_in), at=dict(self.at)
        )

    def submit(self, raw: bytes, *, wants_base_fee: bool = False) -> Hash32:
        """Take a transaction into the mempool. NodeRefusalError in a node's words."""
        sent = sent_from(raw)
        if sent.tx_hash in self.pool or sent.tx_hash in self.at:
            raise NodeRefusalError("already known")
        if sent.nonce < self.head.nonces.get(sent.sender, 0):
            raise NodeRefusalError("nonce too low")
        for other in self.pool.values():
            if (other.sender, other.nonce) == (sent.sender, sent.nonce) and (
                sent.max_fee * 100 < other.max_fee * (100 + _BUMP_PERCENT)
                or sent.tip * 100 < other.tip * (100 + _BUMP_PERCENT)
            ):
                raise NodeRefusalError("replacement transaction underpriced")
        if wants_base_fee and sent.max_fee < self.base_fee:
            raise NodeRefusalError("max fee per gas less than block base fee")
        self.pool[sent.tx_hash] = sent
        return sent.tx_hash

    def mine(self, at: int, *, is_empty: bool = False) -> Block:
        """One block with what may be mined now; of several attempts at one nonce any that pays, mostly the last."""
        before = self.head
        state, nonces = before.state.copied(), dict(before.nonces)
        included: list[Sent] = []
        succeeded: dict[Hash32, bool] = {}
        logs: list[Log] = []
        timestamp = max(before.timestamp + 1, at)
        while not is_empty and (sent := self._next(nonces)) is not None:
            nonces[sent.sender] = sent.nonce + 1
            included.append(sent)
            state, emitted = _executed(state, sent, timestamp, self.addresses, first=len(logs))
            succeeded[sent.tx_hash] = emitted is not None
            logs += emitted or ()
        salt = self.rng.getrandbits(64).to_bytes(8, "big")
        block = Block(
            number=before.number + 1,
            hash=keccak256(before.hash + salt),
            parent_hash=before.hash,
            timestamp=timestamp,
            base_fee=self.base_fee,
            transactions=tuple(included),
            succeeded=succeeded,
            logs=tuple(logs),
            state=state,
            nonces=nonces,
        )
        self._append(block)
        return block

    def reorganise(self, depth: int, length: int, lost: float) -> list[Block]:
        """Drop the last `depth` blocks, mine `length` others in their place; each transaction is lost by chance.

        Returns the dropped blocks.
        """
        left = self.blocks[-depth:]
        del self.blocks[-depth:]
        for sent in (sent for block in left for sent in block.transactions):
            self.at.pop(sent.tx_hash, None)
            if self.rng.random() >= lost:
                self.pool[sent.tx_hash] = sent
        for place in range(length):
            at = left[min(place, depth - 1)].timestamp + self.rng.randrange(3)
            self.mine(at, is_empty=self.rng.random() < 0.5)
        return left

    def drop(self, tx_hash: Hash32) -> None:
        """The network forgets a transaction that waits."""
        self.pool.pop(tx_hash, None)

    def _next(self, nonces: dict[Address, int]) -> Sent | None:
        ready = [
            sent
            for sent in self.pool.values()
            if sent.nonce == nonces.get(sent.sender, 0) and sent.max_fee >= self.base_fee
        ]
        if not ready:
            return None
        if len(ready) == 1:
            return ready[0]
        # mostly the newest of what waits, sometimes an early attempt or another account first
        return ready[-1] if self.rng.random() < 0.7 else self.rng.choice(ready)

    def _append(self, block: Block) -> None:
        self.blocks.append(block)
        for sent in block.transactions:
            self.seen_in[sent.tx_hash] = self.at[sent.tx_hash] = block
        for tx_hash in [
            tx_hash for tx_hash, sent in self.pool.items() if sent.nonce < block.nonces.get(sent.sender, 0)
        ]:
            del self.pool[tx_hash]


def called(state: Model, sender: Address, to: Address, calldata: bytes, now: int) -> Model:
    """The state after a call. Raises RefusedError as the contract reverts."""
    after = state.copied()
    if to == state.ledger:
        name, arguments = wire.write(calldata)
        getattr(after, name)(sender, now, *arguments)
    return after


def _executed(
    state: Model, sent: Sent, now: int, addresses: dict[str, Address], first: int
) -> tuple[Model, list[Log] | None]:
    """The state after a transaction and its logs; None and the same state when it reverts."""
    try:
        after = called(state, sent.sender, sent.to, sent.calldata, now)
    except RefusedError:
        return state, None
    return after, [as_log(event, values, sent.tx_hash, addresses, first + at) for at, (event, values) in
                   enumerate(after.events)]  # fmt: skip


def as_log(event: str, values: dict[str, Any], tx_hash: Hash32, addresses: dict[str, Address], index: int) -> Log:
    """What the model emitted, as a log of a block."""
    contract, topics, data = wire.log(event, values)
    return Log(
        tx_hash=tx_hash,
        log_index=index,
        address=addresses[contract],
        topics=topics,
        data=data,
        event=event,
        values=values,
    )


@cache
def _bloom_bits(value: bytes) -> int:
    digest = keccak256(value)
    return sum(1 << bit for bit in {int.from_bytes(digest[at : at + 2], "big") & 2047 for at in (0, 2, 4)})
