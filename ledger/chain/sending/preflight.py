"""Before anything is sent: does the contract accept the call, and how much gas does it need?"""

from typing import Final

from ledger.chain.contracts.reverts import as_refusal
from ledger.chain.errors import RpcError
from ledger.chain.node.connection import BlockAt, Connection, as_number, parsed
from ledger.model.units import Address, to_hex
from ledger.tree.keccak import checksum_address

_GAS_MARGIN_PERCENT: Final = 25
"""Room above the estimate: state may change between estimate and block, and 1/64 is held back per call."""


def require_accepted(
    connection: Connection, sender: Address, to: Address, calldata: bytes, value_wei: int = 0, at: BlockAt = "latest"
) -> bytes:
    """What the call would return now. Raises CallRevertedError with the decoded reason."""
    try:
        return connection.call(to, calldata, at, sender=sender, value_wei=value_wei)
    except RpcError as error:
        raise as_refusal(error, f"the call to {checksum_address(to)}") from error


def gas_limit(connection: Connection, sender: Address, to: Address | None, calldata: bytes, value_wei: int = 0) -> int:
    """The node's estimate and a quarter. Raises CallRevertedError when the call would revert."""
    request = {"from": to_hex(sender), "data": to_hex(calldata), "value": hex(value_wei)}
    if to is not None:
        request["to"] = to_hex(to)
    try:
        estimate = parsed("estimate", as_number, connection.rpc("eth_estimateGas", request))
    except RpcError as error:
        target = checksum_address(to) if to is not None else "a new contract"
        raise as_refusal(error, f"the call to {target}") from error
    return estimate + estimate * _GAS_MARGIN_PERCENT // 100
