"""Files: what is written is read back, and every way in which a file can be bad has a code."""

import io
import random
from typing import Any

import polars as pl
import pytest

from ledger.evidence.items.registration import sign_registration
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.storage.batch_files import read_batch, write_batch, write_batch_json
from ledger.evidence.storage.item_files import read_registration, read_revocation, write_registration, write_revocation
from ledger.evidence.storage.parquet_guard import MAX_UNPACKED_BYTES, check_parquet
from ledger.model.refusals import ItemRefusedError


@pytest.fixture
def batch(world: Any) -> Any:
    return world.build(Schema.ENERGY, "meter", world.energy(), world.energy("bob"))


def code_of(world: Any, content: bytes) -> str:
    with pytest.raises(ItemRefusedError) as refusal:
        read_batch(content, world.domain).records()
    return refusal.value.code


def rewritten(content: bytes, frame: pl.DataFrame, **metadata: str) -> bytes:
    """The batch's Parquet with other records, and the same header unless another is given."""
    head = pl.read_parquet_metadata(io.BytesIO(content))["ath-ledger"]
    buffer = io.BytesIO()
    frame.write_parquet(buffer, statistics=False, metadata={"ath-ledger": head, **metadata})
    return buffer.getvalue()


@pytest.mark.parametrize("schema", list(Schema), ids=lambda schema: schema.title)
def test_batches_survive_parquet_and_json(world: Any, schema: Schema) -> None:
    rows = {
        Schema.UPTIME: [world.uptime(), world.uptime("bob")],
        Schema.ENERGY: [world.energy(), world.energy("bob")],
        Schema.RENEWABLE: [world.claim(range_start=2**62, range_end=2**62 + 9)],
        Schema.GRID: [world.grid(), world.grid(zone="ES")],
    }[schema]
    batch = world.build(schema, "meter", *rows)
    for write in (write_batch, write_batch_json):
        content = write(batch, world.domain)
        assert content == write(batch, world.domain)
        again = read_batch(content, world.domain)
        assert again == batch
        assert again.records().equals(batch.records())
        assert again.records().schema == batch.records().schema


def test_registrations_and_revocations_survive_json(world: Any, batch: Any) -> None:
    registration = sign_registration(world.domain, world.key("alice"), world.registration("alice").registration)
    assert registration == world.registration("alice")
    assert read_registration(write_registration(registration, world.domain), world.domain) == registration
    revocation = world.revoke(batch, "meter")
    assert read_revocation(write_revocation(revocation, world.domain), world.domain) == revocation


def test_a_registration_out_of_bounds_is_not_even_signed(world: Any) -> None:
    bad = world.registration("alice", gpu_ids=()).registration
    with pytest.raises(ItemRefusedError) as refusal:
        sign_registration(world.domain, world.key("alice"), bad)
    assert refusal.value.code == "registration.malformed"


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100, b"[]"])
def test_other_bytes_are_not_a_batch(world: Any, content: bytes) -> None:
    assert code_of(world, content) == "file.not-a-batch"


def test_a_file_cut_off_anywhere_is_refused(world: Any, batch: Any) -> None:
    content = write_batch(batch, world.domain)
    for length in range(4, len(content), 37):
        assert code_of(world, content[:length]) == "file.truncated"
    text = write_batch_json(batch, world.domain)
    for length in range(1, len(text), 97):
        assert code_of(world, text[:length]) == "file.truncated"


def test_a_file_for_another_chain_or_contract_is_named_as_that(world: Any, batch: Any) -> None:
    other = Domain(1, world.domain.verifying_contract)
    for write in (write_batch, write_batch_json):
        assert code_of(world, write(batch, other)) == "file.domain"
    with pytest.raises(ItemRefusedError) as refusal:
        read_registration(write_registration(world.registration("alice"), other), world.domain)
    assert refusal.value.code == "file.domain"


def test_a_parquet_file_without_a_header_is_refused(world: Any, batch: Any) -> None:
    buffer = io.BytesIO()
    batch.records().write_parquet(buffer)
    assert code_of(world, buffer.getvalue()) == "file.header"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("{", "file.truncated"),
        ("{}", "file.header"),
        ('{"format":"ath-ledger/batch/2"}', "file.header"),
        ('{"format":"ath-ledger/batch/1"}', "file.header"),
        ('{"format":"ath-ledger/batch/1","format":"ath-ledger/batch/1"}', "file.truncated"),
    ],
)
def test_a_bad_header_is_refused(world: Any, batch: Any, head: str, code: str) -> None:
    content = rewritten(write_batch(batch, world.domain), batch.records(), **{"ath-ledger": head})
    assert code_of(world, content) == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"epoch":2', '"epoch":-2', "file.value"),
        ('"epoch":2', '"epoch":2.0', "file.value"),
        ('"epoch":2', '"epoch":true', "file.value"),
        ('"epoch":2', '"epoch":"18446744073709551616"', "file.value"),
        ('"epoch":2', '"epoch":NaN', "file.truncated"),
        ('"epoch":2', '"epoc":2', "file.value"),
        ('"signature":"0x', '"signature":"', "file.value"),
    ],
)
def test_a_header_whose_values_do_not_fit_is_refused(world: Any, batch: Any, old: str, new: str, code: str) -> None:
    text = write_batch_json(batch, world.domain).decode()
    assert text.count(old) == 1
    assert code_of(world, text.replace(old, new).encode()) == code


