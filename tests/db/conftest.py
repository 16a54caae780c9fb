"""What the database's tests stand on: real SQLite files, and one real PostgreSQL server for the whole run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import new_place

from ledger.books.log_entries import ChainPoint, claim_entry
from ledger.books.posting import Posting
from ledger.books.seal_entries import OperatorLines, seal_entry
from ledger.db.engine import Database, open_database
from ledger.model.allocation import Totals
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> str:
    """An empty place, once on each engine."""
    return new_url(request.param)


@pytest.fixture(params=ENGINES)
def ledger_url(
    request: pytest.FixtureRequest, tmp_path: Path, migrated: Callable[[str], tuple[str | None, str]]
) -> str:
    """A migrated ledger of its own, once on each engine."""
    return new_place(request.param, tmp_path, *migrated(request.param))


@pytest.fixture
def database(ledger_url: str) -> Iterator[Database]:
    """The same, open."""
    made = open_database(ledger_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_database(tmp_path: Path, migrated: Callable[[str], tuple[str | None, str]]) -> Iterator[Database]:
    """A migrated ledger on SQLite, open."""
    made = open_database(new_place("sqlite", tmp_path, *migrated("sqlite")))
    yield made
    made.close()


def operator(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def seal_of(
    epoch: int, *, operators: int = 2, attempt: int = 1, rollover_in: int = 0, rollover_out: int = 0
) -> Posting:
    """A seal with made-up round amounts: operator i earns i ATH base, a tenth efficiency, a hundredth green."""
    lines = [
        OperatorLines(
            operator=operator(number),
            base_wei=Wei(number * 10**18),
            efficiency_wei=Wei(number * 10**17),
            green_wei=Wei(number * 10**16),
        )
        for number in range(1, operators + 1)
    ]
    payout = sum(line.pay_wei for line in lines)
    budget = payout + 7 + 5 + rollover_out - rollover_in
    totals = Totals(
        epoch=EpochNumber(epoch),
        budget_wei=Wei(budget),
        rollover_in_wei=Wei(rollover_in),
        reserve_wei=Wei(7),
        carbon_wei=Wei(5),
        pool_wei=Wei(payout + rollover_out),
        payout_wei=Wei(payout),
        rollover_out_wei=Wei(rollover_out),
        sum_weight=1,
        left_over_wei=0,
        location_ug=MicrogramsCo2e(11),
        residual_ug=MicrogramsCo2e(13),
        carried_in_ug=MicrogramsCo2e(0),
        carried_out_ug=MicrogramsCo2e(0),
    )
    return seal_entry(
        totals=totals,
        attempt=attempt,
        manifest_hash=Hash32(bytes([epoch % 256]) * 32),
        claim_root=Hash32(b"\x02" * 32),
        lines=lines,
        effective_at=Timestamp(86_400 * (epoch + 1)),
    )


def point(number: int) -> ChainPoint:
    return ChainPoint(
        chain_id=31337,
        block=number,
        block_hash=Hash32(number.to_bytes(32, "big")),
        block_time=Timestamp(1000 + number),
        transaction=Hash32((number + 2**64).to_bytes(32, "big")),
        log=0,
    )


def claim_of(number: int, *, who: int = 1, amount: int = 1) -> Posting:
    return claim_entry(
        account=operator(who),
        payee=operator(who),
        amount_wei=Wei(amount),
        cumulative_wei=Wei(amount),
        at=point(number),
    )


@pytest.fixture(scope="session")
def make_seal() -> Callable[..., Posting]:
    return seal_of


@pytest.fixture(scope="session")
def make_claim() -> Callable[..., Posting]:
    return claim_of


@pytest.fixture(scope="session")
def make_point() -> Callable[[int], ChainPoint]:
    return point
