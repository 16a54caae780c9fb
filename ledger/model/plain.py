"""Values as JSON that loses nothing: amounts and integers beyond 2⁵³ become text, bytes become 0x-hex.

A reader in any language meets the same value: JavaScript rounds larger numbers silently.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.model.units import WEI_PER_ATH

BEYOND_JSON: Final = 2**53


def plain(value: Any, name: str = "") -> Any:
    """A value as JSON. `name` is its field's name: what ends in `_wei` is text whatever its size."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value) if name.endswith("_wei") or abs(value) >= BEYOND_JSON else value
    if isinstance(value, Mapping):
        return {key: plain(item, key) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item, name) for item in value]
    return str(value)


def ath(amount_wei: int) -> str:
    """An amount in ATH with every one of its 18 decimals that matters."""
    whole, part = divmod(abs(amount_wei), WEI_PER_ATH)
    decimals = f"{part:018d}".rstrip("0")
    return ("-" if amount_wei < 0 else "") + f"{whole:,}" + (f".{decimals}" if decimals else "")
