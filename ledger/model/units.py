"""Units and identities. Every quantity in the ledger is an integer in exactly one of these units.

Integer units compose without division: Wh × mg CO2e/kWh = µg CO2e.
"""

from typing import Final, NewType

Wei = NewType("Wei", int)
"""10⁻¹⁸ ATH."""
Ppm = NewType("Ppm", int)
"""10⁻⁶ of one: shares and factors."""
Bps = NewType("Bps", int)
"""10⁻⁴ of one: policy parameters."""
Wh = NewType("Wh", int)
MicrogramsCo2e = NewType("MicrogramsCo2e", int)
Timestamp = NewType("Timestamp", int)
"""Unix seconds, UTC."""
EpochNumber = NewType("EpochNumber", int)
Seq = NewType("Seq", int)
"""Local position of a journal entry over both hash chains."""

Address = NewType("Address", bytes)
"""20 bytes. Text only at the edges: lower-case 0x-hex in hashed bytes, EIP-55 for people."""
Hash32 = NewType("Hash32", bytes)
"""32 bytes: keccak256 or SHA-256."""
NodeId = NewType("NodeId", bytes)
"""32 bytes: keccak256(abi.encode(operator, serial))."""

PPM: Final = 1_000_000
BPS: Final = 10_000
WEI_PER_ATH: Final = 10**18
MICROGRAMS_PER_TONNE: Final = 10**12
SECONDS_PER_HOUR: Final = 3600
MINUTES_PER_HOUR: Final = 60
ZERO_HASH: Final = Hash32(bytes(32))
ZERO_ADDRESS: Final = Address(bytes(20))


def ceil_div(numerator: int, denominator: int) -> int:
    """The quotient rounded towards plus infinity (rewards spec, preamble)."""
    return -(-numerator // denominator)


def to_hex(value: bytes) -> str:
    """Lower-case 0x-prefixed hex, the form used in every hashed text."""
    return "0x" + value.hex()


def from_hex(text: str, length: int | None = None) -> bytes:
    """Bytes of 0x-prefixed hex; ValueError when it is not hex or not `length` bytes long."""
    if not text.startswith("0x"):
        raise ValueError(f"expected 0x-prefixed hex, got {text[:70]!r}")
    value = bytes.fromhex(text[2:])
    if length is not None and len(value) != length:
        raise ValueError(f"expected {length} bytes, got {len(value)}: {text[:70]!r}")
    return value
