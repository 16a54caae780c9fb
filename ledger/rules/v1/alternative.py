"""What one node would have been paid had its counts been others, everybody else's weight as it was.

The same formulas and the same split, run again for the one node: an explanation never has a second copy of a rule.
"""

from collections.abc import Mapping, Sequence

from ledger.model.allocation import NodeStatement, Opening
from ledger.model.policy import Policy, Tables
from ledger.rules.v1.carveout import carve_out
from ledger.rules.v1.factors import factors_of
from ledger.rules.v1.lines import lines_of
from ledger.rules.v1.one_share import Weights


def resettle(
    paid: NodeStatement,
    changes: Sequence[Mapping[str, int]],
    *,
    weights: Weights,
    place: int,
    residual_ug: int,
    policy: Policy,
    tables: Tables,
    opening: Opening,
) -> list[NodeStatement]:
    """The node's statement with some of its counts or sums (names of `NodeStatement`) set to other values; one for each
    of the changes.

    `weights` are all weights of the epoch by ascending node id, `place` is the node's among them, `residual_ug` the
    epoch's residual emissions. Factors and weight follow by R4.1 to R4.11, pay and lines by R4.13 to R4.20. Without
    changes it is the statement itself.
    """
    stated = {name: getattr(paid, name) for name in NodeStatement.__dataclass_fields__}
    stated["capacity_milli"] = tables.models[paid.model].capacity_milli
    pool_wei = carve_out(policy, opening, residual_ug).pool_wei
    settled = []
    for change in changes:
        again = factors_of({**stated, **change}, policy)
        lined = lines_of({**again, "pay_wei": weights.share(place, again["weight"], pool_wei)})
        settled.append(NodeStatement(**{name: lined[name] for name in NodeStatement.__dataclass_fields__}))
    return settled
