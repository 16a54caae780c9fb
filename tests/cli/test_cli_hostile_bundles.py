"""`audit verify BUNDLE` among strangers: any byte changed, packed again, added to, cut, named to escape, enormous."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.audit.bundle.container import Member, read_zip, write_zip
from ledger.audit.bundle.content import BATCH_FOLDER, INDEX
from ledger.audit.bundle.error import BundleError
from ledger.audit.bundle.reading import read_bundle
from ledger.audit.bundle.verification import verify_bundle
from ledger.audit.bundle.writing import index_document
from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.cli.edge import run
from ledger.model.units import EpochNumber, Hash32, from_hex
from ledger.steps.auditing.export import export_bundle
from ledger.tree.canonical import canonical_json
from ledger.tree.keccak import checksum_address
from ledger.workspace import Workspace

MISMATCH: Final = 4
REPOSITORY: Final = Path(__file__).parents[2]
HEAP_BYTES: Final = 300 * 2**20
"""What a check may allocate; the worked example takes half of it, nearly all of that for the program itself."""
ENORMOUS: Final = 320 * 2**20
Members = dict[str, bytes]
SAID_BY_THE_CHAIN: Final = ("deployment.json", "roles.json", "settlement.json")
"""No header commits to them, only to the block they are read at: what does not change the result is seen with --rpc."""


@pytest.fixture(scope="session")
def bundle(settled_example: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The worked example's first epoch as its bundle."""
    ledger = Workspace.at(settled_example).open(read_only=True)
    place = tmp_path_factory.mktemp("bundle") / "epoch-0.zip"
    try:
        export_bundle(ledger, EpochNumber(0), json.loads((settled_example / "deployment.json").read_text()), place)
    finally:
        ledger.close()
    return place.read_bytes()


def members_of(content: bytes) -> Members:
    return {name: bytes(body) for name, body in read_zip(memoryview(content)).items()}


def packed(members: Members) -> bytes:
    out = io.BytesIO()
    write_zip([Member(name, lambda body=body: body) for name, body in members.items()], out)  # type: ignore[misc]
    return out.getvalue()


def indexed(members: Members) -> bytes:
    """Packed by somebody who also writes the index and the order anew, so that nothing but the content is wrong."""
    index = json.loads(members[INDEX])
    others = {name: members[name] for name in sorted(members) if name != INDEX}
    digests = {name: (hashlib.sha256(body).digest(), len(body)) for name, body in others.items()}
    again = index_document(int(index["epoch"]), Hash32(from_hex(index["headerHash"], 32)), digests)
    return packed({INDEX: again, **others})


def refusal(content: bytes) -> BundleError:
    with pytest.raises(BundleError) as refused:
        read_bundle(memoryview(content))
    return refused.value


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]


# any one byte


def test_every_single_byte_of_a_bundle_counts(bundle: bytes) -> None:
    for at in range(len(bundle)):
        with pytest.raises(BundleError):
            read_zip(memoryview(flipped(bundle, at, 0x20)))


@pytest.mark.slow
def test_every_single_bit_of_a_bundle_counts(bundle: bytes) -> None:
    for at in range(len(bundle)):
        for bit in range(8):
            with pytest.raises(BundleError):
                read_zip(memoryview(flipped(bundle, at, 1 << bit)))


