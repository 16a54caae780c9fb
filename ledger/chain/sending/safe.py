"""Calls as a file for the Safe app's Transaction Builder, with the checksum the app holds it to.

The app shows a decoded call only for functions whose arguments it can take as text; `AccessManager.schedule` and
`execute` are. A call with a struct or an array is given as bytes, its meaning in the description.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.chain.contracts.artefacts import ALL_CONTRACTS, interface
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.interface import readable
from ledger.model.units import Address, Timestamp, to_hex
from ledger.tree.keccak import checksum_address, keccak256

_BUILDER_VERSION = "1.18.0"
_TEXT_TYPES = ("address", "bool", "bytes", "string", "uint", "int")


def safe_batch(
    calls: Sequence[Call], *, chain_id: int, safe: Address, created_at: Timestamp, name: str, description: str
) -> dict[str, Any]:
    """The batch file, checksum included; `safe` is the Safe that will send the calls, in this order."""
    batch: dict[str, Any] = {
        "version": "1.0",
        "chainId": str(chain_id),
        "createdAt": int(created_at) * 1000,
        "meta": {
            "name": name,
            "description": description,
            "txBuilderVersion": _BUILDER_VERSION,
            "createdFromSafeAddress": checksum_address(safe),
            "createdFromOwnerAddress": "",
        },
        "transactions": [_transaction(call) for call in calls],
    }
    batch["meta"]["checksum"] = safe_checksum(batch)
    return batch


def safe_checksum(batch: Mapping[str, Any]) -> str:
    """What the app computes: keccak256 of its own sorted text of the file, with the name taken out."""
    text = _serialised({**batch, "meta": {**batch["meta"], "name": None}})
    return to_hex(keccak256(text.encode("utf-8")))


def is_intact(batch: Mapping[str, Any]) -> bool:
    """Whether the file still has the checksum it was written with: the app's own test before it loads one."""
    meta = dict(batch["meta"])
    stated = meta.pop("checksum", None)
    return bool(stated == safe_checksum({**batch, "meta": meta}))


def _transaction(call: Call) -> dict[str, Any]:
    transaction: dict[str, Any] = {"to": checksum_address(call.to), "value": "0"}
    method = interface(call.contract).method(call.meaning.name) if call.contract in ALL_CONTRACTS else None
    inputs = [] if method is None else method["inputs"]
    if method is None or not all(part["type"].startswith(_TEXT_TYPES) and "[" not in part["type"] for part in inputs):
        return transaction | {
            "data": to_hex(call.calldata),
            "contractMethod": None,
            "contractInputsValues": None,
        }
    names = [part["name"] for part in inputs]
    return transaction | {
        "data": None,
        "contractMethod": {
            "inputs": [
                {"internalType": part.get("internalType", part["type"]), "name": part["name"], "type": part["type"]}
                for part in inputs
            ],
            "name": method["name"],
            "payable": method.get("stateMutability") == "payable",
        },
        "contractInputsValues": {
            name: _input(value) for name, value in zip(names, call.meaning.arguments.values(), strict=True)
        },
    }


def _input(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return readable(value)


def _serialised(value: Any) -> str:
    """The app's text of a value: an object is its sorted keys as a list, then its values, each with a comma."""
    if isinstance(value, Mapping):
        keys = sorted(value)
        return "{" + _json(keys) + "".join(_serialised(value[key]) + "," for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_serialised(item) for item in value) + "]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
