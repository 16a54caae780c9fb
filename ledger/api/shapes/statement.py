"""A node statement as JSON: the members of `NodeStatement`, each with its type there."""

from dataclasses import fields
from typing import Any, Final

from pydantic import create_model

from ledger.api.answering import Shape
from ledger.api.words import AddressShown, HashShown, Integer, WeiText
from ledger.model.allocation import NodeStatement

_TEXT: Final = frozenset({"model", "zone", "country", "reasons"})


def _type_of(name: str) -> Any:
    if name == "node_id":
        return HashShown
    if name == "operator":
        return AddressShown
    if name.endswith("_wei"):
        return WeiText
    return str if name in _TEXT else Integer


Statement: type[Shape] = create_model(  # type: ignore[call-overload]  # the members come from the statement itself
    "Statement",
    __base__=Shape,
    __doc__="Why one node was paid what it was paid: counts, energy, factors, lines in wei (rewards spec R4).",
    **{each.name: (_type_of(each.name), ...) for each in fields(NodeStatement)},
)
