"""The compiled contracts that ship with the package: interface and bytecode, read once."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ledger.chain.contracts.interface import ContractInterface
from ledger.model.errors import NotFoundError
from ledger.model.units import from_hex

REWARDS_LEDGER: Final = "RewardsLedger"
POLICY_REGISTRY: Final = "PolicyRegistry"
CARBON_VAULT: Final = "CarbonVault"
ATH_TOKEN: Final = "AthToken"  # noqa: S105 - a contract's name
ACCESS_MANAGER: Final = "AccessManager"
ALL_CONTRACTS: Final = (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT, ATH_TOKEN, ACCESS_MANAGER)


class ArtefactMissingError(NotFoundError):
    """A contract's compiled form is not in this installation."""

    code = "contract.artefact-missing"
    default_hint = "reinstall ath-ledger; in a checkout run: make contracts"


@cache
def interface(contract: str) -> ContractInterface:
    """The contract's functions, events and errors."""
    return ContractInterface(contract, _artefact(contract)["abi"])


@cache
def bytecode(contract: str) -> bytes:
    """What is deployed, before the constructor's arguments."""
    code = _artefact(contract)["bytecode"]
    text = code["object"] if isinstance(code, dict) else code
    return from_hex(text if text.startswith("0x") else "0x" + text)


def is_code_of(contract: str, code: bytes) -> bool:
    """Whether code on chain is what the contract's sources build, whatever its immutables were set to."""
    artefact = _artefact(contract)
    built = bytearray(from_hex(artefact["deployedBytecode"]))
    if len(code) != len(built):
        return False
    found = bytearray(code)
    for place in artefact["immutableReferences"]:
        gap = slice(place["start"], place["start"] + place["length"])
        built[gap] = found[gap] = bytes(place["length"])
    return found == built


def storage_slot(contract: str, name: str) -> int:
    """Where a state variable lies, for reads in bulk."""
    return int(_artefact(contract)["storage"][name]["slot"])


@cache
def _artefact(contract: str) -> dict[str, Any]:
    file = files("ledger.data") / "contracts" / f"{contract}.json"
    try:
        parsed: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactMissingError(f"{contract}.json is not in ledger/data/contracts") from error
    return parsed
