"""Keccak-256 and the text form of addresses. The one place that names the hash library."""

import sha3

from ledger.model.units import Address, Hash32


def keccak256(data: bytes) -> Hash32:
    """The hash Ethereum uses everywhere: original Keccak padding, not SHA3-256."""
    return Hash32(sha3.keccak_256(data).digest())


def checksum_address(address: Address) -> str:
    """The EIP-55 text of an address, for people; hashed bytes and documents use lower case."""
    if len(address) != 20:
        raise ValueError(f"an address has 20 bytes, got {len(address)}: 0x{address.hex()}")
    digits = address.hex()
    capitals = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if capital in "89abcdef" else digit for digit, capital in zip(digits, capitals, strict=False)
    )


def parse_address(text: str) -> Address:
    """The address a person wrote: all lower case, all upper case, or with a correct EIP-55 checksum.

    Raises ValueError for anything else; a wrong checksum is answered with the expected one, because
    a mixed-case address whose checksum fails is most often one mistyped digit.
    """
    if len(text) != 42 or text[:2] not in ("0x", "0X"):
        raise ValueError(f"an address is 0x and 40 hex digits, got {text[:70]!r}")
    digits = text[2:]
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise ValueError(f"an address is 0x and 40 hex digits, got {text!r}")
    address = Address(bytes.fromhex(digits))
    if digits in (digits.lower(), digits.upper()):
        return address
    expected = checksum_address(address)
    if digits != expected[2:]:
        raise ValueError(f"checksum of {text} is wrong, expected {expected}")
    return address
