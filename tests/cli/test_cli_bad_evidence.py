"""Bad evidence: every way it can be bad has its code at once or in the verdict, and leaves nothing half-written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from ledger.demo.verifier import demo_signer
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.batch import BatchHeader, SignedBatch
from ledger.evidence.items.records import RECORD_COLUMNS
from ledger.evidence.items.typed_data import Domain, Schema, record_digests, schema_id
from ledger.evidence.storage.batch_files import read_batch, write_batch
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, Timestamp
from ledger.rehearsal import Rehearsal
from ledger.tree.standard import root_of_digests
from ledger.workspace import Workspace

NETWORK = WorkedExample()
EPOCH = EpochNumber(1)
START = NETWORK.calendar.start(EPOCH)
END = NETWORK.calendar.end(EPOCH)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GOOD = {
    "nodeId": "0x" + NETWORK.nodes[0].node_id.hex(),
    "windowStart": START,
    "hours": 1,
    "upMask": "0x0fffffffffffffff",
    "seenMask": "0x0fffffffffffffff",
    "capacityCheck": 1,
}


def made(example: Any, content: bytes, *more: str, schema: str = "uptime", epoch: int = 1) -> tuple[int, str]:
    """What `batch make` says to these bytes; it must write no draft when it refuses."""
    records, draft = example.folder / "records", example.folder / "draft.parquet"
    records.write_bytes(content)
    code, _, err = example.do(
        "batch", "make", "--schema", schema, "--epoch", str(epoch), "--input", records, "--out", draft,
        "--verifier", "0x" + demo_signer(NETWORK.seed, "checker", 0).address.hex(), *more,
    )  # fmt: skip
    assert draft.exists() == (code == 0)
    draft.unlink(missing_ok=True)
    assert [path.name for path in example.folder.iterdir() if path.name.startswith(".")] == []
    return code, err.split(":")[0]


def records_of(*rows: dict[str, Any]) -> bytes:
    return json.dumps(rows).encode()


def parquet(example: Any, frame: pl.DataFrame) -> bytes:
    file = example.folder / "frame.parquet"
    frame.write_parquet(file)
    return bytes(file.read_bytes())


def uptime_frame(starts: list[int]) -> pl.DataFrame:
    full = (2**60 - 1).to_bytes(8, "big")
    rows = [(NETWORK.nodes[0].node_id, start, 1, full, full, 1) for start in starts]
    return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.UPTIME], orient="row")


CSV_HEAD = b"nodeId,windowStart,hours,upMask,seenMask,capacityCheck\n"
BAD_RECORDS: dict[str, tuple[bytes, tuple[str, ...], str]] = {
    "bytes that are nothing": (b"\x00\xff\xfe", (), "file.truncated"),
    "text that is nothing": (b"hello", (), "file.columns"),
    "JSON cut off": (b'[{"nodeId": ', (), "file.truncated"),
    "a record without a member": (records_of({k: v for k, v in GOOD.items() if k != "hours"}), (), "file.value"),
    "a record with one member more": (records_of({**GOOD, "note": 1}), (), "file.value"),
    "text where a number belongs": (records_of({**GOOD, "hours": "one"}), (), "file.value"),
    "a negative number": (records_of({**GOOD, "hours": -1}), (), "file.value"),
    "a number of 2^64": (records_of({**GOOD, "windowStart": 2**64}), (), "file.value"),
    "a fraction": (records_of({**GOOD, "hours": 1.5}), (), "file.value"),
    "no record": (b"[]", (), "batch.empty"),
    "two records with one key": (records_of(GOOD, {**GOOD, "capacityCheck": 2}), (), "batch.duplicate-key"),
    "an unknown verdict": (records_of({**GOOD, "capacityCheck": 3}), (), "record.malformed"),
    "a mask that is too short": (records_of({**GOOD, "upMask": "0x0f"}), (), "record.malformed"),
    "a minute 60": (
        records_of({**GOOD, "upMask": "0x1fffffffffffffff", "seenMask": "0x1fffffffffffffff"}),
        (),
        "uptime.mask",
    ),
    "a minute up and not seen": (records_of({**GOOD, "seenMask": "0x" + "00" * 8}), (), "uptime.mask"),
    "a record of another epoch": (records_of({**GOOD, "windowStart": START - 3600}), (), "record.malformed"),
    "a record that starts at half past": (records_of({**GOOD, "windowStart": START + 1800}), (), "record.malformed"),
    "a window that begins before the epoch": (
        records_of(GOOD),
        ("--from-time", str(START - 3600), "--issued-at", str(END)),
        "batch.window",
    ),
    "a window of no whole hours": (records_of(GOOD), ("--to-time", str(END - 60)), "batch.window"),
    "issued before its window ended": (records_of(GOOD), ("--issued-at", str(END - 1)), "batch.early"),
    "issued after the cut-off": (records_of(GOOD), ("--issued-at", str(END + 90_000)), "batch.late"),
    "expired before the cut-off": (records_of(GOOD), ("--expires-at", str(END)), "batch.expired"),
    "a node nobody registered": (records_of({**GOOD, "nodeId": "0x" + "11" * 32}), (), "node.unknown"),
    "a CSV line that is too short": (CSV_HEAD + b"0x00,1\n", (), "file.truncated"),
    "a CSV field that is empty": (CSV_HEAD + b"0x00,1,,1,1,1\n", (), "file.nulls"),
    "a CSV with other columns": (b"node,start\n1,2\n", (), "file.columns"),
}  # fmt: skip


def test_records_that_would_be_refused_make_no_draft(example: Any) -> None:
    for what, (content, options, code) in BAD_RECORDS.items():
        assert (what, *made(example, content, *options)) == (what, 7, code)


def test_the_same_records_without_the_fault_make_a_draft(example: Any) -> None:
    assert made(example, records_of(GOOD))[0] == 0
    assert made(example, records_of({**GOOD, "nodeId": "0x" + "11" * 32}), "--unchecked")[0] == 0


def test_parquet_records_with_other_columns_types_or_an_end_too_early_are_refused(example: Any) -> None:
    frame = uptime_frame([START])
    whole = parquet(example, frame)
    assert made(example, whole)[0] == 0
    assert made(example, parquet(example, frame.with_columns(hours=pl.col("hours").cast(pl.UInt8))))[0] == 0
    assert made(example, whole[: len(whole) // 2]) == (7, "file.truncated")
    assert made(example, parquet(example, frame.drop("hours"))) == (7, "file.columns")
    assert made(example, parquet(example, frame.with_columns(hours=pl.lit("1")))) == (7, "file.types")
    assert made(example, parquet(example, frame.with_columns(hours=pl.lit(None, dtype=pl.Int64)))) == (7, "file.nulls")
    huge = frame.with_columns(window_start=pl.lit(2**63, dtype=pl.UInt64))
    assert made(example, parquet(example, huge)) == (7, "file.value")


def test_a_zone_or_schema_nobody_knows_is_refused(example: Any) -> None:
    row = {"zone": "ATLANTIS", "windowStart": START, "hours": 1}
    row |= {"locationEf": "0x00000001", "residualEf": "0x00000001", "flags": "0x00"}
    assert made(example, records_of(row), schema="grid") == (7, "zone.unknown")
    assert made(example, records_of({**row, "zone": "NO", "flags": "0x04"}), schema="grid") == (7, "grid.bounds")
    assert made(example, records_of({**row, "zone": "N O"}), schema="grid") == (7, "record.malformed")
    assert made(example, records_of(row), schema="weather") == (2, "usage.invalid")


# what arrives already signed


def domain_of(root: Path) -> Domain:
    deployment = Workspace.at(root).deployment()
    return Domain(chain_id=deployment.chain_id, verifying_contract=deployment.addresses["RewardsLedger"])


def signed(domain: Domain, frame: pl.DataFrame, *, who: str = "checker", **changes: Any) -> SignedBatch:
    """A batch signed without any of the checks an honest sender's tools make."""
    key = demo_signer(NETWORK.seed, who, 0) if who == "checker" else demo_signer(NETWORK.seed, who)
    header = BatchHeader(
        schema_id=schema_id(Schema.UPTIME),
        epoch=EPOCH,
        window_start=START,
        window_end=END,
        record_count=frame.height,
        records_root=root_of_digests(record_digests(Schema.UPTIME, frame)),
        verifier=key.address,
        sequence=0,
        previous_batch=ZERO_HASH,
        issued_at=Timestamp(END + 600),
        expires_at=Timestamp(END + 200_000),
    )
    header = replace(header, **changes)
    uid = header.uid(domain)
    return SignedBatch(uid=uid, header=header, signature=key.sign(uid), source=lambda: frame)


