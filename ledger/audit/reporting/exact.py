"""Numbers of a report: integers and ratios of integers, written out for people without ever being a float.

What is shown is rounded half up at the last digit shown; JSON and CSV carry the exact integers beside it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ledger.model.units import MICROGRAMS_PER_TONNE, WEI_PER_ATH

UNKNOWN: Final = "unknown"
MICROGRAMS_PER_KILOGRAM: Final = 10**9
MICROGRAMS_PER_GRAM: Final = 10**6


@dataclass(frozen=True, slots=True)
class Ratio:
    """`numerator / denominator`, never divided; the denominator is positive."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, numerator: int, denominator: int) -> "Ratio | None":
        """The ratio, or None where there is nothing to divide by."""
        return cls(numerator, denominator) if denominator > 0 else None


Cell = str | int | Ratio | None
"""None is what is not known, or does not apply."""


class Unit(Enum):
    """What a column counts, and how it is shown: (unit of the exact value, divisor, decimals, shown unit)."""

    TEXT = ("", 1, 0, "")
    COUNT = ("count", 1, 0, "")
    WH = ("Wh", 1000, 3, "kWh")
    ML = ("ml", 1000, 3, "l")
    UG = ("µg CO2e", MICROGRAMS_PER_KILOGRAM, 3, "kg CO2e")
    UG_AS_TONNES = ("µg CO2e", MICROGRAMS_PER_TONNE, 6, "t CO2e")
    WEI = ("wei", WEI_PER_ATH, 18, "ATH")
    PPM = ("ppm", 10**6, 6, "")
    MILLI = ("milli-H100", 1000, 3, "H100")
    SHARE = ("ratio", 1, 2, "%")
    PUE = ("ratio", 1, 3, "")
    G_PER_KWH = ("g CO2e/kWh", 1, 3, "g CO2e/kWh")
    G_PER_GPU_HOUR = ("g CO2e/GPU-hour", 1, 3, "g CO2e/GPU-hour")

    @property
    def exact(self) -> str:
        """The unit of the integers in JSON and CSV."""
        return str(self.value[0])

    @property
    def shown(self) -> str:
        """The unit of the text for people."""
        return str(self.value[3])


def text_of(value: Cell, unit: Unit) -> str:
    """A value for people, in the unit's shown unit but without its name."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    divisor, decimals = int(unit.value[1]), int(unit.value[2])
    if isinstance(value, Ratio):
        factor = 100 if unit is Unit.SHARE else 1
        return decimal(value.numerator * factor, value.denominator * divisor, decimals)
    if unit is Unit.WEI:
        return decimal(value, divisor, decimals).rstrip("0").rstrip(".")
    return decimal(value, divisor, decimals)


def decimal(numerator: int, denominator: int, places: int) -> str:
    """The quotient with so many decimals, rounded half up (away from zero), thousands apart."""
    scaled = (2 * abs(numerator) * 10**places + denominator) // (2 * denominator)
    whole, part = divmod(scaled, 10**places)
    sign = "-" if numerator < 0 and scaled else ""
    return f"{sign}{whole:,}" + (f".{part:0{places}d}" if places else "")
