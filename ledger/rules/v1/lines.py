"""What a payout is made of: base, efficiency, green (R4.20); each formula once, for many nodes and for one."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ledger.model.units import PPM
from ledger.rules.v1.arithmetic import COLUMNS, Arithmetic, Integers, Value

if TYPE_CHECKING:
    import polars as pl

MAX_POOL_WEI = 2**105
"""A pool below this keeps pay·M and rest·E inside 128 bits; it holds 500 epochs of the largest budget rolled over."""


def with_lines(paid: "pl.DataFrame") -> "pl.DataFrame":
    """Add the three lines to a frame with pay_wei, multiplier and efficiency; they sum to pay_wei."""
    for name, formula in _LINES.items():
        paid = paid.with_columns(formula(COLUMNS).alias(name))
    return paid


def lines_of(paid: Mapping[str, Any]) -> dict[str, Any]:
    """One node's figures with what `with_lines` adds to them."""
    figures = dict(paid)
    for name, formula in _LINES.items():
        figures[name] = formula(Integers(figures))
    return figures


def _green(of: Arithmetic) -> Value:
    multiplier = of.wide(of["multiplier"])
    beyond = multiplier - of.least(multiplier, of.wide(of["efficiency"]))
    return of["pay_wei"] * beyond // multiplier


def _efficiency(of: Arithmetic) -> Value:
    efficiency = of.wide(of["efficiency"])
    gained = of.most(efficiency - PPM, 0)
    return (of["pay_wei"] - of["green_wei"]) * gained // efficiency


def _base(of: Arithmetic) -> Value:
    return of["pay_wei"] - of["green_wei"] - of["efficiency_wei"]


_LINES: Final[Mapping[str, Callable[[Arithmetic], Value]]] = {
    "green_wei": _green,
    "efficiency_wei": _efficiency,
    "base_wei": _base,
}
"""In the order in which they need each other."""