def high_s(signature: bytes) -> bytes:
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def _plain(domain: Domain) -> bytes:
    return write_batch(signed(domain, uptime_frame([START])), domain)


def _other(domain: Domain) -> Domain:
    return Domain(chain_id=domain.chain_id + 1, verifying_contract=domain.verifying_contract)


def _other_contract(domain: Domain) -> Domain:
    return Domain(chain_id=domain.chain_id, verifying_contract=Address(b"\x42" * 20))


def _signed_elsewhere(domain: Domain) -> bytes:
    """Says it is for this ledger, but the signature is for another contract."""
    batch = signed(_other_contract(domain), uptime_frame([START]))
    return write_batch(replace(batch, uid=batch.header.uid(domain)), domain)


def _with(domain: Domain, **changes: Any) -> bytes:
    return write_batch(signed(domain, uptime_frame([START]), **changes), domain)


BAD_FILES: dict[str, tuple[Callable[[Domain], bytes], str]] = {
    "no batch file": (lambda _domain: b"GIF89a", "file.not-a-batch"),
    "an empty file": (lambda _domain: b"", "file.not-a-batch"),
    "JSON that is something else": (lambda _domain: b'{"format": "other/1"}', "file.header"),
    "JSON cut off": (lambda _domain: b'{"format": ', "file.truncated"),
    "a truncated Parquet file": (lambda domain: _plain(domain)[:-200], "file.truncated"),
    "Parquet without a header": (lambda _domain: _bare_parquet(), "file.header"),
    "records out of order": (
        lambda domain: write_batch(signed(domain, uptime_frame([START + 3600, START])), domain),
        "batch.order",
    ),
    "records twice": (
        lambda domain: write_batch(signed(domain, uptime_frame([START, START])), domain),
        "batch.duplicate-key",
    ),
    "no records": (lambda domain: _with(domain, record_count=0), "batch.empty"),
    "another number of records": (lambda domain: _with(domain, record_count=2), "batch.count"),
    "other records than signed": (lambda domain: _with(domain, records_root=Hash32(b"\x01" * 32)), "batch.root"),
    "an unknown schema, for which nobody has a role": (
        lambda domain: _with(domain, schema_id=Hash32(b"\x01" * 32)),
        "batch.role",
    ),
    "a stranger": (lambda domain: _with(domain, who="stranger"), "batch.role"),
    "a window outside its epoch": (lambda domain: _with(domain, window_end=END + 3600), "batch.window"),
    "issued too early": (lambda domain: _with(domain, issued_at=Timestamp(END - 1)), "batch.early"),
    "expired": (lambda domain: _with(domain, expires_at=Timestamp(END)), "batch.expired"),
    "an epoch that is closed": (
        lambda domain: _with(
            domain, epoch=EpochNumber(0), window_start=NETWORK.calendar.start(EpochNumber(0)), window_end=START,
            issued_at=START,
        ),
        "batch.late",
    ),
    "another chain": (
        lambda domain: write_batch(signed(_other(domain), uptime_frame([START])), _other(domain)),
        "file.domain",
    ),
    "another contract": (
        lambda domain: write_batch(signed(_other_contract(domain), uptime_frame([START])), _other_contract(domain)),
        "file.domain",
    ),
    "a signature for another contract": (_signed_elsewhere, "item.signature"),
    "a draft nobody signed": (
        lambda domain: write_batch(replace(signed(domain, uptime_frame([START])), signature=b""), domain),
        "item.signature",
    ),
    "a signature with a twin": (
        lambda domain: write_batch(_twin(signed(domain, uptime_frame([START]))), domain),
        "item.signature-high-s",
    ),
}  # fmt: skip


