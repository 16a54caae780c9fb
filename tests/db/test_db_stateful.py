"""Whatever happens in whatever order: the books balance, book once, and every moment can be replayed."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.books.accounts import ROLLOVER, payable
from ledger.books.errors import BalanceRuleError, IdempotencyConflictError
from ledger.books.log_entries import ChainPoint, activation_entry, claim_entry
from ledger.books.posting import Chain, Posting
from ledger.books.seal_entries import OperatorLines, reversal_entry, seal_entry
from ledger.books.trial_balance import sum_transfers
from ledger.db import journal, migrations
from ledger.db.engine import open_database
from ledger.model.allocation import Totals
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei

AMOUNTS = st.integers(min_value=0, max_value=2**90)
WHO = st.integers(min_value=1, max_value=4)


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


class Books(RuleBasedStateMachine):
    """A ledger against a plain list of everything that was booked."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{Path(self.folder.name)}/books.db", create=True)
        migrations.upgrade(self.database)
        self.booked: list[Posting] = []
        self.seals: dict[int, tuple[Posting, list[OperatorLines], Totals]] = {}
        self.epoch, self.attempt, self.events = 0, 1, 0
        self.carried = 0

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    def book(self, posting: Posting) -> None:
        with self.database.transaction() as session:
            entry = journal.append(session, posting, recorded_at=Timestamp(0))
        assert entry.seq == len(self.booked) + 1
        self.booked.append(posting)

    def net(self, account: str) -> int:
        balance = sum_transfers(t for posting in self.booked for t in posting.transfers).get(account)
        return balance.net if balance else 0

    @precondition(lambda self: self.epoch not in self.seals)
    @rule(
        earned=st.dictionaries(WHO, st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), max_size=4), out=AMOUNTS, carbon=AMOUNTS,
        residual=st.integers(0, 10**12), paid=st.integers(0, 10**13),
    )  # fmt: skip
    def seal(self, earned: dict[int, tuple[int, int, int]], out: int, carbon: int, residual: int, paid: int) -> None:
        lines = [
            OperatorLines(operator=address(who), base_wei=Wei(a), efficiency_wei=Wei(b), green_wei=Wei(c))
            for who, (a, b, c) in earned.items()
        ]
        payout, rollover_in = sum(line.pay_wei for line in lines), self.net(ROLLOVER)
        out = max(out, rollover_in)
        totals = Totals(
            epoch=EpochNumber(self.epoch), budget_wei=Wei(payout + carbon + 3 + out - rollover_in),
            rollover_in_wei=Wei(rollover_in), reserve_wei=Wei(3), carbon_wei=Wei(carbon), pool_wei=Wei(payout + out),
            payout_wei=Wei(payout), rollover_out_wei=Wei(out), sum_weight=1, left_over_wei=0,
            location_ug=MicrogramsCo2e(0), residual_ug=MicrogramsCo2e(residual),
            carried_in_ug=MicrogramsCo2e(self.carried),
            carried_out_ug=MicrogramsCo2e(max(0, self.carried + residual - paid)),
        )  # fmt: skip
        posting = seal_entry(
            totals=totals, attempt=self.attempt, manifest_hash=Hash32(bytes(32)), claim_root=Hash32(bytes(32)),
            lines=lines, effective_at=Timestamp(self.epoch),
        )  # fmt: skip
        self.book(posting)
        self.seals[self.epoch] = (posting, lines, totals)

    @precondition(lambda self: self.epoch in self.seals)
    @rule()
    def activate(self) -> None:
        _, lines, totals = self.seals[self.epoch]
        self.book(
            activation_entry(
                epoch=EpochNumber(self.epoch),
                attempt=self.attempt,
                payouts={line.operator: line.pay_wei for line in lines},
                carbon_wei=totals.carbon_wei,
                reserve_wei=totals.reserve_wei,
                header_hash=Hash32(bytes(32)),
                at=self.point(),
            )
        )
        self.carried = totals.carried_out_ug
        self.epoch, self.attempt = self.epoch + 1, 1

    @precondition(lambda self: self.epoch in self.seals)
    @rule()
    def revoke(self) -> None:
        posting, _, _ = self.seals.pop(self.epoch)
        with self.database.reading() as session:
            sealed = journal.find(session, posting.key)
        assert sealed is not None
        self.book(
            reversal_entry(
                epoch=EpochNumber(self.epoch),
                attempt=self.attempt,
                sealed_hash=sealed.hash,
                sealed_transfers=posting.transfers,
                reason="revoked",
                effective_at=Timestamp(0),
            )
        )
        self.attempt += 1

    @rule(who=WHO, share=st.integers(0, 3))
    def claim(self, who: int, share: int) -> None:
        there = self.net(payable(address(who)))
        amount = there * share // 2
        posting = self.claiming(who, amount) if amount else None
        if posting is None:
            return
        if amount > there:
            with pytest.raises(BalanceRuleError):
                self.book(posting)
        else:
            self.book(posting)

    @precondition(lambda self: self.booked)
    @rule(data=st.data())
    def book_again(self, data: Any) -> None:
        place = data.draw(st.integers(0, len(self.booked) - 1))
        again = self.booked[place]
        with self.database.transaction() as session:
            assert journal.append(session, again, recorded_at=Timestamp(99)).seq == place + 1
        other = Posting(
            chain=again.chain, key=again.key, kind=again.kind, effective_at=again.effective_at,
            body={**again.body, "forged": True}, transfers=again.transfers,
        )  # fmt: skip
        with pytest.raises(IdempotencyConflictError), self.database.transaction() as session:
            journal.append(session, other, recorded_at=Timestamp(99))

    def claiming(self, who: int, amount: int) -> Posting:
        return claim_entry(
            account=address(who), payee=address(9), amount_wei=Wei(amount), cumulative_wei=Wei(amount), at=self.point()
        )

    def point(self) -> ChainPoint:
        self.events += 1
        number = self.events.to_bytes(32, "big")
        return ChainPoint(
            chain_id=1, block=self.events, block_hash=Hash32(number), block_time=Timestamp(0),
            transaction=Hash32(number), log=0,
        )  # fmt: skip

    @invariant()
    def the_books_balance(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.reading() as session:
            report = journal.trial_balance(session)
            assert report.is_balanced, report.violations
            for account, balance in journal.balances(session, as_of_seq=len(self.booked) // 2).items():
                replayed = sum_transfers(t for p in self.booked[: len(self.booked) // 2] for t in p.transfers)
                assert balance == replayed[account]
            heads = journal.verify_journal(session)
        assert heads[Chain.SEAL].number + heads[Chain.LOG].number == len(self.booked)


Books.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestBooks = Books.TestCase
