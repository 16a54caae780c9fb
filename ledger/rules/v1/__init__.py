"""Rules v1: the reward formula's one production home (rewards spec R2.3 to R2.15, R2.25 to R2.27, R4).

`score` works node by node and may be called on any subset of nodes; `settle` splits the budget over all
scores; `allocate` does both. Columnar, 64-bit inside the widths of R4.22, wider where the spec says so.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ledger.evidence.judging.accepted import AcceptedEvidence
    from ledger.model.allocation import Opening
    from ledger.model.policy import Policy, Tables
    from ledger.rules.allocation import Allocation
    from ledger.rules.v1.distribution import settle
    from ledger.rules.v1.scoring import Scores, combine, score
    from ledger.rules.v1.shards import shard

__all__ = ["Scores", "allocate", "combine", "score", "settle", "shard"]

_HOMES: Final = {"Scores": "scoring", "combine": "scoring", "score": "scoring", "settle": "distribution",
                 "shard": "shards"}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Explaining one node takes the factors alone: what scores whole networks is loaded when it is asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def allocate(evidence: "AcceptedEvidence", policy: "Policy", tables: "Tables", opening: "Opening") -> "Allocation":
    """The epoch's allocation; InvariantError where evidence, policy or result break a promise."""
    from ledger.rules.v1.distribution import settle
    from ledger.rules.v1.scoring import score

    return settle(score(evidence, policy, tables), policy, opening)
