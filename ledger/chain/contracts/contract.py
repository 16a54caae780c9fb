"""A contract at its address: every read takes the block it is pinned to, every write is a `Call` to be sent.

Nothing here sends. Amounts are wei, µg or seconds as the names say; addresses and hashes are bytes.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ledger.chain.contracts.artefacts import interface
from ledger.chain.contracts.interface import ContractInterface, Decoded
from ledger.chain.contracts.reverts import as_refusal
from ledger.chain.errors import RpcError
from ledger.chain.node.connection import BlockAt, Connection
from ledger.model.units import Address
from ledger.tree.keccak import checksum_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A write that somebody may sign: target and calldata, with its meaning for people."""

    to: Address
    calldata: bytes
    meaning: Decoded
    contract: str

    def __str__(self) -> str:
        return f"{self.contract}.{self.meaning}"


class Contract:
    """A contract's interface at its address."""

    contract: ClassVar[str]

    def __init__(self, connection: Connection, address: Address) -> None:
        self.connection = connection
        self.address = address

    @property
    def interface(self) -> ContractInterface:
        """The contract's ABI."""
        return interface(self.contract)

    def read(self, function: str, *values: Any, at: BlockAt) -> Any:
        """Call a view at a block; one value alone, several as a tuple. A refusal raises CallRevertedError."""
        return self._answer(function, self._ask(self.interface.encode(function, *values), function, at))

    def call(self, function: str, *values: Any) -> Call:
        """A write, ready to be checked, shown, signed."""
        calldata = self.interface.encode(function, *values)
        meaning = self.interface.describe(calldata)
        return Call(
            to=self.address, calldata=calldata, meaning=meaning or Decoded(name=function, arguments={}),
            contract=self.contract,
        )  # fmt: skip

    def _ask(self, calldata: bytes, function: str, at: BlockAt) -> bytes:
        try:
            return self.connection.call(self.address, calldata, at)
        except RpcError as error:
            raise as_refusal(error, f"{self.contract}.{function} at {checksum_address(self.address)}") from error

    def _answer(self, function: str, answer: bytes) -> Any:
        values = self.interface.returned(function, answer)
        return values[0] if len(values) == 1 else values
