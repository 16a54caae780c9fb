"""R1 and R2: the journal against its own hashes, the balances against its transfers."""

from collections.abc import Callable, Iterator

from ledger.books.posting import EntryKind
from ledger.books.trial_balance import ZERO_BALANCE, trial_balance
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.db.journal import BalancesDifferError
from ledger.model.errors import LedgerError
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.finding import Finding, Outcome, compared
from ledger.steps.reconciling.settled_books import SettledBooks

_ENTRIES = "every entry is what was hashed"


def row_findings(ledger: Ledger, passing: Callable[[JournalEntry], None]) -> Finding:
    """R1: both hash chains from their first entry, every transfer, every account's name."""
    with ledger.database.reading() as session:
        try:
            journal.verify_journal(session, passing=passing)
        except BalancesDifferError:
            pass  # the rows are right; which balance is not, R2 says
        except LedgerError as error:
            return compared("R1", _ENTRIES, error.what, "two unbroken chains")
        except (KeyError, TypeError, ValueError) as error:
            return compared("R1", _ENTRIES, f"a stored value cannot be read: {error}", "two unbroken chains")
        seq = journal.last_seq(session)
    told = f"{seq} entries"
    return compared("R1", _ENTRIES, told, told)


def book_findings(ledger: Ledger, books: SettledBooks) -> Iterator[Finding]:
    """R2: debits equal credits, no account breaks its rule, the projection is the sum of the transfers."""
    with ledger.database.reading() as session:
        last = journal.entries(session, after=books.seq - 1, up_to=books.seq)
        stored = journal.balances(session)
    at_seal = bool(last) and last[0].kind is EntryKind.SEAL
    trial = trial_balance(books.balances, at_seal=at_seal)
    for asset in trial.debits:
        difference = trial.debits[asset] - trial.credits[asset]
        yield compared("R2", f"trial balance {asset}", difference, 0)
    for violation in trial.violations:
        yield compared("R2", "an account's rule", violation, "kept")
    wrong = [
        account
        for account in sorted(stored.keys() | books.balances.keys())
        if stored.get(account, ZERO_BALANCE) != books.balances.get(account, ZERO_BALANCE)
    ]
    for account in wrong:
        kept, replayed = stored.get(account, ZERO_BALANCE).net, books.balances.get(account, ZERO_BALANCE).net
        yield Finding(
            rule="R2",
            what=f"stored balance of {account}",
            books=str(kept),
            found=str(replayed),
            outcome=Outcome.DIFFERS,
            difference=replayed - kept,
        )
    if not wrong:
        told = f"{len(stored)} accounts"
        yield compared("R2", "stored balances are the sums of the transfers", told, told)
    stuck = [account for account, net in books.net.items() if account.endswith("/pending") and net]
    yield compared(
        "R2", "nothing is pending but what awaits its activation", ", ".join(stuck[:5]) or "nothing", "nothing"
    )
