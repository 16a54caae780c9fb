"""Derived files: made once, never taken from other sources or with other bytes, never in the way of an answer."""

import hashlib
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from ledger.steps.answers.index.derived_file import derived_file

SOURCES = (b"format/1", hashlib.sha256(b"statements").digest())


class Built:
    """Builds a table of one row and counts how often."""

    def __init__(self, figure: int = 7) -> None:
        self.figure, self.times = figure, 0

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.times += 1
        connection.execute("CREATE TABLE figures (figure INTEGER)")
        connection.execute("INSERT INTO figures VALUES (?)", (self.figure,))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sqlite"))


def test_it_is_built_once_and_opened_by_whoever_comes_later(tmp_path: Path) -> None:
    build = Built()
    for _ in range(3):
        assert derived_file(tmp_path, "epoch-1", SOURCES, build).row("SELECT figure FROM figures") == (7,)
    assert build.times == 1
    assert [place.stat().st_mode & 0o777 for place in files(tmp_path)] == [0o600]


def test_one_derived_from_other_sources_is_replaced(tmp_path: Path) -> None:
    derived_file(tmp_path, "epoch-1", SOURCES, Built(7))
    other = derived_file(tmp_path, "epoch-1", (b"format/1", b"other bytes"), Built(8))
    assert other.row("SELECT figure FROM figures") == (8,)
    assert files(tmp_path) == [other.place]


@pytest.mark.parametrize("cut", [0, 1])
def test_one_whose_bytes_were_changed_is_built_again(tmp_path: Path, cut: int) -> None:
    place = derived_file(tmp_path, "epoch-1", SOURCES, Built()).place
    content = bytearray(place.read_bytes())
    content[-20] ^= 1
    place.write_bytes(content[: len(content) - cut])
    again = Built()
    assert derived_file(tmp_path, "epoch-1", SOURCES, again).row("SELECT figure FROM figures") == (7,)
    assert again.times == 1


def test_a_file_that_only_looks_like_one_is_not_opened(tmp_path: Path) -> None:
    place = derived_file(tmp_path, "epoch-1", SOURCES, Built()).place
    false = place.with_name(place.name.replace(place.name.split(".")[2], "no-digest"))
    place.rename(false)
    again = Built()
    derived_file(tmp_path, "epoch-1", SOURCES, again)
    assert again.times == 1


def test_another_name_has_another_file(tmp_path: Path) -> None:
    for name in ("epoch-1", "epoch-10"):
        derived_file(tmp_path, name, SOURCES, Built())
    assert len(files(tmp_path)) == 2


def test_without_a_folder_it_lasts_as_long_as_its_object() -> None:
    found = derived_file(None, "epoch-1", SOURCES, Built())
    place = found.place
    assert found.row("SELECT figure FROM figures") == (7,)
    del found
    assert not place.exists()


def test_a_folder_that_cannot_be_written_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = derived_file(tmp_path / "cache", "epoch-1", SOURCES, Built())
    assert found.row("SELECT figure FROM figures") == (7,)


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(_connection: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        derived_file(tmp_path, "epoch-1", SOURCES, fail)
    assert not list(tmp_path.glob(".draft-*"))
    assert not files(tmp_path)


def test_what_a_killed_builder_left_goes_with_the_next_build(tmp_path: Path) -> None:
    (tmp_path / ".draft-epoch-1.0123456789ab").write_bytes(b"half")
    (tmp_path / ".draft-epoch-10.0123456789ab").write_bytes(b"somebody else's")
    derived_file(tmp_path, "epoch-1", SOURCES, Built())
    assert [place.name for place in tmp_path.glob(".draft-*")] == [".draft-epoch-10.0123456789ab"]


def test_nobody_writes_into_it(tmp_path: Path) -> None:
    found = derived_file(tmp_path, "epoch-1", SOURCES, Built())
    with pytest.raises(sqlite3.OperationalError):
        found.rows("INSERT INTO figures VALUES (8)")


def test_what_was_not_opened_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Built()
    for epoch in range(3):
        size = derived_file(tmp_path, f"epoch-{epoch}", SOURCES, build).place.stat().st_size
    for age, epoch in enumerate((1, 0, 2)):
        place = next(tmp_path.glob(f"epoch-{epoch}.*"))
        os.utime(place, ns=(10**18 + age, 10**18 + age))
    monkeypatch.setattr("ledger.steps.answers.index.derived_file.KEPT_BYTES", 3 * size)
    derived_file(tmp_path, "epoch-0", SOURCES, build)
    assert len(files(tmp_path)) == 3
    derived_file(tmp_path, "epoch-3", SOURCES, build)
    assert [place.name.partition(".")[0] for place in files(tmp_path)] == ["epoch-0", "epoch-2", "epoch-3"]
    assert build.times == 4


def test_those_who_need_it_at_once_build_it_once(tmp_path: Path) -> None:
    build, found = Built(), []
    threads = [
        threading.Thread(target=lambda: found.append(derived_file(tmp_path, "epoch-1", SOURCES, build).row(
            "SELECT figure FROM figures"))) for _ in range(6)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(7,)] * 6
    assert build.times == 1
