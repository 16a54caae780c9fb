"""A small synthetic network whose evidence can be built, spoiled and judged in a few lines."""

import dataclasses
import hashlib
from typing import Any

import polars as pl
import pytest

from ledger.evidence.items.batch import SignedBatch, build_batch
from ledger.evidence.items.records import RECORD_COLUMNS, Window, sort_records
from ledger.evidence.items.registration import NodeRegistration, SignedRegistration
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, SignedRevocation, sign_revocation
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Domain, Schema, record_digests, schema_id
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence, Judgement
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.epoch import EpochCalendar
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import ZERO_ADDRESS, Address, Hash32
from ledger.tree.commitments import tables_hash
from ledger.tree.standard import root_of_digests

HOUR = 3600
FULL = ((1 << 60) - 1).to_bytes(8, "big")
GENESIS = 1_700_006_400 // HOUR * HOUR


def name32(text: str) -> Hash32:
    """A 32-byte name for tests."""
    return Hash32(hashlib.sha256(text.encode()).digest())


def key(text: str) -> KeySigner:
    """The signer everybody in these tests calls by this name."""
    return KeySigner(name32("key " + text))


def words(*values: int, width: int) -> bytes:
    """An hourly array."""
    return b"".join(value.to_bytes(width, "big") for value in values)


TABLES = Tables(
    rules_version="v1",
    models={"H100-SXM-80GB": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725000, ref_idle_mw=235000)},
    zones={
        "NO": ZoneFigures(market="EU", yearly_ef_mg_per_kwh=28000),
        "ES": ZoneFigures(market="EU", yearly_ef_mg_per_kwh=None),
        "US-CAL-CISO": ZoneFigures(market="US", yearly_ef_mg_per_kwh=None),
    },
)
POLICY = Policy(
    epoch_budget_wei=10**21,
    reserve_bps=1000,
    carbon_cap_bps=500,
    carbon_price_wei_per_tonne=800 * 10**18,
    u_min_ppm=900_000,
    u_full_ppm=990_000,
    k_eff_bps=5000,
    s_clamp_ppm=400_000,
    pue_ref_e4=15_400,
    g_match_bps=2000,
    t2_quality_bps=2500,
    g_grid_bps=500,
    ref_ef_mg_per_kwh=475_000,
    max_mult_ppm=1_500_000,
    quorum_q=2,
    quorum_k=3,
    count_nuclear=False,
    tables_hash=tables_hash(TABLES),
)


