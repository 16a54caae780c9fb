"""One connection to one chain: JSON-RPC with clear errors, blocks, pinned reads.

The identity of the chain (id and genesis hash) is checked when connecting and can be re-checked before
anything is sent: the same URL may serve another chain tomorrow. A chain may be reached through several endpoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ledger.chain.errors import AnswerError, BlockMissingError, RpcError
from ledger.chain.node.endpoint import Anchor
from ledger.chain.node.endpoints import Endpoints, EndpointStanding, endpoint_urls
from ledger.model.units import Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.keccak import keccak256

BATCH_CALLS: Final = 500
"""JSON-RPC calls sent in one request; public nodes refuse much more."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block's identity and time."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: Timestamp
    base_fee_wei: int
    logs_bloom: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a mined transaction."""

    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    succeeded: bool
    gas_used: int


BlockAt = int | Hash32 | str
"""Where a read is pinned: a number, a hash (safe against reorgs), or a tag such as `latest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """When a block is final: `depth` blocks on top of it, or the node's own `finalized` tag."""

    depth: int = 12
    finalized_tag: bool = False

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise ValueError("a finality depth is not negative")


class Connection:
    """A checked connection. Every read takes the block it is pinned to."""

    def __init__(self, endpoints: Endpoints) -> None:
        endpoints.identify()
        if endpoints.chain_id is None or endpoints.genesis_hash is None:
            raise AnswerError("no endpoint says which chain it serves")
        self._endpoints = endpoints
        self.rpc_url = endpoints.urls[0]
        self.chain_id = endpoints.chain_id
        self._genesis_hash = endpoints.genesis_hash

    def __repr__(self) -> str:
        return f"Connection(chain {self.chain_id})"  # a node's URL often carries an access key

    @property
    def genesis_hash(self) -> Hash32:
        """The hash of the chain's first block: with the id, what makes it this chain."""
        return self._genesis_hash

    @genesis_hash.setter
    def genesis_hash(self, expected: Hash32) -> None:
        self._genesis_hash = self._endpoints.genesis_hash = expected

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises ChainUnreachableError, or RpcError with the node's code, text and data."""
        return _result(method, self._endpoints.ask(method, list(params)))

    def rpc_batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Many calls in few requests, answers in order. Raises like `rpc`."""
        results: list[Any] = []
        for at in range(0, len(calls), BATCH_CALLS):
            chunk = calls[at : at + BATCH_CALLS]
            answers = self._endpoints.ask_many(chunk)
            if isinstance(answers, dict) or len(answers) != len(chunk):
                _result("batch", answers if isinstance(answers, dict) else (answers[0] if answers else {}))
                raise RpcError("the node does not answer batches")
            results += [_result(method, answer) for (method, _), answer in zip(chunk, answers, strict=True)]
        return results

    def broadcast(self, raw: bytes) -> Any:
        """Send signed bytes to every endpoint; the hash as the node says it. Raises like `rpc`.

        ChainUnreachableError: sent or not, nobody knows; the same bytes may be sent again.
        """
        return _result("eth_sendRawTransaction", self._endpoints.send(to_hex(raw)))

    def in_one_look(self, work: Callable[[], Parsed], anchor: Anchor | None = None, seconds: float = 300) -> Parsed:
        """Do `work`, whose reads belong together, on one endpoint; begun anew on another one when that one fails.

        `work` must be safe to repeat. `anchor`: a block known to be final. All of it is bounded by `seconds`.
        """
        return self._endpoints.in_one_look(work, anchor, seconds)

    def endpoints(self) -> list[EndpointStanding]:
        """Every endpoint of this connection and whether it is of use now; asks each of them."""
        return self._endpoints.standings()

    def is_mined_elsewhere(self, tx_hashes: Sequence[Hash32]) -> bool:
        """Whether an endpoint that is not read from now shows one of these transactions as mined."""
        calls = [("eth_getTransactionReceipt", [to_hex(tx_hash)]) for tx_hash in tx_hashes]
        return self._endpoints.anyone_else_says(calls, any)

    def anyone_else_says(self, method: str, question: Any, judge: Callable[[Any], bool]) -> bool:
        """Whether an endpoint that is not read from now answers so; False where there is no other one."""
        return self._endpoints.anyone_else_says([(method, [question])], lambda answers: judge(answers[0]))

    def check_identity(self) -> None:
        """Raise unless the node still serves the chain this connection was made to."""
        self._endpoints.recheck()

    def block(self, at: BlockAt) -> Block:
        """A block by number, hash or tag. Raises BlockMissingError."""
        found = self.find_block(at)
        if found is None:
            raise BlockMissingError(f"block {to_hex(at) if isinstance(at, bytes) else at} is not on the node")
        return found

    def find_block(self, at: BlockAt) -> Block | None:
        """A block by number, hash or tag, or None."""
        if isinstance(at, bytes):
            answer = self.rpc("eth_getBlockByHash", to_hex(at), False)
        else:
            answer = self.rpc("eth_getBlockByNumber", block_parameter(at), False)
        return parsed("block", _block, answer) if answer else None

    def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Many blocks by number, in order. Raises BlockMissingError when one is not there."""
        answers = self.rpc_batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        for number, answer in zip(numbers, answers, strict=True):
            if not answer:
                raise BlockMissingError(f"block {number} is not on the node")
        return [parsed("block", _block, answer) for answer in answers]

    def head(self) -> Block:
        """The newest block the node has."""
        return self.block("latest")

    def final_block(self, finality: Finality) -> Block | None:
        """The newest block that counts as final, or None while there is none."""
        if finality.finalized_tag:
            return self.find_block("finalized")
        number = self.head().number - finality.depth
        return self.find_block(number) if number >= 0 else None

    def last_block_before(self, at: Timestamp) -> Block | None:
        """The last block with a timestamp below `at`, by binary search; None when even genesis is later.

        It is settled only once a later block exists: while the head itself is earlier than `at`, another
        block earlier than `at` may still follow.
        """
        head = self.head()
        if head.timestamp < at:
            return head
        low, high = -1, head.number  # block `high` is not before `at`; block `low`, if any, is
        found: Block | None = None
        while high - low > 1:
            middle = self.block((low + high) // 2)
            if middle.timestamp < at:
                low, found = middle.number, middle
            else:
                high = middle.number
        return found

    def nonce(self, account: Address, at: BlockAt = "latest") -> int:
        """How many transactions of the account are mined."""
        return parsed("count", as_number, self.rpc("eth_getTransactionCount", to_hex(account), block_parameter(at)))

    def balance_wei(self, account: Address, at: BlockAt = "latest") -> int:
        """The account's native coin, in its smallest unit."""
        return parsed("balance", as_number, self.rpc("eth_getBalance", to_hex(account), block_parameter(at)))

    def code(self, account: Address, at: BlockAt = "latest") -> bytes:
        """The account's contract code; empty when it is no contract."""
        return parsed("code", from_hex, self.rpc("eth_getCode", to_hex(account), block_parameter(at)))

    def code_hash(self, account: Address, at: BlockAt = "latest") -> Hash32:
        """keccak256 of the account's code."""
        return keccak256(self.code(account, at))

    def receipts(self, tx_hashes: Sequence[Hash32]) -> list[Receipt | None]:
        """What became of each transaction, in order; None while it is not mined."""
        answers = self.rpc_batch([("eth_getTransactionReceipt", [to_hex(tx_hash)]) for tx_hash in tx_hashes])
        return [parsed("receipt", _receipt, answer) if answer else None for answer in answers]

    def call(
        self, to: Address, calldata: bytes, at: BlockAt, *, sender: Address | None = None, value_wei: int = 0
    ) -> bytes:
        """What a call would return, without sending it. A revert raises RpcError with the revert data."""
        request = {"to": to_hex(to), "data": to_hex(calldata)}
        if sender is not None:
            request["from"] = to_hex(sender)
        if value_wei:
            request["value"] = hex(value_wei)
        return parsed("result", from_hex, self.rpc("eth_call", request, block_parameter(at)))

    def storage_many(self, address: Address, places: Sequence[Hash32], at: BlockAt) -> list[bytes]:
        """Many storage words of one contract at one block, in few requests, in order."""
        where = block_parameter(at)
        requests = [("eth_getStorageAt", [to_hex(address), to_hex(place), where]) for place in places]
        return [parsed("word", _word, answer) for answer in self.rpc_batch(requests)]


def connect(
    rpc_url: str,
    *,
    expected_chain_id: int | None = None,
    expected_genesis_hash: Hash32 | None = None,
    timeout_seconds: float = 30,
) -> Connection:
    """Connect and check the chain's identity; `rpc_url` is one address, or several with commas between.

    `timeout_seconds` bounds one call as a whole. Raises ChainUnreachableError, WrongChainError or OtherGenesisError.
    """
    return Connection(
        Endpoints(
            endpoint_urls(rpc_url),
            chain_id=expected_chain_id,
            genesis_hash=expected_genesis_hash,
            call_seconds=timeout_seconds,
        )
    )


def block_parameter(at: BlockAt) -> Any:
    """A block in JSON-RPC's form; a hash only as long as it is canonical (EIP-1898)."""
    if isinstance(at, bytes):
        return {"blockHash": to_hex(at), "requireCanonical": True}
    return hex(at) if isinstance(at, int) else at


def parsed(what: str, parse: Callable[[Any], Parsed], answer: Any) -> Parsed:
    """The node's value in our form. AnswerError when it has another form, whatever it is."""
    try:
        return parse(answer)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise AnswerError(f"the node's {what} is none: {str(answer)[:60]!r}") from error


def as_number(answer: str) -> int:
    """A quantity in JSON-RPC's form."""
    return int(answer, 16)


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise AnswerError(f"{method}: the node's answer is no JSON-RPC")
    error = answer.get("error")
    if error is not None:
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
        code, data = (error.get("code", 0), error.get("data")) if isinstance(error, dict) else (0, None)
        raise RpcError(f"{method}: {text}", rpc_code=code if isinstance(code, int) else 0, message=text, data=data)
    return answer.get("result")


def _word(answer: str) -> bytes:
    return from_hex(answer, 32)


def _block(answer: dict[str, Any]) -> Block:
    return Block(
        number=int(answer["number"], 16),
        hash=Hash32(from_hex(answer["hash"], 32)),
        parent_hash=Hash32(from_hex(answer["parentHash"], 32)),
        timestamp=Timestamp(int(answer["timestamp"], 16)),
        base_fee_wei=int(answer.get("baseFeePerGas") or "0x0", 16),
        logs_bloom=from_hex(answer["logsBloom"], 256),
    )


def _receipt(answer: dict[str, Any]) -> Receipt:
    return Receipt(
        tx_hash=Hash32(from_hex(answer["transactionHash"], 32)),
        block_number=int(answer["blockNumber"], 16),
        block_hash=Hash32(from_hex(answer["blockHash"], 32)),
        succeeded=int(answer["status"], 16) == 1,
        gas_used=int(answer["gasUsed"], 16),
    )