def _twin(batch: SignedBatch) -> SignedBatch:
    return replace(batch, signature=high_s(batch.signature))


def _bare_parquet() -> bytes:
    import io

    buffer = io.BytesIO()
    uptime_frame([START]).write_parquet(buffer)
    return buffer.getvalue()


def stored_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / "evidence").rglob("*") if path.is_file())


def test_every_bad_file_is_refused_with_its_code_and_leaves_nothing_behind(example: Any) -> None:
    domain = domain_of(example.root)
    before, known = stored_files(example.root), len(example.data("batch", "list"))
    for what, (build, code) in BAD_FILES.items():
        file = example.folder / "bad"
        file.write_bytes(build(domain))
        ended, out, err = example.do("batch", "submit", file, "-o", "json")
        receipt = json.loads(out)["data"][0]
        assert (what, ended, receipt["result"], receipt["code"]) == (what, 7, "refused", code)
        assert receipt["detail"]
        assert receipt["remedy"]
        assert err.startswith("submission.refused: 1 of 1 refused:")
    assert stored_files(example.root) == before
    assert len(example.data("batch", "list")) == known
    good = example.folder / "good"
    good.write_bytes(_plain(domain))
    assert example.data("batch", "submit", good)[0]["result"] == "admitted"


def test_the_status_of_a_batch_refused_at_the_door_says_why(example: Any) -> None:
    domain = domain_of(example.root)
    file = example.folder / "bad"
    file.write_bytes(_with(domain, expires_at=Timestamp(END)))
    example.do("batch", "submit", file)
    uid = "0x" + read_batch(file.read_bytes(), domain).uid.hex()
    status = example.data("batch", "status", uid)
    assert (status["standing"], status["code"]) == ("refused at the door", "batch.expired")


