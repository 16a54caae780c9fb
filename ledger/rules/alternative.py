"""One node settled again with its counts changed, by the rules that settled its epoch."""

from collections.abc import Callable

from ledger.model.allocation import NodeStatement
from ledger.rules import UnknownRulesError
from ledger.rules.v1.alternative import resettle as resettle_v1
from ledger.rules.v1.one_share import Weights

__all__ = ["Resettle", "UnknownRulesError", "Weights", "resettle_for"]

Resettle = Callable[..., list[NodeStatement]]


def resettle_for(version: str) -> Resettle:
    """`ledger.rules.v1.alternative.resettle`, or its counterpart of another rules version; else UnknownRulesError."""
    if version == "v1":
        return resettle_v1
    raise UnknownRulesError(f"there are no rules {version!r}; this release has: v1")
