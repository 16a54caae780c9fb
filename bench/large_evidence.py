"""Synthetic evidence of one epoch for as many operators as asked, a node each: signed batches, judged as accepted.

Mostly sound nodes in 93 zones, three checkers, one meter each, a certificate for every second node; seeded, so that
every run has the same. Registrations are not signed: that would take longer than everything else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ledger.evidence.items.batch import SignedBatch, build_batch
from ledger.evidence.items.records import MAX_RECORDS, RECORD_COLUMNS, Window, sort_records
from ledger.evidence.items.registration import NodeRegistration
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Domain, Schema, schema_id
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Address,
    Bps,
    EpochNumber,
    Hash32,
    Ppm,
    Timestamp,
    Wei,
)
from ledger.tree.commitments import tables_hash
from ledger.tree.keccak import keccak256

EPOCH = EpochNumber(0)
HOURS = 24
CHECKERS = 3
GENESIS = Timestamp(1_767_225_600)
"""1 January 2026: the epoch is long over."""
MODELS = {
    "H100": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725_000, ref_idle_mw=235_000),
    "A100": ModelFigures(tdp_w=400, capacity_milli=315, ref_active_mw=500_000, ref_idle_mw=190_000),
}
ZONES = tuple(f"Z{number:02d}" for number in range(93))
TABLES = Tables(
    rules_version="v1",
    models=MODELS,
    zones={zone: ZoneFigures(market="M", yearly_ef_mg_per_kwh=400_000) for zone in ZONES},
)
POLICY = Policy(
    epoch_budget_wei=Wei(2_874_743 * 10**18),
    reserve_bps=Bps(1000),
    carbon_cap_bps=Bps(500),
    carbon_price_wei_per_tonne=Wei(800 * 10**18),
    u_min_ppm=Ppm(900_000),
    u_full_ppm=Ppm(990_000),
    k_eff_bps=Bps(5000),
    s_clamp_ppm=Ppm(400_000),
    pue_ref_e4=15_400,
    g_match_bps=Bps(2000),
    t2_quality_bps=Bps(2500),
    g_grid_bps=Bps(500),
    ref_ef_mg_per_kwh=475_000,
    max_mult_ppm=Ppm(1_500_000),
    quorum_q=2,
    quorum_k=CHECKERS,
    count_nuclear=False,
    tables_hash=tables_hash(TABLES),
)
SIGNERS = {
    **{(Schema.UPTIME, number): KeySigner(keccak256(b"checker %d" % number)) for number in range(CHECKERS)},
    **{(schema, 0): KeySigner(keccak256(schema.title.encode()))
       for schema in (Schema.ENERGY, Schema.RENEWABLE, Schema.GRID)},
}  # fmt: skip
"""Who signs: the schema and which of its verifiers."""
_REGISTRY = Hash32(keccak256(b"registry"))
_ALL_MINUTES = (1 << 60) - 1


@dataclass(frozen=True, slots=True)
class LargeEvidence:
    """What a large network sent for one epoch."""

    registrations: list[NodeRegistration]
    """By ascending node id."""
    accepted: AcceptedEvidence
    batches: list[SignedBatch]
    roles: RoleBook


def large_evidence(operators: int, domain: Domain) -> LargeEvidence:
    """The evidence of as many operators with one node each."""
    random = np.random.default_rng(7)
    registrations = sorted((_registration(number) for number in range(operators)), key=lambda each: each.node_id)
    nodes = pl.DataFrame(
        {
            "node_id": [each.node_id for each in registrations],
            "operator": [each.operator for each in registrations],
            "model": [each.model for each in registrations],
            "zone": [each.zone for each in registrations],
            "country": [each.country for each in registrations],
            "gpu_count": [each.gpu_count for each in registrations],
            "nameplate_w": [each.nameplate_w for each in registrations],
        }
    )
    energy = _energy(nodes, random)
    frames = {
        **{(Schema.UPTIME, number): votes for number, votes in enumerate(_uptime(nodes, random))},
        (Schema.ENERGY, 0): energy,
        (Schema.RENEWABLE, 0): _claims(nodes, random),
        (Schema.GRID, 0): _grid(random),
    }
    signed = {key: frame.with_columns(verifier=pl.lit(SIGNERS[key].address)) for key, frame in frames.items()}
    uptime = pl.concat(signed[Schema.UPTIME, number] for number in range(CHECKERS))
    claims = signed[Schema.RENEWABLE, 0]
    accepted = AcceptedEvidence(
        epoch=EPOCH,
        window_start=GENESIS,
        hours=HOURS,
        nodes=nodes,
        uptime=uptime.sort("node_id", "verifier", "window_start"),
        energy=signed[Schema.ENERGY, 0],
        claims=claims.with_columns(credited_wh=pl.col("range_end") - pl.col("range_start") + 1),
        grid=signed[Schema.GRID, 0],
    )
    batches = [batch for key, frame in frames.items() for batch in _batches(key, frame, domain)]
    return LargeEvidence(registrations, accepted, batches, _roles())


def _registration(number: int) -> NodeRegistration:
    name = keccak256(number.to_bytes(8, "big"))
    gpus = 8 if name[20] & 1 else 1
    return NodeRegistration(
        operator=Address(name[:20]),
        serial=Hash32(name),
        model="H100" if name[21] & 1 else "A100",
        gpu_ids=tuple(Hash32(keccak256(name + bytes([gpu]))) for gpu in range(gpus)),
        zone=ZONES[name[22] % len(ZONES)],
        country="NO",
        nameplate_w=gpus * 1300,
        valid_from=Timestamp(GENESIS - 86_400),
        valid_to=Timestamp(GENESIS + 10 * 365 * 86_400),
        sequence=1,
    )


def _uptime(nodes: pl.DataFrame, random: np.random.Generator) -> Iterator[pl.DataFrame]:
    """One frame a checker; they agree but for a hundredth of the hours of one of them."""
    count = len(nodes)
    up = np.full((count, HOURS), _ALL_MINUTES, dtype=np.uint64)
    down = random.random((count, HOURS)) < 0.02
    up[down] &= random.integers(0, 1 << 60, int(down.sum()), dtype=np.uint64)
    seen = _ALL_MINUTES.to_bytes(8, "big") * HOURS
    for checker in range(CHECKERS):
        mine = up.copy()
        if checker == 0:
            doubted = random.random((count, HOURS)) < 0.01
            mine[doubted] &= random.integers(0, 1 << 60, int(doubted.sum()), dtype=np.uint64)
        yield _typed(
            Schema.UPTIME, {
                "node_id": nodes["node_id"], "window_start": [GENESIS] * count, "hours": [HOURS] * count,
                "up_mask": _rows(mine, ">u8"), "seen_mask": [seen] * count, "capacity_check": [1] * count,
            },
        )  # fmt: skip


def _energy(nodes: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    count, gpus = len(nodes), nodes["gpu_count"].to_numpy()[:, None]
    is_h100 = (nodes["model"] == "H100").to_numpy()[:, None]
    it_wh = np.where(is_h100, 500, 350) * gpus + random.integers(0, 50, (count, HOURS))
    share = random.integers(20, 100, (count, 1))
    return _typed(
        Schema.ENERGY, {
            "node_id": nodes["node_id"], "window_start": [GENESIS] * count, "hours": [HOURS] * count,
            "zone": nodes["zone"], "gpu_count": nodes["gpu_count"], "pue_e4": random.integers(10_500, 16_000, count),
            "meter_class": random.integers(0, 4, count),
            "active_gpu_sec": _rows(gpus * 36 * share + np.zeros((1, HOURS), dtype=np.int64), ">u4"),
            "gpu_millijoule": _rows(it_wh * 3_000_000, ">u8"), "it_wh": _rows(it_wh, ">u4"),
            "water_ml": _rows(it_wh * 0 + 100, ">u4"),
        },
    )  # fmt: skip


def _claims(nodes: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """A certificate for one hour of every second node, in the order of the keys."""
    held = nodes.gather_every(2)
    count = len(held)
    hour = GENESIS + 3600 * random.integers(0, HOURS, count)
    frame = _typed(
        Schema.RENEWABLE, {
            "registry_id": [_REGISTRY] * count, "issuance_id": [keccak256(node) for node in held["node_id"].to_list()],
            "range_start": [1] * count, "range_end": random.integers(200, 5000, count),
            "device_id": [keccak256(b"device" + node) for node in held["node_id"].to_list()],
            "device_capacity_w": [1_000_000] * count, "source": [1] * count, "tier": [1] * count,
            "zone": held["zone"], "production_start": hour, "production_end": hour + 3600,
            "node_id": held["node_id"], "consumption_hour": hour, "beneficiary": [bytes(20)] * count,
            "cancelled_at": hour + 7200, "cancellation_ref": [keccak256(b"ref" + node) for node in held["node_id"]],
        },
    )  # fmt: skip
    return sort_records(Schema.RENEWABLE, frame)


def _grid(random: np.random.Generator) -> pl.DataFrame:
    factors = random.integers(20_000, 800_000, (len(ZONES), HOURS))
    return _typed(
        Schema.GRID, {
            "zone": ZONES, "window_start": [GENESIS] * len(ZONES), "hours": [HOURS] * len(ZONES),
            "location_ef": _rows(factors, ">u4"), "residual_ef": _rows(factors + 100_000, ">u4"),
            "flags": _rows(factors * 0, ">u1"),
        },
    )  # fmt: skip


def _typed(schema: Schema, columns: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in RECORD_COLUMNS[schema].items())


def _rows(values: np.ndarray, kind: str) -> list[bytes]:
    """Each row as big-endian bytes."""
    raw, width = values.astype(kind).tobytes(), values.shape[1] * np.dtype(kind).itemsize
    return [raw[at : at + width] for at in range(0, len(raw), width)]


def _batches(key: tuple[Schema, int], records: pl.DataFrame, domain: Domain) -> Iterator[SignedBatch]:
    """As many batches as the limit of records makes, each naming the one before."""
    end, previous = Timestamp(GENESIS + HOURS * 3600), ZERO_HASH
    for sequence, first in enumerate(range(0, len(records), MAX_RECORDS)):
        batch = build_batch(
            domain, SIGNERS[key], key[0], records.slice(first, MAX_RECORDS), epoch=EPOCH,
            window=Window(start=GENESIS, end=end), issued_at=Timestamp(end + 7200 + 600),
            expires_at=Timestamp(end + 7 * 86_400), sequence=sequence, previous_batch=previous,
        )  # fmt: skip
        previous = batch.uid
        yield batch


def _roles() -> RoleBook:
    return RoleBook(
        VerifierRole(
            schema_id=schema_id(schema), verifier=signer.address, affiliation=ZERO_ADDRESS,
            registry_ids=(_REGISTRY,) if schema is Schema.RENEWABLE else (), from_epoch=EPOCH,
            until_epoch=EpochNumber(2**63 - 1), order=order,
        )
        for order, ((schema, _), signer) in enumerate(SIGNERS.items())
    )  # fmt: skip
