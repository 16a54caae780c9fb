"""Databases that go away, are locked, deadlock or are full: nothing half is kept, going on ends in the same bytes."""

import errno
import json
import os
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import servers
from matrix.stage import EPOCH, Outcome, Stage, attested_template, open_stage
from postgres_proxy import Cut, PostgresProxy
from sqlalchemy import create_engine, make_url, text

from ledger.db import engine, journal
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure
from ledger.steps.auditing.export import export_bundle
from ledger.steps.drive import step
from ledger.steps.transitions.transition import Moved, Waiting


@pytest.fixture(scope="module")
def postgres_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The attested workspace of the matrix on PostgreSQL; only to be copied."""
    folder = tmp_path_factory.mktemp("attested-on-postgresql")
    url = servers.new_place("postgresql", folder, postgres_url)
    with mock.patch.dict(os.environ, {"ATH_LEDGER_DATABASE_URL": url}):
        return attested_template(folder / "ledger"), url


@pytest.fixture
def on_postgres(
    postgres_template: tuple[Path, str], postgres_url: str, tmp_path: Path
) -> Iterator[Callable[[], tuple[Stage, PostgresProxy]]]:
    """Makes stages on PostgreSQL, each behind a proxy to a database of its own."""
    made: list[tuple[Stage, PostgresProxy]] = []
    template, template_url = postgres_template

    def make() -> tuple[Stage, PostgresProxy]:
        root = tmp_path / f"on-postgresql-{len(made)}"
        shutil.copytree(template, root)
        proxy = PostgresProxy(servers.new_place("postgresql", tmp_path, postgres_url, template_url)).__enter__()
        made.append((open_stage(root, database_url=proxy.url), proxy))
        return made[-1]

    yield make
    for stage, proxy in made:
        proxy.cut = None
        stage.close()
        proxy.__exit__()


@pytest.fixture(scope="module")
def undisturbed_on_postgres(
    postgres_template: tuple[Path, str], postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    """What is left by a run on PostgreSQL that nobody disturbed; played once."""
    root = tmp_path_factory.mktemp("undisturbed-on-postgresql") / "ledger"
    shutil.copytree(postgres_template[0], root)
    url = servers.new_place("postgresql", root, postgres_url, postgres_template[1])
    stage = open_stage(root, database_url=url)
    try:
        return stage.play()
    finally:
        stage.close()


def test_the_engines_leave_the_same_books(undisturbed: Outcome, undisturbed_on_postgres: Outcome) -> None:
    for told in ("header", "claim_root", "seal_chain", "chain_log", "balances", "claimed", "sent", "events", "nonces"):
        assert getattr(undisturbed, told) == getattr(undisturbed_on_postgres, told), told


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param("before", marks=pytest.mark.row("database away before COMMIT")),
        pytest.param("during", marks=pytest.mark.row("database away during COMMIT")),
        pytest.param("after", marks=pytest.mark.row("database away after COMMIT")),
    ],
)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_connections_to_postgresql_break_at_the_commit(
    on_postgres: Callable[[], tuple[Stage, PostgresProxy]], undisturbed_on_postgres: Outcome, cut: Cut, seed: int
) -> None:
    """The connection is cut at 40 of 100 COMMITs of a whole epoch, claims included."""
    stage, proxy = on_postgres()
    proxy.begin(cut, seed)
    stage.settle()
    for rank in range(3):
        stage.claim(rank)
    proxy.cut = None
    assert stage.finish() == undisturbed_on_postgres
    assert proxy.cuts >= 5
    # the lock of a session that the server still believes in may be met once more
    assert set(stage.met) <= {"db.unavailable", "db.held-elsewhere"}
    # a connection that breaks after the answer is mostly made anew before the next question: nobody notices
    assert "db.unavailable" in stage.met or cut == "after"


@pytest.mark.row("database away before COMMIT")
def test_the_server_ends_every_connection_between_all_steps(
    on_postgres: Callable[[], tuple[Stage, PostgresProxy]], undisturbed_on_postgres: Outcome
) -> None:
    """An administrator ends all of the ledger's sessions on PostgreSQL before every step: nobody notices."""
    stage, proxy = on_postgres()
    end_all = partial(servers.end_all_other_sessions, proxy.server_url)
    stage.settle(between=end_all)
    for rank in range(3):
        end_all()
        stage.claim(rank)
    assert stage.finish() == undisturbed_on_postgres


@pytest.mark.row("deadlock")
def test_a_transaction_that_postgresql_sacrifices_is_done_again(
    on_postgres: Callable[[], tuple[Stage, PostgresProxy]], undisturbed_on_postgres: Outcome
) -> None:
    """Another program holds the journal and wants the epoch while a seal holds the epoch and wants the journal."""
    stage, proxy = on_postgres()
    stage.settle(EpochState.COMPUTED)
    foreign = create_engine(make_url(proxy.server_url).set(drivername="postgresql+psycopg"))
    with foreign.connect() as connection:
        connection.execute(text("SET deadlock_timeout = '20s'"))  # so that the seal is the one that is sacrificed
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _journal_key()})
        wanting = threading.Timer(
            0.5, partial(connection.execute, text("SELECT 1 FROM epochs WHERE epoch = :n FOR UPDATE"), {"n": EPOCH})
        )
        wanting.start()
        with pytest.raises(EnvironmentFailure) as caught:
            step(stage.ledger, EPOCH)
        assert caught.value.code == "db.locked"
        assert "deadlock" in caught.value.what
        wanting.join()
        connection.rollback()
    foreign.dispose()
    assert stage.play() == undisturbed_on_postgres


