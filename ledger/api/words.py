"""The kinds of values answers are made of."""

from typing import Annotated

from pydantic import Field

WeiText = Annotated[
    str, Field(pattern=r"^-?[0-9]+$", description="wei, a decimal string", examples=["1000000000000000000"])
]
"""An amount: a decimal string, because JSON readers round large numbers."""
IntegerText = Annotated[str, Field(pattern=r"^-?[0-9]+$", description="an integer, a decimal string")]
Count = Annotated[int, Field(ge=0)]
AddressShown = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$", description="with its EIP-55 checksum")]
HashShown = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Integer = int | Annotated[str, Field(pattern=r"^-?[0-9]+$")]
"""A number; a decimal string where it is beyond 2⁵³."""