def test_a_key_signs_only_its_own_account_s_drafts(example: Any) -> None:
    records, draft = example.folder / "records", example.folder / "draft.parquet"
    records.write_bytes(records_of(GOOD))
    options = ("--schema", "uptime", "--epoch", "1", "--input", records, "--out", draft)
    assert example.do("batch", "make", *options, *example.key("checker-0"))[0] == 0
    before = draft.read_bytes()
    code, _, err = example.do("batch", "sign", draft, *example.key("checker-1"))
    assert (code, err.split(":")[0]) == (7, "item.signature")
    assert draft.read_bytes() == before
    assert example.do("batch", "make", *options, *example.key("checker-0"))[0:1] == (5,)


def test_gaps_and_forks_are_the_verdict_of_the_computed_epoch(example: Any) -> None:
    domain = domain_of(example.root)
    hours = [uptime_frame([START + 3600 * hour]) for hour in range(4)]
    first = signed(domain, hours[0])
    batches = {
        "": first,
        "batch.previous": signed(domain, hours[1], sequence=1, previous_batch=Hash32(b"\x01" * 32)),
        "batch.gap": signed(domain, hours[2], sequence=5, previous_batch=first.uid),
    }
    second = signed(domain, hours[3], sequence=2, previous_batch=batches["batch.previous"].uid)
    fork = replace(second, header=replace(second.header, issued_at=Timestamp(END + 601)))
    fork_uid = fork.header.uid(domain)
    fork = replace(fork, uid=fork_uid, signature=demo_signer(NETWORK.seed, "checker", 0).sign(fork_uid))
    box = example.folder / "box"
    box.mkdir()
    for number, batch in enumerate([*batches.values(), second, fork]):
        (box / f"{number}.parquet").write_bytes(write_batch(batch, domain))
    assert {row["result"] for row in example.data("batch", "submit", box)} == {"admitted"}
    rehearsal = Rehearsal.create(example.root, NETWORK)
    ledger = rehearsal.workspace.open()
    for _ in rehearsal.settle(ledger, EPOCH):
        pass
    ledger.close()
    wanted = {batch.uid: code for code, batch in batches.items()} | {second.uid: "batch.fork", fork.uid: "batch.fork"}
    found = {uid: example.data("batch", "status", "0x" + uid.hex())["code"] for uid in wanted}
    assert found == wanted
