"""Who may do what, and how late: the roles of contracts/roles.json, as wanted and as the chain has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ledger.model.units import Address


class Role(IntEnum):
    """The AccessManager's role ids."""

    ADMIN = 0
    PUBLISHER = 1
    GUARDIAN = 2
    GOVERNOR = 3
    RETIRER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedFunction:
    """A function and the role it asks for."""

    contract: str
    name: str
    selector: bytes
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An account in a role, and how long it must announce what it does there."""

    role: Role
    account: Address
    delay_seconds: int


@cache
def guarded_functions() -> tuple[GuardedFunction, ...]:
    """Every restricted function of our contracts with its intended role."""
    text = (files("ledger.data") / "contracts" / "roles.json").read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return tuple(
        GuardedFunction(
            contract=contract,
            name=entry["name"],
            selector=bytes.fromhex(entry["selector"][2:]),
            role=Role[entry["role"]],
        )
        for contract, entries in document["functions"].items()
        for entry in entries
    )


def selectors_of(contract: str, role: Role) -> list[bytes]:
    """The functions of a contract that a role may call."""
    return [each.selector for each in guarded_functions() if each.contract == contract and each.role is role]
