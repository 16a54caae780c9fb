"""A file is whole or not there, whatever ended its writer."""

import stat
from pathlib import Path

import pytest

from ledger.model.durable import OWNER_ONLY, create_whole, draft_prefix, write_whole


def test_a_file_is_replaced_in_one_step_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    write_whole(file, "old")
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.toml"]


def test_a_new_file_never_replaces_one_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    create_whole(file, "first", mode=OWNER_ONLY)
    with pytest.raises(FileExistsError):
        create_whole(file, "second", mode=OWNER_ONLY)
    assert file.read_text() == "first"
    assert stat.S_IMODE(file.stat().st_mode) == OWNER_ONLY
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.json"]


def test_what_a_killed_writer_left_beside_the_file_does_not_hinder_the_next(tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    (tmp_path / f"{draft_prefix(file)}c0ffee").write_text("cut o")
    write_whole(file, "whole")
    assert file.read_text() == "whole"


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "\ud800")
    assert file.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]