def test_other_columns_types_or_nulls_are_refused(world: Any, batch: Any) -> None:
    content, frame = write_batch(batch, world.domain), batch.records()
    cases = {
        "file.columns": [frame.drop("it_wh"), frame.with_columns(more=1), frame.select(sorted(frame.columns))],
        "file.types": [
            frame.with_columns(pl.col("hours").cast(pl.Int32)),
            frame.with_columns(pl.col("hours").cast(pl.Float64)),
            frame.with_columns(pl.lit([1]).alias("it_wh")),
        ],
        "file.nulls": [frame.with_columns(pl.when(pl.int_range(pl.len()) == 1).then(pl.col("zone")).alias("zone"))],
    }
    for code, frames in cases.items():
        for other in frames:
            assert code_of(world, rewritten(content, other)) == code


def test_more_than_65536_records_are_refused_before_they_are_unpacked(world: Any, batch: Any) -> None:
    frame = pl.concat([batch.records()] * 32_769)
    assert code_of(world, rewritten(write_batch(batch, world.domain), frame)) == "file.too-many-records"


def test_a_small_file_that_unpacks_to_more_than_a_batch_is_refused_by_its_page_headers(world: Any, batch: Any) -> None:
    values = [bytes(1_000_000 + at) for at in range(340)]
    frame = pl.concat([batch.records()] * 170).with_columns(pl.Series("it_wh", values))
    content = rewritten(write_batch(batch, world.domain), frame)
    assert len(content) < MAX_UNPACKED_BYTES // 1000
    with pytest.raises(ItemRefusedError, match="unpacks") as refusal:
        read_batch(content, world.domain)
    assert refusal.value.code == "file.too-large"


def test_one_long_value_standing_in_every_record_is_refused(world: Any, batch: Any) -> None:
    frame = pl.concat([batch.records()] * 200).with_columns(pl.lit(bytes(1_000_000)).alias("it_wh"))
    content = rewritten(write_batch(batch, world.domain), frame)
    assert check_parquet(content) == 400
    assert code_of(world, content) == "file.too-large"


def test_json_batches_with_bad_records_are_refused(world: Any, batch: Any) -> None:
    text = write_batch_json(batch, world.domain).decode()
    assert code_of(world, text.replace('"hours":4', '"hours":"x"').encode()) == "file.value"
    assert code_of(world, text.replace('"hours":4', '"hour":4').encode()) == "file.value"
    assert code_of(world, text.replace('"hours":4', '"hours":"9223372036854775808"').encode()) == "file.value"
    assert code_of(world, text.replace('"zone":"NO"', '"zone":1').encode()) == "file.value"
    assert code_of(world, text.replace('"records":[', '"record":[').encode()) == "file.header"
    assert code_of(world, b"{" * 100_000) == "file.truncated"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{}", "file.not-an-item"),
        (b"PAR1", "file.truncated"),
        (b'{"format":"ath-ledger/registration/1"}', "file.header"),
    ],
)
def test_other_json_is_no_registration(world: Any, content: bytes, code: str) -> None:
    with pytest.raises(ItemRefusedError) as refusal:
        read_registration(content, world.domain)
    assert refusal.value.code == code


def test_any_damage_is_refused_or_read_as_other_bytes_but_never_breaks_the_process(
    world: Any, batch: Any, capfd: Any
) -> None:
    content = write_batch(batch, world.domain)
    dice = random.Random(11)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(dice.choice((1, 1, 4))):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            read_batch(bytes(damaged), world.domain).records()
        except ItemRefusedError:
            refused += 1
    assert refused > 500
    capfd.readouterr()  # Polars prints its panics; they end in a refusal


def test_the_guard_counts_what_polars_counts(world: Any) -> None:
    frame = pl.DataFrame({"number": range(5000), "text": [str(number % 9) for number in range(5000)]})
    for options in ({}, {"row_group_size": 700}, {"compression": "uncompressed"}, {"data_page_size": 500}):
        buffer = io.BytesIO()
        frame.write_parquet(buffer, **options)  # type: ignore[arg-type]
        assert check_parquet(buffer.getvalue()) == 5000


def test_a_page_that_claims_other_values_than_its_column_has_is_refused() -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"number": range(60)}).write_parquet(buffer, compression="uncompressed", statistics=False)
    content = buffer.getvalue()
    said = []
    for at in range(4, len(content) - 8):
        damaged = content[:at] + bytes([content[at] ^ 2]) + content[at + 1 :]
        try:
            check_parquet(damaged)
        except ItemRefusedError as refusal:
            said.append(refusal.what)
    assert any("the pages of a column chunk hold 61 of 60 values" in what for what in said)