def test_a_byte_changed_with_its_checksum_and_its_digest_does_not_verify(bundle: bytes) -> None:
    """Whoever makes container and index right again has changed the content: a member is refused or a check fails."""
    members = members_of(bundle)
    for name, body in members.items():
        if name in (INDEX, *SAID_BY_THE_CHAIN):
            continue
        for at in {0, len(body) // 3, len(body) // 2, max(0, len(body) - 2)}:
            if at >= len(body):
                continue
            changed = indexed(members | {name: flipped(body, at, 1)})
            try:
                report = verify_bundle(read_bundle(memoryview(changed)))
            except BundleError:
                continue
            assert not report.passed, f"{name} byte {at}"


BELIEVED: Final = frozenset(
    {"deployer", "finalityDepth", "firstBlock", "genesisHash", "reserve", "treasury", "window", "codeHash",
     "AccessManager", "AthToken", "CarbonVault", "PolicyRegistry"}
)  # fmt: skip
"""Of the deployment: what no signature and no header commits to. The contracts say it, to whoever asks with --rpc."""


def altered_deployments(content: bytes) -> dict[str, bytes]:
    """Bundles, each with another value of one field of the deployment, and right in container and index."""
    members = members_of(content)
    document = json.loads(members["deployment.json"])
    found = {}

    def put(name: str, changed: object) -> None:
        found[name] = indexed(members | {"deployment.json": canonical_json(changed)})

    for name, value in document.items():
        if name == "contracts":
            for contract, entry in value.items():
                other = {**entry, "address": checksum_address(bytes([0x42] * 20))}
                put(contract, {**document, "contracts": {**value, contract: other}})
            other = {**value["RewardsLedger"], "codeHash": "0x" + "42" * 32}
            put("codeHash", {**document, "contracts": {**value, "RewardsLedger": other}})
        elif isinstance(value, int):
            put(name, {**document, name: value + 3600})
        elif name == "genesisHash":
            put(name, {**document, name: "0x" + "42" * 32})
        elif name != "format":
            put(name, {**document, name: checksum_address(bytes([0x42] * 20))})
    return found


def test_what_a_bundle_alone_cannot_say_of_its_deployment_is_known(bundle: bytes) -> None:
    unseen = set()
    for name, content in altered_deployments(bundle).items():
        try:
            if verify_bundle(read_bundle(memoryview(content))).passed:
                unseen.add(name)
        except BundleError:
            continue
    assert unseen == BELIEVED


def test_the_chain_finds_what_a_bundle_alone_cannot_say_of_its_deployment(
    bundle: bytes, example: Any, tmp_path: Path
) -> None:
    """All but who deployed and how deep the ledger waits, from which nothing follows."""
    place = tmp_path / "bundle.zip"
    rpc_url = start_detached(example.root / "chain").rpc_url
    for name, content in altered_deployments(bundle).items():
        place.write_bytes(content)
        code, out, err = example.do("audit", "verify", place, "--rpc", rpc_url)
        if name in ("deployer", "finalityDepth"):
            assert code == 0, err
        else:
            assert code in (MISMATCH, 5), f"{name}: {out}"
    members = members_of(bundle)
    roles = members["roles.json"].replace(b'"fromEpoch":0', b'"fromEpoch":9', 1)
    place.write_bytes(indexed(members | {"roles.json": roles}))
    code, out, _ = example.do("audit", "verify", place, "--rpc", rpc_url, "-o", "json")
    assert code == MISMATCH
    assert json.loads(out)["data"][0]["check"] == "chain.roles"
    for event in ("proposed", "activated"):
        settled = json.loads(members["settlement.json"])
        settled[event]["transaction"] = "0x" + "42" * 32
        place.write_bytes(indexed(members | {"settlement.json": canonical_json(settled)}))
        code, out, _ = example.do("audit", "verify", place, "--rpc", rpc_url, "-o", "json")
        assert code == MISMATCH
        row = json.loads(out)["data"][0]
        assert (row["epoch"], row["where"]) == (0, f"settlement · {event}")
        assert f"transaction 0x{'42' * 32}" in row["found"]
        assert "transaction 0x" in row["expected"]
    place.write_bytes(bundle)
    assert example.do("audit", "verify", place, "--rpc", rpc_url)[0] == 0


# another container


def recompressed(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members_of(content).items():
            archive.writestr(name, body)
    return out.getvalue()


def stored_again(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, body in members_of(content).items():
            archive.writestr(name, body)
    return out.getvalue()


def with_member(name: str, body: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        members = members_of(content)
        first = members.pop(INDEX)
        return packed({INDEX: first, **dict(sorted((members | {name: body}).items()))})

    return change


def without(name: str, *, told: bool = False) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        members = members_of(content)
        del members[name]
        return indexed(members) if told else packed(members)

    return change


def renamed(content: bytes) -> bytes:
    """One batch under the name of another that is not there; index and all."""
    members = members_of(content)
    name = next(each for each in members if each.startswith(BATCH_FOLDER))
    members[f"{BATCH_FOLDER}{'0' * 64}.ndjson"] = members.pop(name)
    return indexed(members)


def escaping(content: bytes) -> bytes:
    """The header says `../../x/evil.json`; written behind the writer's back, which refuses such a name."""
    harmless, evil = b"batchesqq/qqqq.json", b"../../../x/evil.json"[: len("batchesqq/qqqq.json")]
    return with_member(harmless.decode(), b"{}")(content).replace(harmless, evil)


def next_format(content: bytes) -> bytes:
    members = members_of(content)
    members[INDEX] = members[INDEX].replace(b"ath-ledger/bundle/1", b"ath-ledger/bundle/2")
    return packed(members)


def reordered(content: bytes) -> bytes:
    members = members_of(content)
    return packed({INDEX: members.pop(INDEX), **dict(reversed(members.items()))})


REFUSED: Final[dict[str, tuple[Callable[[bytes], bytes], str, str]]] = {
    "cut off in a member": (lambda c: c[: len(c) // 2], "bundle.damaged", "header of"),
    "cut off in the directory": (lambda c: c[:-9], "bundle.damaged", "directory"),
    "cut off after the first byte": (lambda c: c[:1], "bundle.not-a-bundle", "does not begin"),
    "grown": (lambda c: c + b"\0", "bundle.damaged", "directory"),
    "something before it": (lambda c: b"#!/bin/sh\n" + c, "bundle.not-a-bundle", "does not begin"),
    "compressed": (recompressed, "bundle.damaged", "packed again"),
    "stored by another tool": (stored_again, "bundle.damaged", "writer"),
    "of a newer format": (next_format, "bundle.format", "ath-ledger/bundle/2"),
    "a foreign file added": (with_member("notes.md", b"hello"), "bundle.member-unknown", "notes.md"),
    "a batch added": (with_member(f"batches/{'ab' * 32}.ndjson", b"{}\n"), "bundle.damaged", "ab" * 32),
    "a file of a later epoch added": (with_member("before/policy.json", b"{}"), "bundle.member-missing", "before/"),
    "a file removed": (without("roles.json"), "bundle.member-missing", "roles.json"),
    "a file removed from the index, too": (without("tree.json", told=True), "bundle.member-missing", "tree.json"),
    "the index removed": (without(INDEX), "bundle.member-missing", INDEX),
    "a batch renamed": (renamed, "bundle.member-invalid", "named after"),
    "in another order": (reordered, "bundle.damaged", "order"),
    "a name that leaves the folder": (escaping, "bundle.member-unknown", ".."),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_another_container_is_refused_with_its_reason(bundle: bytes, what: str) -> None:
    change, code, reason = REFUSED[what]
    error = refusal(change(bundle))
    assert (error.code, error.exit_code) == (code, MISMATCH)
    assert reason in error.what


def test_a_batch_left_out_by_somebody_who_hides_it_well_is_found(bundle: bytes) -> None:
    """Container and index are right; the header still commits to the evidence there was."""
    members = members_of(bundle)
    del members[next(each for each in members if each.startswith(BATCH_FOLDER))]
    report = verify_bundle(read_bundle(memoryview(indexed(members))))
    assert "evidence.root" in [check.name for check in report.failed]


def test_a_bundle_of_another_chain_is_refused_by_the_chain_it_is_held_against(
    bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "bundle.zip"
    place.write_bytes(bundle)
    other = start_detached(tmp_path / "other-chain", timestamp=1_700_000_000)  # type: ignore[arg-type]
    try:
        capsys.readouterr()
        assert run(["audit", "verify", str(place), "--rpc", other.rpc_url]) == 5
        assert capsys.readouterr().err.startswith("chain.other-genesis")
    finally:
        stop_detached(tmp_path / "other-chain")


# nothing written, memory bounded


def verified_alone(place: Path, folder: Path) -> tuple[int, str, int]:
    """Exit code, message and peak of the heap in KiB of a check in a process that may allocate little."""
    program = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({HEAP_BYTES}, {HEAP_BYTES}))\n"
        "from ledger.cli.edge import run\n"
        "code = run(['audit', 'verify', sys.argv[1]])\n"
        "data = next(line for line in open('/proc/self/status') if line.startswith('VmData'))\n"
        "print(data.split()[1], file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{program}", str(place)],
        env={"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.environ["PATH"], "POLARS_MAX_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stderr, int(done.stderr.split()[-1])


def tree_of_files(folder: Path) -> dict[str, int]:
    return {str(place.relative_to(folder)): place.stat().st_mtime_ns for place in sorted(folder.rglob("*"))}


def enormous(content: bytes, place: Path, name: str, body: bytes) -> None:
    """A bundle in which one member is 320 MiB of one pattern, with checksum, digest and directory right."""
    members = members_of(content)
    members[name] = body * (ENORMOUS // len(body))
    place.write_bytes(indexed(members))


def test_what_is_refused_leaves_nothing_behind_and_takes_little_memory(bundle: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    place = folder / "bundle.zip"
    for change in (escaping, recompressed, lambda content: content[:-1]):
        place.write_bytes(change(bundle))
        before = tree_of_files(tmp_path)
        code, told, _ = verified_alone(place, folder)
        assert (code, told.split(".")[0]) == (MISMATCH, "bundle"), told
        assert tree_of_files(tmp_path) == before
    place.write_bytes(bundle)
    code, told, _ = verified_alone(place, folder)
    assert code == 0, told


def test_a_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    """1 GiB of zeros in a file of some MB: a container that is never unpacked cannot explode."""
    place = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(INDEX, "w", force_zip64=True) as member,
    ):
        for _ in range(64):
            member.write(bytes(2**24))
    assert place.stat().st_size < 2**23
    code, told, _ = verified_alone(place, tmp_path)
    assert (code, told.split(":")[0]) == (MISMATCH, "bundle.damaged")
    assert "packed again" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("registrations.ndjson", b"\0"),
        ("statements.ndjson", b"\n"),
        ("journal.ndjson", b'{"a":1}\n'),
        ("tree.json", b"["),
        ("policy.json", b"9"),
        (f"{BATCH_FOLDER}{'0' * 64}.ndjson", b"\xff"),
    ],
)
def test_an_enormous_member_is_refused_within_the_same_memory(
    bundle: bytes, tmp_path: Path, name: str, body: bytes
) -> None:
    place = tmp_path / "enormous.zip"
    enormous(bundle, place, name, body)
    code, told, _ = verified_alone(place, tmp_path)
    assert (code, told.split(":")[0]) == (MISMATCH, "bundle.member-invalid"), told
    assert name in told


def test_a_bundle_of_too_many_members_is_refused_within_the_same_memory(tmp_path: Path) -> None:
    place = tmp_path / "many.zip"
    names = [INDEX, *(f"{BATCH_FOLDER}{number:064x}.ndjson" for number in range(60_000))]
    place.write_bytes(packed(dict.fromkeys(names, b"{}")))
    code, told, _ = verified_alone(place, tmp_path)
    assert (code, told.split(":")[0]) == (MISMATCH, "bundle.member-invalid"), told
