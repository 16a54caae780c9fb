"""Maps of recorded files: verified before anybody reads them, again once they changed, and few at a time."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.model.errors import MismatchError
from ledger.model.units import Hash32
from ledger.steps.kept import mapped_files
from ledger.steps.kept.mapped_files import MappedFiles

CONTENT = b"figures of an epoch" * 1000


def digest_of(content: bytes) -> Hash32:
    return Hash32(hashlib.sha256(content).digest())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "tree.bin"
    place.write_bytes(CONTENT)
    return place


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were verified, in order."""
    verified, found = mapped_files._verified, []

    def noted(place: Path, digest: Hash32) -> object:
        found.append(place)
        return verified(place, digest)

    monkeypatch.setattr(mapped_files, "_verified", noted)
    return found


def write_over(place: Path, content: bytes, *, later_ns: int) -> None:
    """Write in place, as an editor would, so that the file keeps its inode."""
    with place.open("r+b") as out:
        out.write(content)
        out.truncate()
    before = place.stat()
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns + later_ns))


def test_a_file_is_verified_once_and_then_served_from_the_same_map(file: Path, hashed: list[Path]) -> None:
    maps = MappedFiles()
    first, second = maps.open(file, digest_of(CONTENT)), maps.open(file, digest_of(CONTENT))
    assert first is second
    assert first.view == CONTENT
    assert first.view.readonly
    assert hashed == [file]


def test_other_bytes_than_recorded_are_never_handed_out(file: Path) -> None:
    with pytest.raises(MismatchError, match="recorded was"):
        MappedFiles().open(file, digest_of(b"what was recorded"))


@pytest.mark.parametrize("written", [CONTENT[:-1] + b"!", CONTENT[:-5], CONTENT + b"more", b""])
def test_a_file_changed_in_place_after_it_was_verified_is_refused(file: Path, written: bytes) -> None:
    maps = MappedFiles()
    maps.open(file, digest_of(CONTENT))
    write_over(file, written, later_ns=1_000_000_000)
    with pytest.raises(MismatchError, match="recorded was"):
        maps.open(file, digest_of(CONTENT))


def test_a_change_that_keeps_size_and_time_of_writing_is_seen_by_the_inode(file: Path) -> None:
    maps = MappedFiles()
    maps.open(file, digest_of(CONTENT))
    before = file.stat()
    other = file.with_name("other")
    other.write_bytes(CONTENT[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    with pytest.raises(MismatchError, match="recorded was"):
        maps.open(file, digest_of(CONTENT))


def test_a_file_that_is_gone_is_named_with_its_digest(file: Path) -> None:
    maps = MappedFiles()
    maps.open(file, digest_of(CONTENT))
    file.unlink()
    with pytest.raises(MismatchError, match=f"is gone; its SHA-256 was 0x{digest_of(CONTENT).hex()}"):
        maps.open(file, digest_of(CONTENT))


def test_the_same_bytes_put_back_are_served_after_being_verified_again(file: Path, hashed: list[Path]) -> None:
    maps = MappedFiles()
    held = maps.open(file, digest_of(CONTENT))
    other = file.with_name("other")
    other.write_bytes(CONTENT)
    other.replace(file)
    assert maps.open(file, digest_of(CONTENT)).view == held.view == CONTENT
    assert hashed == [file, file]


def test_an_empty_file_is_mapped_as_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "nothing").touch()
    assert MappedFiles().open(tmp_path / "nothing", digest_of(b"")).view == b""


def test_the_least_recently_used_map_is_given_up_and_those_in_use_stay_readable(
    tmp_path: Path, hashed: list[Path]
) -> None:
    maps = MappedFiles(at_most=2)
    contents = [bytes([number]) * 100 for number in range(3)]
    places = [tmp_path / str(number) for number in range(3)]
    for place, content in zip(places, contents, strict=True):
        place.write_bytes(content)
    first = maps.open(places[0], digest_of(contents[0]))
    maps.open(places[1], digest_of(contents[1]))
    maps.open(places[0], digest_of(contents[0]))
    maps.open(places[2], digest_of(contents[2]))
    assert len(maps) == 2
    maps.open(places[0], digest_of(contents[0]))
    maps.open(places[1], digest_of(contents[1]))
    assert hashed == [*places, places[1]]
    assert first.view == contents[0]


def test_many_threads_get_the_right_bytes(tmp_path: Path) -> None:
    maps = MappedFiles(at_most=3)
    contents = {tmp_path / str(number): os.urandom(5000) for number in range(8)}
    for place, content in contents.items():
        place.write_bytes(content)

    def look(place: Path) -> bool:
        return maps.open(place, digest_of(contents[place])).view == contents[place]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(look, list(contents) * 50))
    assert len(maps) <= 3
