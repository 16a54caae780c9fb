"""The stable codes a node's statement gives as reasons; the words of both calculators, so they compare as text."""

from typing import Final

CAPACITY_QUORUM: Final = "quorum.capacity"
"""C = 0: fewer than q of the node's checkers saw it working like its model."""
UNRESOLVED: Final = "quorum.unresolved"
"""U = 0: more than a quarter of the observed hours are unresolved."""
VERIFIER_OUTAGE: Final = "quorum.verifier-outage"
"""U = 0: no hour is resolved. Given besides `quorum.unresolved` where both hold; listed for governance."""
ENERGY_MISSING: Final = "energy.missing"
"""At least one hour is charged for want of an accepted energy record."""
ENERGY_IMPLAUSIBLE: Final = "energy.implausible"
"""At least one hour of one meter was refused: outside the bounds."""
ENERGY_DISPUTED: Final = "energy.disputed"
"""In at least one hour the meters differ by more than a tenth of the highest reading."""


def joined(codes: set[str]) -> str:
    """The form a statement carries: ascending, joined by a comma, empty if there is none."""
    return ",".join(sorted(codes))
