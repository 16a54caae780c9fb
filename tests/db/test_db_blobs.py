"""Files inside the database: evidence, artefacts and submissions, on both engines; nothing is lost on the way back."""

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger.db import migrations, submissions
from ledger.db.blobs import put_blob, read_blob
from ledger.db.engine import Database
from ledger.db.errors import BlobDamagedError, WouldLoseError
from ledger.db.evidence import DatabaseStore
from ledger.db.guards import remove_guards
from ledger.db.submissions import SubmissionState
from ledger.evidence.storage.store import ItemKind, ItemNotStoredError, StoredBytesDifferError
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.steps.kept.artefact_store import DatabaseArtefacts

ONE, TWO = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
EPOCH = EpochNumber(0)


@pytest.fixture
def damaged(database: Database) -> Database:
    """A database whose guards somebody took off."""
    with database.engine.begin() as connection:
        remove_guards(connection)
    return database


def damage(database: Database, statement: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(statement))


FLIP = {"sqlite": "UPDATE blobs SET content = zeroblob(size)",
        "postgresql": "UPDATE blobs SET content = set_byte(content, 0, get_byte(content, 0) # 1)"}  # fmt: skip


def test_what_is_put_comes_back_once_under_its_uid(database: Database) -> None:
    store = DatabaseStore(database)
    put = store.put(ItemKind.BATCH, TWO, b"two")
    assert store.put(ItemKind.BATCH, TWO, b"two") == put
    store.put(ItemKind.BATCH, ONE, b"one")
    store.put(ItemKind.REVOCATION, ONE, b"one")  # other kind, same bytes: one blob
    assert [item.uid for item in store.list(ItemKind.BATCH)] == [ONE, TWO]
    assert store.get(ItemKind.BATCH, TWO) == store.read(put) == b"two"
    assert list(store.get_all(ItemKind.BATCH, [TWO, ONE, TWO])) == [b"two", b"one", b"two"]
    assert store.find(ItemKind.BATCH, TWO) == put
    assert not store.exists(ItemKind.REGISTRATION, TWO)
    with pytest.raises(ItemNotStoredError):
        store.get(ItemKind.REGISTRATION, TWO)
    with pytest.raises(ItemNotStoredError, match="03"):
        list(store.get_all(ItemKind.BATCH, [ONE, Hash32(b"\x03" * 32)]))
    with pytest.raises(StoredBytesDifferError):
        store.put(ItemKind.BATCH, TWO, b"other")
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM blobs")).scalar_one() == 2


def test_changed_or_missing_bytes_are_named_and_never_evidence(damaged: Database) -> None:
    store = DatabaseStore(damaged)
    item = store.put(ItemKind.BATCH, ONE, b"one")
    damage(damaged, FLIP[damaged.dialect])
    for look in (
        lambda: store.read(item),
        lambda: store.get(ItemKind.BATCH, ONE),
        lambda: store.put(ItemKind.BATCH, ONE, b"one"),
    ):
        with pytest.raises(StoredBytesDifferError, match="changed"):
            look()
    with damaged.reading() as session, pytest.raises(BlobDamagedError):
        read_blob(session, Hash32(item.sha256))


def test_an_artefact_lives_in_the_database_and_its_copy_is_only_a_copy(database: Database, tmp_path: Path) -> None:
    here, elsewhere = DatabaseArtefacts(tmp_path / "a"), DatabaseArtefacts(tmp_path / "b")
    written = here.write(EPOCH, 1, "tree.bin", b"leaves")
    with database.transaction() as session:
        here.record(session, EPOCH, 1, written, Timestamp(1))
    with database.reading() as session:
        assert elsewhere.read(session, EPOCH, 1, "tree") == b"leaves"
        place = elsewhere.path(session, EPOCH, 1, "tree")
        place.write_bytes(b"lEaves")
        assert elsewhere.read(session, EPOCH, 1, "tree") == b"leaves"
        place.unlink()
        assert bytes(elsewhere.mapped(session, EPOCH, 1, "tree").view) == b"leaves"
        assert elsewhere.path(session, EPOCH, 1, "tree").read_bytes() == b"leaves"


