"""What is planned to happen in a run: how many epochs, what people do, how long the chaos lasts.

Runs of one scenario must end in the same final bytes, whatever went wrong on the way.
"""

import random
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One plan."""

    epochs: int = 2
    depth: int = 2
    """Blocks on top that make a block final."""
    revoked: int | None = None
    """The epoch whose first proposal the guardian throws away, if he is fast enough."""
    claimants: int = 2
    actions: int = 40
    is_deep: bool = False
    """Whether the chain may take back what was final. Not together with a revocation: a seal that was reversed for
    a block that vanished is a person's case."""

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        """A plan by chance."""
        epochs, is_deep = rng.choice((1, 1, 2)), rng.random() < 0.25
        return cls(
            epochs=epochs,
            depth=rng.choice((1, 2, 3)),
            revoked=rng.randrange(epochs) if rng.random() < 0.25 and not is_deep else None,
            claimants=rng.choice((0, 1, 2)),
            actions=rng.choice((20, 40, 80)),
            is_deep=is_deep,
        )
