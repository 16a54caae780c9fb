"""Which faults a run has and how often each was injected.

Every seed switches about half of the kinds on and gives each its own frequency: a run with few kinds reaches states
that a run with all of them never does.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

EVERY_CALL: Final = ("lost request", "lost answer", "no JSON", "server error", "server error after", "stale head")
BY_METHOD: Final[dict[str, tuple[str, ...]]] = {
    "eth_chainId": ("wrong chain",),
    "eth_getBlockByNumber": ("missing block",),
    "batch of eth_getTransactionReceipt": ("null receipt", "stale receipt"),
    "eth_getLogs": ("no logs", "narrow logs"),
    "eth_sendRawTransaction": ("strict fees",),
}
"""What only some methods can get wrong; every method can get `EVERY_CALL` wrong."""

FREQUENCIES: Final[dict[str, float]] = {
    # a call to the node
    "lost request": 0.006,
    "lost answer": 0.006,
    "no JSON": 0.003,
    "server error": 0.003,
    "server error after": 0.004,
    "stale head": 0.012,
    "wrong chain": 0.005,
    "missing block": 0.008,
    "null receipt": 0.15,
    "stale receipt": 0.2,
    "no logs": 0.15,
    "narrow logs": 0.2,
    "strict fees": 0.3,
    # a worker between two of its moments
    "switch": 0.02,
    "kill": 0.006,
    # the database
    "database locked": 0.005,
    "lost before commit": 0.006,
    "lost after commit": 0.006,
    # a message
    "message lost": 0.15,
    "message doubled": 0.15,
    "message overtaken": 0.3,
    # the world, per action
    "reorganisation": 0.08,
    "deep reorganisation": 0.03,
    "mempool drop": 0.08,
    "fee spike": 0.04,
    "clock jump": 0.04,
    "foreign activation": 0.15,
    "slow network": 0.2,
}


@dataclass(slots=True)
class Faults:
    """The kinds that are on, with their frequencies, and what was injected so far."""

    rng: random.Random
    always: tuple[str, ...] = ()
    """Kinds the scenario cannot do without."""
    on: dict[str, float] = field(init=False)
    injected: Counter[str] = field(default_factory=Counter)
    _by_method: dict[str, tuple[float, list[tuple[str, float]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.on = {
            kind: often * self.rng.choice((0.5, 1, 2, 4))
            for kind, often in FREQUENCIES.items()
            if self.rng.random() < 0.5 or kind in self.always
        }

    def end(self) -> None:
        """From now on nothing goes wrong."""
        self.on = {}
        self._by_method = {}

    def strikes(self, kind: str) -> bool:
        """Whether this kind happens now."""
        often = self.on.get(kind)
        if often is None or self.rng.random() >= often:
            return False
        self.injected[kind] += 1
        return True

    def of_call(self, method: str) -> str | None:
        """What goes wrong with a call to the node, if anything does."""
        if not self.on:
            return None
        kinds = self._by_method.get(method)
        if kinds is None:
            possible = [(kind, self.on[kind]) for kind in (*EVERY_CALL, *BY_METHOD.get(method, ())) if kind in self.on]
            kinds = self._by_method[method] = (sum(often for _, often in possible), possible)
        drawn = self.rng.random()
        if drawn >= kinds[0]:
            return None
        for kind, often in kinds[1]:
            drawn -= often
            if drawn < 0:
                self.injected[kind] += 1
                return f"stale head {self.rng.randrange(1, 5)}" if kind == "stale head" else kind
        return None
