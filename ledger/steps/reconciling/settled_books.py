"""The books as the chain must know them: every entry, without the seals of epochs that are not activated yet.

The contract's rollover, and the vault's µg, change at activation; the books' change at the seal. So a seal counts
here once its activation is booked (a revoked one is cancelled out by its own reversal).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.books.accounts import operator_of
from ledger.books.log_entries import activation_entry_key
from ledger.books.posting import EntryKind
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Balance
from ledger.db import journal
from ledger.model.units import Address, EpochNumber
from ledger.steps.transitions.vanished import stands
from ledger.tree.canonical import integer_of, parse_canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledBooks:
    """What stands on each account (credits − debits; wei or µg), replayed from the transfers up to `seq`."""

    seq: int
    balances: Mapping[str, Balance]
    """Of all entries, also of those seals."""
    net: Mapping[str, int]
    activated: tuple[EpochNumber, ...]

    def of(self, account: str) -> int:
        """What stands on an account; 0 where nothing was ever moved."""
        return self.net.get(account, 0)

    @property
    def operators(self) -> tuple[Address, ...]:
        """Everybody who has an account, ascending."""
        return tuple(sorted({owner for name in self.net if (owner := operator_of(name)) is not None}))


def settled_books(session: Session) -> SettledBooks:
    """Replay the transfers; nothing is taken from the projection of the balances."""
    seq = journal.last_seq(session)
    balances = journal.balances(session, as_of_seq=seq)
    net = {account: balance.net for account, balance in balances.items()}
    activated = []
    for entry in journal.entries(session, kind=EntryKind.SEAL, up_to=seq):
        body = parse_canonical(entry.canonical)["body"]
        epoch, attempt = EpochNumber(integer_of(body["epoch"])), integer_of(body["attempt"])
        if stands(session, activation_entry_key(epoch, attempt)):
            activated.append(epoch)
        elif journal.find(session, f"epoch/{epoch}/reversal/{attempt}") is None:
            for transfer in journal.transfers(session, entry.seq):
                _take_out(net, transfer)
    return SettledBooks(seq=seq, balances=balances, net=net, activated=tuple(activated))


def _take_out(net: dict[str, int], transfer: Transfer) -> None:
    net[transfer.debit] += transfer.amount
    net[transfer.credit] -= transfer.amount
