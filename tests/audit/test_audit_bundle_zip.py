"""A bundle's container: one way to write it, nothing else is read."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.bundle.container import Member, read_zip, write_zip
from ledger.audit.bundle.error import BundleError

CONTENTS = {"index.json": b"{}", "batches/00ff.ndjson": b'{"a":1}\n' * 50, "tables.json": b"", "README.md": b"# hello"}


def packed(contents: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    pairs = contents.items() if isinstance(contents, dict) else contents
    out = io.BytesIO()
    write_zip([Member(name, lambda content=content: content) for name, content in pairs], out)  # type: ignore[misc]
    return out.getvalue()


def test_what_is_written_is_read_back() -> None:
    members = read_zip(memoryview(packed(CONTENTS)))
    assert {name: bytes(body) for name, body in members.items()} == CONTENTS
    assert list(members) == list(CONTENTS)


def test_every_zip_tool_opens_it(tmp_path: Path) -> None:
    content = packed(CONTENTS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    (tmp_path / "bundle.zip").write_bytes(content)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "bundle.zip", "out"], cwd=tmp_path, check=True)
    assert (tmp_path / "out" / "batches" / "00ff.ndjson").read_bytes() == CONTENTS["batches/00ff.ndjson"]


def test_no_byte_can_be_changed_unseen() -> None:
    """Every single position: a container has no slack."""
    content = packed(CONTENTS)
    for place in range(len(content)):
        for flipped in (content[place] ^ 1, content[place] ^ 0x80):
            damaged = content[:place] + bytes([flipped]) + content[place + 1 :]
            with pytest.raises(BundleError):
                read_zip(memoryview(damaged))


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: b"\0" + c, lambda c: c[:40]])
def test_a_file_cut_off_or_grown_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BundleError) as refused:
        read_zip(memoryview(change(packed(CONTENTS))))
    assert refused.value.code in {"bundle.damaged", "bundle.not-a-bundle"}
    assert refused.value.exit_code == 4


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/x.json", "a/b/c.json", "a\\b.json", "tool.exe", "a/../b.json", ".x.json"]
)
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    harmless = "q" * (len(name) - 5) + ".json"
    content = packed({harmless: b"{}"}).replace(harmless.encode(), name.encode())
    with pytest.raises(BundleError) as refused:
        read_zip(memoryview(content))
    assert refused.value.code == "bundle.member-unknown"


def test_a_member_given_twice_is_refused() -> None:
    with pytest.raises(BundleError) as refused:
        read_zip(memoryview(packed([("a.json", b"1"), ("a.json", b"2")])))
    assert refused.value.code == "bundle.member-repeated"


def test_a_deflated_zip_is_refused_without_unpacking_it() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", b"0" * 10_000_000)
    with pytest.raises(BundleError):
        read_zip(memoryview(out.getvalue()))


@given(st.binary(max_size=200))
def test_no_bytes_of_a_stranger_do_more_than_be_refused(content: bytes) -> None:
    for start in (b"", b"PK\x03\x04"):
        with pytest.raises(BundleError):
            read_zip(memoryview(start + content))
