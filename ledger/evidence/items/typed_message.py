"""What a wallet is asked to sign: the EIP-712 document of an item, as `eth_signTypedData_v4` takes it."""

from collections.abc import Mapping
from typing import Any

from ledger.evidence.items.json_values import to_json
from ledger.evidence.items.typed_data import DOMAIN_NAME, DOMAIN_VERSION, Domain, TypedStruct
from ledger.model.units import to_hex
from ledger.tree.keccak import checksum_address

_DOMAIN_MEMBERS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_FIXED_TEXT_BYTES = {"bytes32": 32, "bytes2": 2}


def typed_message(domain: Domain, struct: TypedStruct, item: object) -> dict[str, Any]:
    """The document whose digest is what this ledger verifies; integers as decimal strings, bytes as hex."""
    values = {member.column: getattr(item, member.column) for member in struct.members}
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN_MEMBERS],
            struct.name: [{"name": member.name, "type": member.type} for member in struct.members],
        },
        "primaryType": struct.name,
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": checksum_address(domain.verifying_contract),
        },
        "message": _message(struct, values),
    }


def _message(struct: TypedStruct, values: Mapping[str, Any]) -> dict[str, Any]:
    message = to_json(struct, values)
    for member in struct.members:
        value = message[member.name]
        if member.is_text and member.type in _FIXED_TEXT_BYTES:
            # zone and country are text here and right-padded bytes where they are signed (E1.2, E1.3)
            message[member.name] = to_hex(value.encode("ascii").ljust(_FIXED_TEXT_BYTES[member.type], b"\0"))
        elif member.is_integer:
            message[member.name] = str(value)
    return message
