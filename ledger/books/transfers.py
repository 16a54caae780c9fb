"""A transfer: one debit and one credit of one amount, balanced by construction."""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.books.accounts import BACKWARD_CODES, Asset, Rule, TransferCode, kind_of
from ledger.books.errors import PostingError
from ledger.model.units import Hash32

TRANSFER_PREFIX: Final = b"\x02"
"""Keeps a digest of transfers from ever being an entry's hash (prefix 1)."""


class Transfer(NamedTuple):
    """`amount` (wei or µg, by asset) moves from `debit` to `credit`, and `code` says why.

    A named tuple, not a dataclass: an epoch books tens of thousands of them and sealing is bulk work.
    It is checked where it enters a posting, by `check_transfer`.
    """

    debit: str
    credit: str
    amount: int
    asset: Asset
    code: TransferCode

    @property
    def line(self) -> str:
        """The one text of this transfer that is hashed; no field can hold a tab or a line feed."""
        return f"{self.debit}\t{self.credit}\t{self.asset}\t{self.amount}\t{self.code}\n"


def check_transfer(transfer: Transfer) -> None:
    """Raise PostingError unless the transfer keeps to the chart of accounts."""
    debit, credit = kind_of(transfer.debit), kind_of(transfer.credit)
    if type(transfer.amount) is not int or not 0 < transfer.amount < 2**256:
        raise PostingError(
            f"amount {transfer.amount!r} from {transfer.debit} to {transfer.credit} is not in 1 … 2^256-1"
        )
    if debit.asset is not transfer.asset or credit.asset is not transfer.asset:
        raise PostingError(f"{transfer.asset} cannot move from {transfer.debit} to {transfer.credit}")
    if transfer.debit == transfer.credit:
        raise PostingError(f"{transfer.debit} cannot pay itself")
    if transfer.code in BACKWARD_CODES:
        return
    if credit.one_way and credit.rule is Rule.SOURCE:
        raise PostingError(f"{transfer.credit} is only debited; a {transfer.code} cannot credit it")
    if debit.one_way and debit.rule is not Rule.SOURCE:
        raise PostingError(f"{transfer.debit} is only credited; a {transfer.code} cannot debit it")


def transfers_digest(transfers: Iterable[Transfer]) -> Hash32:
    """SHA-256(0x02 ‖ the transfers' lines in order): one hash that covers an entry's many lines."""
    digest = hashlib.sha256(TRANSFER_PREFIX)
    digest.update("".join([transfer.line for transfer in transfers]).encode("ascii"))
    return Hash32(digest.digest())