def test_a_damaged_blob_is_no_artefact(damaged: Database, tmp_path: Path) -> None:
    here = DatabaseArtefacts(tmp_path / "a")
    with damaged.transaction() as session:
        here.record(session, EPOCH, 1, here.write(EPOCH, 1, "tree.bin", b"leaves"), Timestamp(1))
    damage(damaged, FLIP[damaged.dialect])
    with damaged.reading() as session:
        with pytest.raises(MismatchError, match="changed"):
            DatabaseArtefacts(tmp_path / "b").read(session, EPOCH, 1, "tree")
        assert here.read(session, EPOCH, 1, "tree") == b"leaves"  # a copy with the recorded digest is the file


def test_an_artefact_that_was_not_recorded_left_no_blob(database: Database, tmp_path: Path) -> None:
    here = DatabaseArtefacts(tmp_path)
    written = here.write(EPOCH, 1, "tree.bin", b"leaves")
    with suppress(KeyboardInterrupt), database.transaction() as session:
        here.record(session, EPOCH, 1, written, Timestamp(1))
        raise KeyboardInterrupt
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM blobs")).scalar_one() == 0


def test_a_submission_waits_once_until_it_is_judged(database: Database) -> None:
    digest = Hash32(hashlib.sha256(b"batch").digest())
    with database.transaction() as session:
        first = submissions.receive(session, b"batch", received_at=Timestamp(5))
        again = submissions.receive(session, b"batch", received_at=Timestamp(9))
        later = submissions.receive(session, b"other", received_at=Timestamp(7))
    assert (first.digest, first.state, again) == (digest, SubmissionState.RECEIVED, first)
    with database.reading() as session:
        assert submissions.waiting(session) == [first, later]
        assert submissions.waiting(session, until=Timestamp(6)) == [first]
        assert submissions.waiting(session, limit=1) == [first]
        assert submissions.content_of(session, digest) == b"batch"
    verdict = {"uid": ONE, "kind": "batch", "epoch": EpochNumber(3), "detail": "", "judged_at": Timestamp(10)}
    with database.transaction() as session:
        submissions.record_verdict(session, first, is_admitted=True, code="", **verdict)  # type: ignore[arg-type]
        submissions.record_verdict(session, first, is_admitted=False, code="x", **verdict)  # type: ignore[arg-type]
        after = submissions.receive(session, b"batch", received_at=Timestamp(11))
    assert (after.state, after.number, after.uid, after.epoch) == (SubmissionState.ADMITTED, 1, ONE, 3)
    with database.reading() as session:
        assert submissions.waiting(session) == [later]


def test_what_was_refused_may_be_handed_in_again(database: Database) -> None:
    with database.transaction() as session:
        early = submissions.receive(session, b"batch", received_at=Timestamp(5))
        submissions.record_verdict(
            session, early, is_admitted=False, uid=None, kind="file", epoch=None, code="batch.early", detail="d",
            judged_at=Timestamp(6),
        )  # fmt: skip
        again = submissions.receive(session, b"batch", received_at=Timestamp(9))
    assert (again.number, again.received_at, again.state) == (2, 9, SubmissionState.RECEIVED)
    with database.reading() as session:
        assert submissions.waiting(session) == [again]


def test_going_back_is_refused_while_anything_would_be_lost(database: Database) -> None:
    with database.transaction() as session:
        put_blob(session, b"kept")
    with pytest.raises(WouldLoseError, match="1 rows of blobs"):
        migrations.downgrade(database, "0001")
    migrations.check(database)
    with database.reading() as session:
        assert read_blob(session, Hash32(hashlib.sha256(b"kept").digest())) == b"kept"


def test_going_back_and_forth_without_content_changes_nothing(database: Database) -> None:
    assert migrations.downgrade(database, "0001") == "0001"
    migrations.upgrade(database)
    migrations.check(database)
