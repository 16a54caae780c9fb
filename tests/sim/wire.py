"""The model in the chain's bytes: calldata, view answers, events and refusals, by the ABI the ledger itself uses.

The same calls and events come back in every run, so each form is made once and kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from functools import cache
from typing import Any, Final

from eth_abi.abi import encode

from ledger.chain.contracts.artefacts import CARBON_VAULT, POLICY_REGISTRY, REWARDS_LEDGER, interface
from ledger.chain.contracts.interface import selector, snake, topic, type_name
from ledger.model.header import EpochHeader
from ledger.model.units import Address, Hash32
from ledger.tree.abi import address_word, bool_word, uint_word
from ledger.tree.keccak import keccak256

from .contract import Model

_WRITES: Final = {
    "proposeEpoch": "propose",
    "activateEpoch": "activate",
    "revokeEpoch": "revoke",
    "reopenProposals": "reopen",
    "claim": "claim",
    "claimMany": "claim_many",
    "setPayee": "set_payee",
    "pauseClaims": "pause",
    "resumeClaims": "resume",
    "supersedeRoot": "supersede",
}
_PLAIN_VIEWS: Final[dict[str, Callable[[Model], bytes]]] = {
    "claimRoot": lambda model: model.claim_root,
    "previousRoot": lambda model: model.previous_root,
    "savedRoot": lambda model: model.saved_root,
    "savedPreviousRoot": lambda model: model.saved_previous_root,
    "lastHeaderHash": lambda model: model.last_hash,
    "nextEpoch": lambda model: uint_word(model.next_epoch),
    "rollover": lambda model: uint_word(model.rollover),
    "pending": lambda model: uint_word(model.activates_at) + model.pending_hash,
    "proposalsOpen": lambda model: bool_word(model.proposals_open),
    "paused": lambda model: bool_word(model.paused),
}
_ACCOUNT_VIEWS: Final[dict[str, Callable[[Model, Address], bytes]]] = {
    "claimed": lambda model, account: uint_word(model.claimed.get(account, 0)),
    "payeeOf": lambda model, account: address_word(model.payee_of(account)),
    "nonces": lambda model, account: uint_word(model.nonces.get(account, 0)),
}
_SELECTORS: Final = {
    interface(REWARDS_LEDGER).selector(name): name for name in (*_PLAIN_VIEWS, *_ACCOUNT_VIEWS, *_WRITES)
}
_EVENTS: Final[dict[str, tuple[str, Mapping[str, Any]]]] = {
    entry["name"]: (contract, entry)
    for contract in (REWARDS_LEDGER, POLICY_REGISTRY, CARBON_VAULT)
    for entry in interface(contract)._events.values()
}
_ERRORS: Final[dict[str, Mapping[str, Any]]] = {
    entry["name"]: entry for entry in interface(REWARDS_LEDGER)._errors.values()
}


def view(model: Model, calldata: bytes) -> bytes | None:
    """What a view answers, or None when the calldata is no view's."""
    name = _SELECTORS.get(calldata[:4], "")
    if name in _PLAIN_VIEWS:
        return _PLAIN_VIEWS[name](model)
    if name in _ACCOUNT_VIEWS:
        return _ACCOUNT_VIEWS[name](model, Address(calldata[16:36]))
    return None


@cache
def write(calldata: bytes) -> tuple[str, tuple[Any, ...]]:
    """The model's method that the calldata calls, and its arguments."""
    found = interface(REWARDS_LEDGER).describe(calldata)
    if found is None:
        raise ValueError(f"no call of the RewardsLedger: {calldata[:4].hex()}")
    values = [EpochHeader(**value) if name == "header" else value for name, value in found.arguments.items()]
    return _WRITES[found.name], tuple(values)


def revert_data(error: str) -> str:
    """The bytes of a custom error, its arguments zero: the ledger decides by names."""
    entry = _ERRORS.get(error)
    if entry is None:  # a library's
        return "0x" + keccak256(f"{error}()".encode())[:4].hex()
    return "0x" + (selector(entry) + bytes(32 * len(entry["inputs"]))).hex()


def log(event: str, values: Mapping[str, Any]) -> tuple[str, tuple[Hash32, ...], bytes]:
    """An event as a log: the contract that emits it, topics, data."""
    return _log(event, tuple(values.items()))


@cache
def _log(event: str, values: tuple[tuple[str, Any], ...]) -> tuple[str, tuple[Hash32, ...], bytes]:
    contract, entry = _EVENTS[event]
    given = {name: astuple(value) if hasattr(value, "__dataclass_fields__") else value for name, value in values}
    parts = {True: [part for part in entry["inputs"] if part["indexed"]]}
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    indexed = [encode([type_name(part)], [given[part["name"]]]) for part in parts[True]]
    data = encode([type_name(part) for part in plain], [given[part["name"]] for part in plain])
    return contract, (topic(entry), *map(Hash32, indexed)), data


def names_of(event: str) -> list[str]:
    """The arguments of an event, as the ledger spells them."""
    return [snake(part["name"]) for part in _EVENTS[event][1]["inputs"]]
