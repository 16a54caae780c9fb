"""What a formula is written with, so that it stands once for columns of many nodes and for the integers of one.

`+ - * //` and comparisons are everybody's; here is the rest. Columns divide towards minus infinity and answer a
division by zero with null, integers divide likewise; every divisor that can be 0 is divided by `over` and has its own
branch.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

Value = Any
"""A column expression or an integer, truth or text, as the formula's arithmetic has it."""


class Arithmetic(Protocol):
    """Figures by name, and what can be done with them beyond operators."""

    def __getitem__(self, name: str) -> Value:
        """A figure of the node, or nodes."""
        ...

    def where(self, condition: Value, then: Value, otherwise: Value) -> Value:
        """One of two values."""
        ...

    def over(self, value: Value, divisor: Value) -> Value:
        """The quotient, rounded down; anything where the divisor is 0."""
        ...

    def least(self, *values: Value) -> Value:
        """The smallest."""
        ...

    def most(self, *values: Value) -> Value:
        """The largest."""
        ...

    def wide(self, value: Value) -> Value:
        """The value with room for 128 bits."""
        ...

    def narrow(self, value: Value) -> Value:
        """The value in 64 bits again."""
        ...

    def codes(self, conditions: Mapping[str, Value]) -> Value:
        """The codes whose condition holds, in the mapping's order, a comma between."""
        ...


class Columns:
    """Every node of a frame at once."""

    def __getitem__(self, name: str) -> "pl.Expr":
        import polars as pl

        return pl.col(name)

    def where(self, condition: Value, then: Value, otherwise: Value) -> "pl.Expr":
        import polars as pl

        return pl.when(condition).then(then).otherwise(otherwise)

    def over(self, value: Value, divisor: Value) -> Value:
        return value // divisor

    def least(self, *values: Value) -> "pl.Expr":
        import polars as pl

        return pl.min_horizontal(*values)

    def most(self, *values: Value) -> "pl.Expr":
        import polars as pl

        return pl.max_horizontal(*values)

    def wide(self, value: Value) -> Value:
        import polars as pl

        return value.cast(pl.Int128)

    def narrow(self, value: Value) -> Value:
        import polars as pl

        return value.cast(pl.Int64)

    def codes(self, conditions: Mapping[str, Value]) -> "pl.Expr":
        import polars as pl

        said = [pl.when(condition).then(pl.lit(code)) for code, condition in conditions.items()]
        return pl.concat_str(said, separator=",", ignore_nulls=True)


class Integers:
    """One node, with Python's integers: they never wrap."""

    def __init__(self, figures: Mapping[str, Value]) -> None:
        self._figures = figures

    def __getitem__(self, name: str) -> Value:
        return self._figures[name]

    def where(self, condition: Value, then: Value, otherwise: Value) -> Value:
        return then if condition else otherwise

    def over(self, value: Value, divisor: Value) -> Value:
        return value // divisor if divisor else 0

    def least(self, *values: Value) -> Value:
        return min(values)

    def most(self, *values: Value) -> Value:
        return max(values)

    def wide(self, value: Value) -> Value:
        return value

    def narrow(self, value: Value) -> Value:
        return value

    def codes(self, conditions: Mapping[str, Value]) -> str:
        return ",".join(code for code, condition in conditions.items() if condition)


COLUMNS = Columns()
