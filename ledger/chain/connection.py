"""One connection to one chain: JSON-RPC with clear errors, blocks, pinned reads.

The identity of the chain (id and genesis hash) is checked when connecting and can be re-checked before
anything is sent: the same URL may serve another chain tomorrow. web3 is imported only when connecting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.chain.errors import (
    BlockMissingError,
    ChainUnreachableError,
    OtherGenesisError,
    RpcError,
    WrongChainError,
)
from ledger.model.units import Address, Hash32, Timestamp, from_hex, to_hex
from ledger.tree.keccak import keccak256

if TYPE_CHECKING:
    from web3 import HTTPProvider

BATCH_CALLS: Final = 500
"""JSON-RPC calls sent in one request; public nodes refuse much more."""
_READ_RETRIES: Final = 3


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

    def __init__(self, provider: "HTTPProvider", rpc_url: str) -> None:
        self._provider = provider
        self.rpc_url = rpc_url
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        self.genesis_hash = self.block(0).hash

    def __repr__(self) -> str:
        return f"Connection(chain {self.chain_id})"  # a node's URL often carries an access key

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call. Raises ChainUnreachableError, or RpcError with the node's code, text and data."""
        import requests  # web3's own transport, imported as late as web3 is
        from web3.types import RPCEndpoint

        try:
            answer: Any = self._provider.make_request(RPCEndpoint(method), list(params))
        except (requests.RequestException, OSError) as error:
            raise ChainUnreachableError(f"{method}: the node does not answer ({type(error).__name__})") from error
        except ValueError as error:
            raise ChainUnreachableError(f"{method}: the node's answer is no JSON") from error
        return _result(method, answer)

    def rpc_batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Many calls in few requests, answers in order. Raises like `rpc`."""
        import requests
        from web3.types import RPCEndpoint

        results: list[Any] = []
        for at in range(0, len(calls), BATCH_CALLS):
            chunk = [(RPCEndpoint(method), params) for method, params in calls[at : at + BATCH_CALLS]]
            try:
                answers: Any = self._provider.make_batch_request(chunk)
            except (requests.RequestException, OSError) as error:
                raise ChainUnreachableError(f"batch: the node does not answer ({type(error).__name__})") from error
            except ValueError as error:
                raise ChainUnreachableError("batch: the node's answer is no JSON") from error
            if not isinstance(answers, list) or len(answers) != len(chunk):
                _result("batch", answers if isinstance(answers, dict) else {})
                raise RpcError("the node does not answer batches")
            results += [_result(method, answer) for (method, _), answer in zip(chunk, answers, strict=True)]
        return results

    def check_identity(self) -> None:
        """Raise unless the node still serves the chain this connection was made to."""
        served = int(self.rpc("eth_chainId"), 16)
        _require_identity(served, self.block(0).hash, self.chain_id, self.genesis_hash)

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
        return _block(answer) if answer else None

    def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Many blocks by number, in order. Raises BlockMissingError when one is not there."""
        answers = self.rpc_batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        for number, answer in zip(numbers, answers, strict=True):
            if not answer:
                raise BlockMissingError(f"block {number} is not on the node")
        return [_block(answer) for answer in answers]

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
        return int(self.rpc("eth_getTransactionCount", to_hex(account), block_parameter(at)), 16)

    def balance_wei(self, account: Address, at: BlockAt = "latest") -> int:
        """The account's native coin, in its smallest unit."""
        return int(self.rpc("eth_getBalance", to_hex(account), block_parameter(at)), 16)

    def code(self, account: Address, at: BlockAt = "latest") -> bytes:
        """The account's contract code; empty when it is no contract."""
        return from_hex(self.rpc("eth_getCode", to_hex(account), block_parameter(at)))

    def code_hash(self, account: Address, at: BlockAt = "latest") -> Hash32:
        """keccak256 of the account's code."""
        return keccak256(self.code(account, at))

    def receipts(self, tx_hashes: Sequence[Hash32]) -> list[Receipt | None]:
        """What became of each transaction, in order; None while it is not mined."""
        answers = self.rpc_batch([("eth_getTransactionReceipt", [to_hex(tx_hash)]) for tx_hash in tx_hashes])
        return [_receipt(answer) if answer else None for answer in answers]

    def call(
        self, to: Address, calldata: bytes, at: BlockAt, *, sender: Address | None = None, value_wei: int = 0
    ) -> bytes:
        """What a call would return, without sending it. A revert raises RpcError with the revert data."""
        request = {"to": to_hex(to), "data": to_hex(calldata)}
        if sender is not None:
            request["from"] = to_hex(sender)
        if value_wei:
            request["value"] = hex(value_wei)
        return from_hex(self.rpc("eth_call", request, block_parameter(at)))

    def storage_many(self, address: Address, places: Sequence[Hash32], at: BlockAt) -> list[bytes]:
        """Many storage words of one contract at one block, in few requests, in order."""
        where = block_parameter(at)
        requests = [("eth_getStorageAt", [to_hex(address), to_hex(place), where]) for place in places]
        return [from_hex(answer, 32) for answer in self.rpc_batch(requests)]


def connect(
    rpc_url: str,
    *,
    expected_chain_id: int | None = None,
    expected_genesis_hash: Hash32 | None = None,
    timeout_seconds: float = 30,
) -> Connection:
    """Connect and check the chain's identity.

    Raises ChainUnreachableError, WrongChainError or OtherGenesisError.
    """
    import requests
    from web3 import HTTPProvider  # costs a second to import; reads of the database need none of it
    from web3.providers.rpc.utils import ExceptionRetryConfiguration

    provider = HTTPProvider(
        rpc_url,
        request_kwargs={"timeout": timeout_seconds},
        exception_retry_configuration=ExceptionRetryConfiguration(
            # web3 would also repeat eth_sendRawTransaction; the outbox decides about that itself
            errors=(requests.ConnectionError, requests.Timeout),
            retries=_READ_RETRIES,
            backoff_factor=0.05,
            method_allowlist=["eth_call", "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs", "eth_chainId"],
        ),
    )
    connection = Connection(provider, rpc_url)
    _require_identity(connection.chain_id, connection.genesis_hash, expected_chain_id, expected_genesis_hash)
    return connection


def block_parameter(at: BlockAt) -> Any:
    """A block in JSON-RPC's form; a hash only as long as it is canonical (EIP-1898)."""
    if isinstance(at, bytes):
        return {"blockHash": to_hex(at), "requireCanonical": True}
    return hex(at) if isinstance(at, int) else at


def _require_identity(
    served_id: int, served_genesis: Hash32, chain_id: int | None, genesis_hash: Hash32 | None
) -> None:
    if chain_id is not None and served_id != chain_id:
        raise WrongChainError(f"the node serves chain {served_id}, expected chain {chain_id}")
    if genesis_hash is not None and served_genesis != genesis_hash:
        raise OtherGenesisError(
            f"the node's chain {served_id} starts with block {to_hex(served_genesis)}, expected {to_hex(genesis_hash)}"
        )


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise RpcError(f"{method}: the node's answer is no JSON-RPC")
    error = answer.get("error")
    if error is not None:
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
        code, data = (error.get("code", 0), error.get("data")) if isinstance(error, dict) else (0, None)
        raise RpcError(f"{method}: {text}", rpc_code=int(code), message=text, data=data)
    return answer.get("result")


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
