"""A backup is one file that becomes the same ledger in an empty place, on either engine; anything else is refused."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.local.anvil import stop_detached
from ledger.cli.edge import run
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal

ENGINES = ("sqlite", "postgresql")
COMMAND = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


class Place:
    """A workspace on one engine, and the command line to it."""

    def __init__(self, root: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.url = url
        self._capsys = capsys

    def do(self, *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            if self.url:
                patch.setenv("ATH_LEDGER_DATABASE_URL", self.url)
            self._capsys.readouterr()
            code = run([*map(str, arguments), "-w", str(self.root)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def data(self, *arguments: str | Path) -> Any:
        code, out, err = self.do(*arguments, "-o", "json")
        assert code == 0, err
        return json.loads(out)["data"]


@pytest.fixture(scope="module", params=ENGINES)
def settled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace with the worked example's epoch 0 FINAL, once on each engine; only to be read."""
    import servers

    root, url = tmp_path_factory.mktemp("settled") / "ledger", ""
    if request.param == "postgresql":
        url = servers.new_place("postgresql", root, request.getfixturevalue("postgres_url"))
    with pytest.MonkeyPatch.context() as patch:
        if url:
            patch.setenv("ATH_LEDGER_DATABASE_URL", url)
        rehearsal = Rehearsal.create(root, WorkedExample())
        ledger = rehearsal.deploy(lambda _step: None)
        rehearsal.register(ledger)
        rehearsal.attest(ledger, EpochNumber(0))
        for _ in rehearsal.settle(ledger, EpochNumber(0)):
            pass
        ledger.close()
        stop_detached(root / "chain")
    return root, url


