"""Rules v1: the reward formula's one production home (rewards spec R2.3 to R2.15, R2.25 to R2.27, R4).

`score` works node by node and may be called on any subset of nodes; `settle` splits the budget over all
scores; `allocate` does both. Columnar, 64-bit inside the widths of R4.22, wider where the spec says so.
"""

from ledger.evidence.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import Policy, Tables
from ledger.rules.allocation import Allocation
from ledger.rules.v1.distribution import settle
from ledger.rules.v1.scoring import Scores, combine, score
from ledger.rules.v1.shards import shard

__all__ = ["Scores", "allocate", "combine", "score", "settle", "shard"]


def allocate(evidence: AcceptedEvidence, policy: Policy, tables: Tables, opening: Opening) -> Allocation:
    """The epoch's allocation; InvariantError where evidence, policy or result break a promise."""
    return settle(score(evidence, policy, tables), policy, opening)