class World:
    """Two operators with a node each, three checkers, a meter, a registry, a data verifier; epoch 2 of four hours."""

    key = staticmethod(key)
    name32 = staticmethod(name32)
    words = staticmethod(words)
    tables = TABLES
    full_hour = FULL

    def __init__(self) -> None:
        self.domain = Domain(31337, Address(name32("contract")[:20]))
        self.calendar = EpochCalendar(genesis=GENESIS, length=4 * HOUR)
        self.epoch = 2
        self.start = self.calendar.start(2)
        self.window = Window(start=self.start, end=self.calendar.end(2))
        self.cut_off = self.calendar.cut_off(2)
        self.registry = name32("registry")
        self.roles = [
            *(self.role(Schema.UPTIME, f"checker {number}", order=number) for number in range(3)),
            self.role(Schema.ENERGY, "meter", order=10),
            self.role(Schema.RENEWABLE, "registry", order=11, registry_ids=(self.registry,)),
            self.role(Schema.GRID, "grid", order=12),
        ]
        self.registrations = [self.registration("alice"), self.registration("bob")]
        self.batches: list[SignedBatch] = []
        self.revocations: list[SignedRevocation] = []
        self.used = UsedRegister.empty()
        self.holders: dict[Any, Any] = {}
        self.policy = POLICY

    def role(self, schema: Schema, who: str, **changes: Any) -> VerifierRole:
        values: dict[str, Any] = {
            "schema_id": schema_id(schema),
            "verifier": key(who).address,
            "affiliation": ZERO_ADDRESS,
            "registry_ids": (),
            "from_epoch": 0,
            "until_epoch": 2**64 - 1,
            "order": 0,
        }
        return VerifierRole(**{**values, **changes})

    def registration(
        self, operator: str, serial: str = "one", by: str | None = None, **changes: Any
    ) -> SignedRegistration:
        values: dict[str, Any] = {
            "operator": key(operator).address,
            "serial": name32(serial),
            "model": "H100-SXM-80GB",
            "gpu_ids": (name32(f"gpu {operator} {serial} a"), name32(f"gpu {operator} {serial} b")),
            "zone": "NO",
            "country": "NO",
            "nameplate_w": 2000,
            "valid_from": 0,
            "valid_to": 2**40,
            "sequence": 0,
        }
        registration = NodeRegistration(**{**values, **changes})
        uid = registration.digest(self.domain)
        return SignedRegistration(uid=uid, registration=registration, signature=key(by or operator).sign(uid))

    def node(self, operator: str = "alice", serial: str = "one") -> bytes:
        return self.registration(operator, serial).registration.node_id

    def uptime(self, operator: str = "alice", **changes: Any) -> dict[str, Any]:
        values = {
            "node_id": self.node(operator),
            "window_start": self.start,
            "hours": 4,
            "up_mask": FULL * 4,
            "seen_mask": FULL * 4,
            "capacity_check": 1,
        }
        return {**values, **changes}

    def energy(self, operator: str = "alice", **changes: Any) -> dict[str, Any]:
        values = {
            "node_id": self.node(operator),
            "window_start": self.start,
            "hours": 4,
            "zone": "NO",
            "gpu_count": 2,
            "pue_e4": 12000,
            "meter_class": 2,
            "active_gpu_sec": words(*[5000] * 4, width=4),
            "gpu_millijoule": words(*[10**9] * 4, width=8),
            "it_wh": words(*[1500] * 4, width=4),
            "water_ml": words(*[10] * 4, width=4),
        }
        return {**values, **changes}

    def claim(self, operator: str = "alice", **changes: Any) -> dict[str, Any]:
        values = {
            "registry_id": self.registry,
            "issuance_id": name32("issuance"),
            "range_start": 0,
            "range_end": 999,
            "device_id": name32("device"),
            "device_capacity_w": 10**6,
            "source": 2,
            "tier": 1,
            "zone": "NO",
            "production_start": self.start,
            "production_end": self.start + HOUR,
            "node_id": self.node(operator),
            "consumption_hour": self.start,
            "beneficiary": key(operator).address,
            "cancelled_at": self.window.end,
            "cancellation_ref": name32("cancelled"),
        }
        return {**values, **changes}

    def grid(self, **changes: Any) -> dict[str, Any]:
        values = {
            "zone": "NO",
            "window_start": self.start,
            "hours": 4,
            "location_ef": words(*[26000] * 4, width=4),
            "residual_ef": words(*[599000] * 4, width=4),
            "flags": bytes(4),
        }
        return {**values, **changes}

    def frame(self, schema: Schema, *rows: dict[str, Any]) -> pl.DataFrame:
        return pl.DataFrame(list(rows), schema=RECORD_COLUMNS[schema], orient="row")

    def build(self, schema: Schema, who: str, *rows: dict[str, Any], **changes: Any) -> SignedBatch:
        """A batch through the checked way a verifier uses."""
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "window": self.window,
            "issued_at": self.window.end,
            "expires_at": self.cut_off,
        }
        return build_batch(self.domain, key(who), schema, self.frame(schema, *rows), **{**values, **changes})

    def forge(
        self,
        schema: Schema,
        who: str,
        *rows: dict[str, Any],
        by: str | None = None,
        ordered: bool = True,
        **changes: Any,
    ) -> SignedBatch:
        """A batch signed without any check, with any header field changed."""
        frame = self.frame(schema, *rows)
        frame = sort_records(schema, frame) if ordered else frame
        honest = self.build(Schema.GRID, who, self.grid()).header
        header = dataclasses.replace(
            honest,
            **{
                "schema_id": schema_id(schema),
                "record_count": frame.height,
                "records_root": root_of_digests(record_digests(schema, frame)),
                **changes,
            },
        )
        uid = header.uid(self.domain)
        return SignedBatch(uid=uid, header=header, signature=key(by or who).sign(uid), source=lambda: frame)

    def revoke(self, batch: SignedBatch, who: str, record: int = WHOLE_BATCH) -> SignedRevocation:
        revocation = Revocation(batch_uid=batch.uid, record=record, reason=1, revoked_at=self.window.end)
        return sign_revocation(self.domain, key(who), revocation)

    def frozen(self, **changes: Any) -> FrozenEvidence:
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "calendar": self.calendar,
            "domain": self.domain,
            "roles": RoleBook(self.roles),
            "roles_block": 7,
            "roles_block_hash": name32("roles block"),
            "policy": self.policy,
            "tables": TABLES,
            "registrations": self.registrations,
            "batches": self.batches,
            "revocations": self.revocations,
            "previous_holders": self.holders,
            "used": self.used,
        }
        return FrozenEvidence(**{**values, **changes})

    def judge(self, *batches: SignedBatch) -> Judgement:
        """The judgement on the world and these batches."""
        return judge(self.frozen(batches=[*self.batches, *batches]))

    def codes(self, judgement: Judgement, kind: str = "batch") -> list[tuple[int, str]]:
        """(record, code) of every verdict of a kind, in the verdicts' order."""
        rows = judgement.verdicts.filter(pl.col("kind") == kind)
        return list(rows.select("record", "code").iter_rows())

    def code_of(self, judgement: Judgement, uid: bytes, record: int = -1) -> str:
        rows = judgement.verdicts.filter((pl.col("item") == uid) & (pl.col("record") == record))
        assert rows.height == 1, rows
        return str(rows["code"][0])


@pytest.fixture
def world() -> World:
    return World()