@pytest.fixture
def place(settled: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(*settled, capsys)


@pytest.fixture
def empty(
    settled: tuple[Path, str], tmp_path: Path, new_url: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> Place:
    """An empty place on the same engine."""
    return Place(tmp_path / "restored", new_url("postgresql") if settled[1] else "", capsys)


@pytest.fixture
def archive(place: Place, tmp_path: Path) -> Path:
    file = tmp_path / "ledger.backup"
    assert place.do("db", "backup", file)[0] == 0
    return file


def code_of(err: str) -> str:
    return err.split(":", 1)[0].split()[-1]


def test_a_restored_ledger_is_the_one_that_was_backed_up(place: Place, empty: Place, archive: Path) -> None:
    before = place.data("db", "check")
    restored = empty.data("db", "restore", archive)
    assert (restored["entries"], restored["seal_head"]) == (before["entries"], before["seal_head"])
    after = empty.data("db", "check")
    assert after | {"database": ""} == before | {"database": ""}
    for question in (("epoch", "list"), ("batch", "list"), ("node", "list"), ("epoch", "show", "0")):
        assert empty.data(*question) == place.data(*question), question


def test_the_same_ledger_gives_the_same_backup_also_after_a_restore(
    place: Place, empty: Place, archive: Path, tmp_path: Path
) -> None:
    again, of_restored = tmp_path / "again", tmp_path / "of-restored"
    assert place.do("db", "backup", again)[0] == 0
    assert again.read_bytes() == archive.read_bytes()
    empty.data("db", "restore", archive)
    assert empty.do("db", "backup", of_restored)[0] == 0
    assert of_restored.read_bytes() == archive.read_bytes()


def test_no_key_and_no_secret_is_in_a_backup(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert not [name for name in names if name.startswith(("keys", "chain", "workspace/secrets"))]
    assert b"postgresql://" not in archive.read_bytes()
    assert archive.stat().st_mode & 0o077 == 0


def test_a_backup_replaces_no_file_and_a_restore_no_ledger(place: Place, empty: Place, archive: Path) -> None:
    code, _, err = place.do("db", "backup", archive)
    assert (code, code_of(err)) == (2, "usage.invalid")
    code, _, err = place.do("db", "restore", archive)
    assert (code, code_of(err)) == (7, "backup.place-taken")
    (empty.root).mkdir()
    (empty.root / "letter.txt").write_text("mine")
    code, _, err = empty.do("db", "restore", archive)
    assert (code, code_of(err), (empty.root / "letter.txt").read_text()) == (7, "backup.place-taken", "mine")


def test_a_changed_byte_anywhere_is_refused_before_anything_is_made(empty: Place, archive: Path) -> None:
    content = archive.read_bytes()
    with tarfile.open(archive) as tar:
        # of each member the first byte of its header and one in the middle of its content
        places = [at for each in tar for at in (each.offset, each.offset_data + each.size // 2) if each.size]
    for at in [*places[:: max(1, len(places) // 40)], places[-1]]:
        archive.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        code, _, err = empty.do("db", "restore", archive)
        assert (code, code_of(err)) == (4, "backup.damaged"), at
        assert not empty.root.exists()
    for length in (0, 511, len(content) // 2, len(content) - 20_000):
        archive.write_bytes(content[:length])
        code, _, err = empty.do("db", "restore", archive)
        assert (code, code_of(err)) == (4, "backup.damaged"), length
    assert not empty.root.exists()


def repacked(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The archive with other members, and a list that agrees with them."""
    import hashlib
    import io

    with tarfile.open(archive) as tar:
        members = {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]
    index = json.loads(members.pop("index.json"))
    change(members)
    index["members"] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in members.items()
    }
    members["index.json"] = json.dumps(index).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_a_member_that_would_leave_the_folder_is_refused(empty: Place, archive: Path) -> None:
    repacked(archive, lambda members: members.update({"artefacts/00000000/1/../../../../out": b"x"}))
    code, _, err = empty.do("db", "restore", archive)
    assert code == (0 if empty.url else 4), err  # files of a ledger on PostgreSQL are in its database
    assert not (empty.root.parent / "out").exists()


def test_forged_rows_are_found_by_the_check_after_the_restore(empty: Place, archive: Path) -> None:
    def forge(members: dict[str, bytes]) -> None:
        members["tables/balances"] = members["tables/balances"].replace(b'"0"', b'"7"', 1)

    repacked(archive, forge)
    code, _, err = empty.do("db", "restore", archive)
    assert (code, code_of(err)) == (4, "books.balances-differ")
    assert not (empty.root / "settings.toml").exists()


def test_a_backup_of_another_engine_is_refused(place: Place, archive: Path, empty: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other", "" if empty.url else "postgresql://nobody@127.0.0.1:1/none", empty._capsys)
    code, _, err = other.do("db", "restore", archive)
    assert (code, code_of(err)) == (7, "backup.other-engine")


def test_a_file_that_is_gone_stops_the_backup(place: Place, tmp_path: Path, archive: Path) -> None:
    if place.url:
        return  # its files are rows
    copy = Place(tmp_path / "copy", "", place._capsys)
    shutil.copytree(place.root, copy.root)
    next(copy.root.glob("artefacts/*/*/*.parquet")).unlink()
    out = tmp_path / "of-holes"
    code, _, err = copy.do("db", "backup", out)
    assert (code, out.exists()) == (4, False), err


@pytest.mark.slow
@pytest.mark.parametrize("after_ms", [300, 600, 900, 1200, 1600])
def test_a_restore_that_is_killed_is_no_ledger_and_is_finished_by_the_next(
    empty: Place, archive: Path, place: Place, after_ms: int
) -> None:
    environment = dict(os.environ) | ({"ATH_LEDGER_DATABASE_URL": empty.url} if empty.url else {})
    arguments = ["db", "restore", str(archive), "-w", str(empty.root)]
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], env=environment, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after_ms / 1000)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not (empty.root / "settings.toml").exists():
        assert empty.do("db", "check")[0] != 0
        assert empty.do("db", "restore", archive)[0] == 0
    assert empty.data("db", "check")["seal_head"] == place.data("db", "check")["seal_head"]