def _journal_key() -> int:
    import hashlib

    return int.from_bytes(hashlib.sha256(b"append journal").digest()[:8], "big", signed=True)


@pytest.mark.row("database is locked")
def test_another_program_holds_the_write_lock_at_every_second_step(
    stage_with: Callable[..., Stage], undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds SQLite's write lock for longer than the ledger waits, again and again."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 30)
    stage = stage_with()
    with closing(sqlite3.connect(stage.workspace.root / "ledger.sqlite", isolation_level=None, timeout=5)) as other:

        def take_turns() -> None:
            other.execute("ROLLBACK" if other.in_transaction else "BEGIN IMMEDIATE")

        stage.settle(between=take_turns)
        if other.in_transaction:
            other.execute("ROLLBACK")
    assert stage.play() == undisturbed
    assert stage.met.count("db.locked") >= 5


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """What a full disk is to the program: no file grows beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def booked(stage: Stage) -> tuple[int, int]:
    with stage.ledger.database.reading() as session:
        journal.verify_journal(session)
        return journal.last_seq(session), len(journal.balances(session))


@pytest.mark.row("disk full in a seal")
def test_a_seal_finds_no_room_at_every_size_of_the_disk(stage: Stage, undisturbed: Outcome) -> None:
    """The disk is full after so many bytes more than before, in steps of 512, until the epoch can be sealed."""
    stage.settle(EpochState.COMPUTED)
    files = list(stage.workspace.root.glob("ledger.sqlite*"))
    room, refused = max(file.stat().st_size for file in files) // 4096 * 4096, set[str]()
    for size in [*range(0, 8192, 512), *range(room, room + 400_000, 4096)]:
        with no_file_beyond(size):
            try:
                result = step(stage.ledger, EPOCH)
            except (EnvironmentFailure, OSError) as error:
                refused.add(getattr(error, "code", "environment.os"))
            else:
                assert isinstance(result, Moved)
                break
        assert booked(stage) == (0, 0)
    assert refused == {"environment.os", "db.unavailable"}
    assert stage.play() == undisturbed


@pytest.mark.row("disk full in a seal")
@pytest.mark.parametrize("moment", ["write", "fsync", "rename"])
def test_every_second_file_of_an_epoch_finds_no_room(stage: Stage, undisturbed: Outcome, moment: str) -> None:
    """Writing a draft, flushing it or moving it into its place fails for every second file, through the whole epoch."""
    count = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count % 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*given, **options)

        return call

    at = {"write": (os, "open"), "fsync": (os, "fsync"), "rename": (Path, "replace")}[moment]
    place = mock.patch.object(*at, failing(getattr(*at)))
    for _ in range(60):
        if stage.state() is EpochState.SEALED:
            break
        with place:
            try:
                result = step(stage.ledger, EPOCH)
            except (EnvironmentFailure, OSError):
                stage.met.append("no room")
                continue
        if isinstance(result, Waiting):
            stage.time.mine()
    assert stage.met.count("no room") >= 3
    assert not list(stage.workspace.root.rglob(".*draft-*"))
    assert stage.play() == undisturbed


@pytest.mark.row("disk full in a seal")
def test_postgresql_has_no_room_while_it_seals(
    on_postgres: Callable[[], tuple[Stage, PostgresProxy]], undisturbed_on_postgres: Outcome
) -> None:
    """PostgreSQL answers the last lines of a seal with its own "disk full"."""
    stage, proxy = on_postgres()
    stage.settle(EpochState.COMPUTED)
    server = create_engine(make_url(proxy.server_url).set(drivername="postgresql+psycopg"))
    with server.begin() as connection:
        connection.execute(
            text("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
                 " 'BEGIN IF NEW.line_no > 5 THEN RAISE EXCEPTION USING ERRCODE = ''53100'', MESSAGE = ''no space'';"
                 " END IF; RETURN NEW; END'")
        )  # fmt: skip
        connection.execute(
            text("CREATE TRIGGER full_disk BEFORE INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION full_disk()")
        )
    for _ in range(3):
        with pytest.raises(EnvironmentFailure) as caught:
            step(stage.ledger, EPOCH)
        assert caught.value.code == "db.disk-full"
        assert booked(stage) == (0, 0)
    with server.begin() as connection:
        connection.execute(text("DROP FUNCTION full_disk() CASCADE"))
    server.dispose()
    assert stage.play() == undisturbed_on_postgres


@pytest.mark.row("disk full in an export")
def test_an_export_finds_no_room_at_any_size_and_leaves_no_bundle(
    stage: Stage, tmp_path: Path, undisturbed: Outcome
) -> None:
    """The disk is full at the bundle's first byte, in its middle and one byte before its end; at last there is room."""
    assert stage.play() == undisturbed
    whole, out = tmp_path / "whole.zip", tmp_path / "bundle.zip"
    deployment = json.loads(stage.workspace.deployment_file.read_text())
    size = export_bundle(stage.ledger, EPOCH, deployment, whole).size
    for room in (0, 1, size // 3, size // 2, size - 1):
        with no_file_beyond(room), pytest.raises((EnvironmentFailure, OSError)):
            export_bundle(stage.ledger, EPOCH, deployment, out)
        assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["whole.zip"], room
    export_bundle(stage.ledger, EPOCH, deployment, out)
    assert out.read_bytes() == whole.read_bytes()
