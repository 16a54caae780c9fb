"""Policies and tables as documents: written once, read back strictly. Their hashes are in `commitments`."""

import re
from collections.abc import Mapping
from typing import Any, cast

from ledger.model.policy import POLICY_FIELDS, ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import Hash32, from_hex, to_hex
from ledger.tree.abi import EncodingError, bool_word, uint_word
from ledger.tree.canonical import MAX_BARE_INTEGER, canonical_json, parse_canonical

POLICY_TYPES: Mapping[str, str] = {
    "epoch_budget_wei": "uint96",
    "reserve_bps": "uint16",
    "carbon_cap_bps": "uint16",
    "carbon_price_wei_per_tonne": "uint256",
    "u_min_ppm": "uint32",
    "u_full_ppm": "uint32",
    "k_eff_bps": "uint16",
    "s_clamp_ppm": "uint32",
    "pue_ref_e4": "uint16",
    "g_match_bps": "uint16",
    "t2_quality_bps": "uint16",
    "g_grid_bps": "uint16",
    "ref_ef_mg_per_kwh": "uint32",
    "max_mult_ppm": "uint32",
    "quorum_q": "uint8",
    "quorum_k": "uint8",
    "count_nuclear": "bool",
    "tables_hash": "bytes32",
}
"""The Solidity type of each member of the policy struct, in its order (E4.1)."""

_MODEL_KEYS = {
    "tdpW": "tdp_w",
    "capacityMilli": "capacity_milli",
    "refActiveMilliWatt": "ref_active_mw",
    "refIdleMilliWatt": "ref_idle_mw",
}
"""Key of the document → field."""
_MAX_MODEL_FIGURE = 10**9
_MAX_ZONE_EF = 2 * 10**6
_ZONE = re.compile("[!-~]{1,32}")


def policy_document(policy: Policy) -> dict[str, Any]:
    """The policy as a JSON mapping with the spec's names; integers beyond 2⁵³ are decimal strings."""
    document: dict[str, Any] = {}
    for name in POLICY_FIELDS:
        value = getattr(policy, name)
        if isinstance(value, bytes):
            document[_camel(name)] = to_hex(value)
        else:
            document[_camel(name)] = str(value) if value > MAX_BARE_INTEGER else value
    return document


def policy_from_document(document: Mapping[str, Any]) -> Policy:
    """The policy of a JSON mapping that has every parameter and nothing else.

    Integers may be numbers or decimal strings. Raises EncodingError naming the parameter; bounds are
    `Policy.violations`' to find.
    """
    _expect_keys(document, {_camel(name) for name in POLICY_FIELDS}, "the policy")
    members: dict[str, Any] = {}
    for name, kind in POLICY_TYPES.items():
        value = document[_camel(name)]
        try:
            if kind == "bool":
                bool_word(value)
                members[name] = value
            elif kind == "bytes32":
                members[name] = Hash32(from_hex(value, 32))
            else:
                members[name] = int(value) if isinstance(value, str) and value.isdecimal() else value
                uint_word(members[name], int(kind[4:]))
        except (ValueError, AttributeError, EncodingError) as error:
            raise EncodingError(f"{_camel(name)} of the policy is no {kind}: {value!r}") from error
    return Policy(**members)


def tables_document(tables: Tables) -> bytes:
    """The tables' canonical JSON, whose keccak256 is the policy's tablesHash (E4.2, E4.3)."""
    return canonical_json(
        {
            "rulesVersion": tables.rules_version,
            "models": {
                name: {key: getattr(figures, field) for key, field in _MODEL_KEYS.items()}
                for name, figures in tables.models.items()
            },
            "zones": {
                name: {"market": figures.market, "yearlyEfMgPerKwh": figures.yearly_ef_mg_per_kwh}
                for name, figures in tables.zones.items()
            },
        }
    )


def tables_from_document(document: bytes) -> Tables:
    """The tables of their canonical JSON, every name and figure checked.

    Raises EncodingError for bytes that are not canonical, unknown or missing keys, figures outside
    their widths, and zone names that do not fit 32 ASCII bytes.
    """
    value = parse_canonical(document)
    _expect_keys(value, {"rulesVersion", "models", "zones"}, "the tables")
    if not isinstance(value["rulesVersion"], str) or not value["rulesVersion"]:
        raise EncodingError("rulesVersion of the tables is no text")
    if not isinstance(value["models"], dict) or not isinstance(value["zones"], dict):
        raise EncodingError("models and zones of the tables are mappings by name")
    return Tables(
        rules_version=value["rulesVersion"],
        models={name: _model_figures(name, figures) for name, figures in value["models"].items()},
        zones={name: _zone_figures(name, figures) for name, figures in value["zones"].items()},
    )


def _model_figures(name: str, figures: object) -> ModelFigures:
    _expect_keys(figures, set(_MODEL_KEYS), f"model {name!r}")
    numbers = cast(Mapping[str, int], figures)
    for key, number in numbers.items():
        if type(number) is not int or not 0 < number <= _MAX_MODEL_FIGURE:
            raise EncodingError(f"{key} of model {name!r} is outside [1, {_MAX_MODEL_FIGURE}]: {number!r}")
    return ModelFigures(**{field: numbers[key] for key, field in _MODEL_KEYS.items()})


def _zone_figures(name: str, figures: object) -> ZoneFigures:
    _expect_keys(figures, {"market", "yearlyEfMgPerKwh"}, f"zone {name!r}")
    members = cast(Mapping[str, Any], figures)
    market, yearly = members["market"], members["yearlyEfMgPerKwh"]
    if not _ZONE.fullmatch(name):
        raise EncodingError(f"a zone is 1 to 32 printable ASCII characters without spaces, got {name!r}")
    if not isinstance(market, str) or not market:
        raise EncodingError(f"market of zone {name!r} is no text: {market!r}")
    if yearly is not None and (type(yearly) is not int or not 0 <= yearly <= _MAX_ZONE_EF):
        raise EncodingError(f"yearlyEfMgPerKwh of zone {name!r} is outside [0, {_MAX_ZONE_EF}]: {yearly!r}")
    return ZoneFigures(market=market, yearly_ef_mg_per_kwh=yearly)


def _expect_keys(value: object, keys: set[str], what: str) -> None:
    if not isinstance(value, Mapping) or set(value) != keys:
        found = sorted(value) if isinstance(value, Mapping) else type(value).__name__
        raise EncodingError(f"{what} has exactly the keys {sorted(keys)}, got {found}")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
