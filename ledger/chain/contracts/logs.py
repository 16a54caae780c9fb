"""Event logs of a range of blocks, in pieces the node is willing to answer, decoded by contract."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.chain.contracts.interface import ContractInterface
from ledger.chain.errors import LogsHiddenError, RpcError
from ledger.chain.node.connection import Block, Connection, parsed
from ledger.db.chain_log import RawLog
from ledger.model.units import Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.keccak import keccak256

_FIRST_CHUNK: Final = 10_000
"""Blocks asked for at once; nodes limit this differently, so it is halved on every refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """One log as the node reports it."""

    block_number: int
    block_hash: Hash32
    tx_hash: Hash32
    log_index: int
    address: Address
    topics: tuple[Hash32, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEvent:
    """A decoded event of one of our contracts, and where it was mined."""

    chain_id: int
    contract: str
    """The contract's name, `RewardsLedger` …"""
    address: Address
    name: str
    arguments: Mapping[str, Any]
    """By snake-case name, in the contract's order; addresses and hashes are bytes, structs are mappings."""
    block_number: int
    block_hash: Hash32
    block_timestamp: Timestamp
    tx_hash: Hash32
    log_index: int

    @property
    def key(self) -> str:
        """`<chain>/<tx>/<log>`: names this log in business keys."""
        return f"{self.chain_id}/{to_hex(self.tx_hash)}/{self.log_index}"


def fetch_logs(
    connection: Connection,
    addresses: Sequence[Address],
    first: int,
    last: int,
    topics: Sequence[Hash32] = (),
    *,
    proved_later: bool = False,
) -> list[FoundLog]:
    """All logs of these contracts in blocks first … last, in the order of the chain.

    `topics`: only events with one of these first topics. With several endpoints no other one may know of more events,
    unless the caller proves the answer itself. Raises RpcError when the node refuses even one block, LogsHiddenError.
    """
    if proved_later:
        return _fetched(connection, addresses, first, last, topics)

    def look() -> list[FoundLog]:
        found = _fetched(connection, addresses, first, last, topics)
        question = _wanted(addresses, first, last, topics)
        if connection.anyone_else_says(
            "eth_getLogs", question, lambda answer: isinstance(answer, list) and len(answer) > len(found)
        ):
            raise LogsHiddenError(f"another endpoint knows of more events in blocks {first} … {last}")
        return found

    return connection.in_one_look(look)


def _fetched(
    connection: Connection, addresses: Sequence[Address], first: int, last: int, topics: Sequence[Hash32]
) -> list[FoundLog]:
    found: list[FoundLog] = []
    size = _FIRST_CHUNK
    at = first
    while at <= last:
        end = min(last, at + size - 1)
        try:
            answer = connection.rpc("eth_getLogs", _wanted(addresses, at, end, topics))
        except RpcError:
            if end == at:
                raise
            size = max(1, (end - at + 1) // 2)
            continue
        # a node may show more than it was asked for
        told = parsed("logs", _all_found, answer)
        found += [log for log in told if at <= log.block_number <= end and _is_wanted(log, addresses, topics)]
        at = end + 1
        size = min(_FIRST_CHUNK, 2 * size)
    return sorted(found, key=lambda log: (log.block_number, log.log_index))


def _is_wanted(log: FoundLog, addresses: Sequence[Address], topics: Sequence[Hash32]) -> bool:
    return log.address in addresses and (not topics or log.topics[:1] in {(topic,) for topic in topics})


def _wanted(addresses: Sequence[Address], first: int, last: int, topics: Sequence[Hash32]) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "address": [to_hex(address) for address in addresses],
    }
    return wanted | ({"topics": [[to_hex(topic) for topic in topics]]} if topics else {})


def fetch_block_logs(connection: Connection, block: Block) -> list[FoundLog]:
    """All logs of one block, whosever they are, proved complete by the block's own filter.

    Raises LogsHiddenError when the filter has a bit that none of them set: the node keeps some back.
    """
    found = parsed("logs", _all_found, connection.rpc("eth_getLogs", {"blockHash": to_hex(block.hash)}))
    said = 0
    for value in {value for log in found for value in (log.address, *log.topics)}:
        said |= _bloom_bits(value)
    if int.from_bytes(block.logs_bloom, "big") & ~said:
        raise LogsHiddenError(f"the node keeps back events of block {block.number}: its filter speaks of more")
    return found


def in_bloom(bloom: bytes, value: bytes) -> bool:
    """Whether a block's bloom filter may hold the value: never a wrong no, sometimes a wrong yes."""
    return not _bloom_bits(value) & ~int.from_bytes(bloom, "big")


def _bloom_bits(value: bytes) -> int:
    digest = keccak256(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def decode_events(
    chain_id: int, contracts: Mapping[Address, ContractInterface], logs: Sequence[RawLog]
) -> Iterator[ChainEvent]:
    """Decode stored logs; events the contract's interface does not know are left out."""
    for log in logs:
        contract = contracts.get(log.address)
        decoded = contract.event(log.topics, log.data) if contract is not None else None
        if contract is None or decoded is None:
            continue
        yield ChainEvent(
            chain_id=chain_id,
            contract=contract.name,
            address=log.address,
            name=decoded.name,
            arguments=decoded.arguments,
            block_number=log.block_number,
            block_hash=log.block_hash,
            block_timestamp=log.block_timestamp,
            tx_hash=log.tx_hash,
            log_index=log.log_index,
        )


def _all_found(answer: Sequence[Mapping[str, Any]]) -> list[FoundLog]:
    return [_found(entry) for entry in answer if not entry.get("removed")]


def _found(entry: Mapping[str, Any]) -> FoundLog:
    return FoundLog(
        block_number=int(entry["blockNumber"], 16),
        block_hash=Hash32(from_hex(entry["blockHash"], 32)),
        tx_hash=Hash32(from_hex(entry["transactionHash"], 32)),
        log_index=int(entry["logIndex"], 16),
        address=Address(from_hex(entry["address"].lower(), 20)),
        topics=tuple(Hash32(from_hex(topic, 32)) for topic in entry["topics"]),
        data=from_hex(entry["data"]),
    )
