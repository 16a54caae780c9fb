"""The store keeps what it was given, byte for byte, and notices when that is no longer so."""

import os
from pathlib import Path
from typing import Any

import pytest

from ledger.evidence.items.typed_data import Schema
from ledger.evidence.storage.batch_files import write_batch
from ledger.evidence.storage.store import (
    FolderStore,
    ItemKind,
    ItemNotStoredError,
    StoredBytesDifferError,
    StoreFailure,
    store_batch,
    store_registration,
    store_revocation,
    stored_batch,
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "evidence")


def files_of(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_a_batch_comes_back_as_it_was_signed(world: Any, store: FolderStore) -> None:
    batch = world.build(Schema.UPTIME, "checker 0", world.uptime())
    assert not store.exists(ItemKind.BATCH, batch.uid)
    item = store_batch(store, batch, world.domain)
    assert store.exists(ItemKind.BATCH, batch.uid)
    assert store.find(ItemKind.BATCH, batch.uid) == item
    again = stored_batch(store, batch.uid, world.domain)
    assert again == batch
    assert again.records().equals(batch.records())


def test_storing_twice_changes_nothing(world: Any, store: FolderStore, tmp_path: Path) -> None:
    batch = world.build(Schema.UPTIME, "checker 0", world.uptime())
    first = store_batch(store, batch, world.domain)
    assert store_batch(store, batch, world.domain) == first
    content = store.get(ItemKind.BATCH, batch.uid)
    assert store.put(ItemKind.BATCH, batch.uid, content) == first
    assert len(files_of(tmp_path)) == 1


def test_other_bytes_under_a_taken_uid_are_refused(world: Any, store: FolderStore) -> None:
    uid = world.name32("uid")
    store.put(ItemKind.STATEMENTS, uid, b"one")
    with pytest.raises(StoredBytesDifferError, match=uid.hex()):
        store.put(ItemKind.STATEMENTS, uid, b"two")
    assert store.get(ItemKind.STATEMENTS, uid) == b"one"


def test_what_is_not_there_is_named(world: Any, store: FolderStore) -> None:
    with pytest.raises(ItemNotStoredError, match="batch"):
        store.get(ItemKind.BATCH, world.name32("uid"))
    assert list(store.list(ItemKind.BATCH)) == []


def test_kinds_list_by_themselves_by_ascending_uid(world: Any, store: FolderStore) -> None:
    uids = [world.name32(str(number)) for number in range(20)]
    for uid in uids:
        store.put(ItemKind.STATEMENTS, uid, b"content")
    batch = world.build(Schema.GRID, "grid", world.grid())
    store_batch(store, batch, world.domain)
    store_registration(store, world.registration("alice"), world.domain)
    store_revocation(store, world.revoke(batch, "grid"), world.domain)
    assert [item.uid for item in store.list(ItemKind.STATEMENTS)] == sorted(uids)
    assert [item.uid for item in store.list(ItemKind.BATCH)] == [batch.uid]
    assert len(list(store.list(ItemKind.REGISTRATION))) == len(list(store.list(ItemKind.REVOCATION))) == 1
    assert list(store.verify()) == []


def test_one_flipped_byte_anywhere_is_found_and_named(world: Any, store: FolderStore, tmp_path: Path) -> None:
    batch = world.build(Schema.GRID, "grid", world.grid())
    store_batch(store, batch, world.domain)
    store_registration(store, world.registration("alice"), world.domain)
    for path in files_of(tmp_path):
        content = path.read_bytes()
        for at in range(0, len(content), max(1, len(content) // 60)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            found = list(store.verify())
            assert len(found) == 1
            assert str(path) in found[0]
        path.write_bytes(content[:-1])
        assert len(list(store.verify())) == 1
        path.write_bytes(content)
    assert list(store.verify()) == []


def test_a_damaged_batch_is_never_read_as_evidence(world: Any, store: FolderStore, tmp_path: Path) -> None:
    batch = world.build(Schema.GRID, "grid", world.grid())
    store_batch(store, batch, world.domain)
    again = stored_batch(store, batch.uid, world.domain)
    (path,) = files_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(StoredBytesDifferError):
        stored_batch(store, batch.uid, world.domain)
    with pytest.raises(StoredBytesDifferError):
        world.judge(again)


def test_another_batch_under_the_uid_is_noticed(world: Any, store: FolderStore) -> None:
    one = world.build(Schema.GRID, "grid", world.grid())
    two = world.build(Schema.GRID, "grid", world.grid(zone="ES"))
    store.put(ItemKind.BATCH, one.uid, write_batch(two, world.domain))
    with pytest.raises(StoredBytesDifferError):
        stored_batch(store, one.uid, world.domain)


def test_a_crash_while_writing_leaves_nothing_behind(
    world: Any, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreFailure, match="No space left") as failure:
        store.put(ItemKind.STATEMENTS, world.name32("uid"), b"content")
    assert failure.value.retryable
    assert files_of(tmp_path) == []
    monkeypatch.undo()
    store.put(ItemKind.STATEMENTS, world.name32("uid"), b"content")
    assert store.get(ItemKind.STATEMENTS, world.name32("uid")) == b"content"
