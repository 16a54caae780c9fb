"""The specification's worked example (rewards spec R6) as signed evidence: three nodes, one epoch of four hours.

Judged and allocated by the rules it gives the published result to the wei.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import polars as pl

from ledger.demo.certificates import registry_id
from ledger.demo.figures import read_text
from ledger.demo.grid import NO_RESIDUAL_MIX
from ledger.demo.stream import labelled
from ledger.demo.tables import country_of, default_policy, demo_tables
from ledger.demo.uptime import PASS
from ledger.demo.verifier import BatchChain, DemoVerifier, checkers, demo_key, demo_signer, role_book
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.registration import NodeRegistration, SignedRegistration, sign_registration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.judging.roles import RoleBook
from ledger.model.epoch import EpochCalendar
from ledger.model.policy import Policy, Tables
from ledger.model.units import (
    MINUTES_PER_HOUR,
    SECONDS_PER_HOUR,
    WEI_PER_ATH,
    ZERO_ADDRESS,
    EpochNumber,
    Hash32,
    Timestamp,
    Wei,
)

EXAMPLE_GENESIS = Timestamp(1_686_823_200)
"""2023-06-15 10:00 UTC."""
EXAMPLE_HOURS = 4
NAMEPLATE_W_PER_GPU = 3000
DEVICE_W = 50_000_000
METERED_AT_THE_RACK = 2
HYDRO = 3


class WorkedExample:
    """The example's network: three operators with one node each, five checkers, one verifier of each other kind.

    Only epoch 0 has evidence.
    """

    def __init__(self, seed: bytes = b"ath-ledger-worked-example") -> None:
        self.seed = seed
        self.calendar = EpochCalendar(genesis=EXAMPLE_GENESIS, length=EXAMPLE_HOURS * SECONDS_PER_HOUR)
        self.tables: Tables = demo_tables()
        self.policy: Policy = default_policy(self.tables, epoch_budget_wei=Wei(1000 * WEI_PER_ATH))
        self.document: dict[str, Any] = json.loads(read_text("worked_example.json"))
        self.names: tuple[str, ...] = tuple(entry["id"] for entry in self.document["nodes"])
        self.operators: tuple[KeySigner, ...] = tuple(demo_signer(seed, "operator", name) for name in self.names)

    def operator_key(self, rank: int) -> bytes:
        """An operator's private key. Anybody can derive it."""
        return demo_key(self.seed, "operator", self.names[rank])

    @cached_property
    def verifiers(self) -> tuple[DemoVerifier, ...]:
        """Everybody who needs a role from epoch 0 on: five checkers, a meter, a registry, a data verifier."""
        meter, registry, grid = (
            DemoVerifier(name=name, schema=schema, signer=demo_signer(self.seed, name))
            for name, schema in (("meter", Schema.ENERGY), ("registry", Schema.RENEWABLE), ("grid", Schema.GRID))
        )
        registry = replace(registry, registry_ids=(registry_id(self.seed, "example"),))
        return (*checkers(self.seed, [ZERO_ADDRESS] * 5), meter, registry, grid)

    @cached_property
    def nodes(self) -> tuple[NodeRegistration, ...]:
        """The registrations of A, B and C."""
        return tuple(
            NodeRegistration(
                operator=operator.address,
                serial=labelled(self.seed, "serial", entry["id"]),
                model=entry["input"]["model"],
                gpu_ids=tuple(
                    labelled(self.seed, "gpu", entry["id"], gpu) for gpu in range(entry["input"]["gpuCount"])
                ),
                zone=entry["input"]["zone"],
                country=country_of(entry["input"]["zone"]),
                nameplate_w=NAMEPLATE_W_PER_GPU * entry["input"]["gpuCount"],
                valid_from=Timestamp(self.calendar.genesis - 86_400),
                valid_to=Timestamp(self.calendar.genesis + 365 * 86_400),
                sequence=0,
            )
            for operator, entry in zip(self.operators, self.document["nodes"], strict=True)
        )

    def roles(self) -> RoleBook:
        """The roles everybody has to be given on chain, in that order."""
        return role_book(self.verifiers)

    def registrations(self, domain: Domain) -> Iterator[SignedRegistration]:
        """The three registrations; they count from epoch 0 on if they arrive before genesis."""
        for operator, node in zip(self.operators, self.nodes, strict=True):
            yield sign_registration(domain, operator, node)

    def batches(
        self,
        epoch: EpochNumber,
        domain: Domain,
        roles_block_hash: Hash32 | None = None,  # noqa: ARG002 - likewise; every checker is every node's
    ) -> Iterator[SignedBatch]:
        """What the verifiers sign about epoch 0; nothing about a later one."""
        if epoch:
            return
        window = Window(start=self.calendar.start(epoch), end=self.calendar.end(epoch))
        frames = {
            Schema.UPTIME: self._uptime_records(window),
            Schema.ENERGY: self._energy_records(window),
            Schema.RENEWABLE: self._claim_records(window),
            Schema.GRID: self._grid_records(window),
        }
        for verifier in self.verifiers:
            yield BatchChain(verifier, domain, self.calendar, epoch).add(frames[verifier.schema])

    def revocations(self, epoch: EpochNumber, domain: Domain) -> Iterator[SignedRevocation]:  # noqa: ARG002 - the demo networks have one face
        """None: nobody takes anything back."""
        return iter(())

    def _inputs(self) -> Iterator[tuple[NodeRegistration, dict[str, Any]]]:
        yield from zip(self.nodes, (entry["input"] for entry in self.document["nodes"]), strict=True)

    def _uptime_records(self, window: Window) -> pl.DataFrame:
        """All checkers agree: the first minutes are down, as many as the example says."""
        minutes = EXAMPLE_HOURS * MINUTES_PER_HOUR
        everything = (1 << minutes) - 1
        rows = []
        for node, given in self._inputs():
            up = everything & ~((1 << (given["expectedMinutes"] - given["upMinutes"])) - 1)
            rows.append((node.node_id, window.start, EXAMPLE_HOURS, _hours(up), _hours(everything), PASS))
        return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.UPTIME], orient="row")

    def _energy_records(self, window: Window) -> pl.DataFrame:
        rows = []
        for node, given in self._inputs():
            hours = given["hours"]
            rows.append(
                (
                    *(node.node_id, window.start, EXAMPLE_HOURS, node.zone, node.gpu_count),
                    *(hours[0]["pueE4"], METERED_AT_THE_RACK),
                    *(_packed(hours, "activeGpuSec", 4), _packed(hours, "gpuMilliJoule", 8)),
                    *(_packed(hours, "itWh", 4), bytes(4 * EXAMPLE_HOURS)),
                )
            )
        return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.ENERGY], orient="row")

    def _claim_records(self, window: Window) -> pl.DataFrame:
        rows = []
        for node, given in self._inputs():
            for place, hour in enumerate(given["hours"]):
                start = window.start + place * SECONDS_PER_HOUR
                produced = (start, start + SECONDS_PER_HOUR)
                rows.append(self._claim(node, 1, hour["tier1Wh"], produced, start, window))
            month_before = (window.start - 30 * 86_400, window.start)
            rows.append(self._claim(node, 2, given["tier2Wh"], month_before, window.start, window))
        columns = RECORD_COLUMNS[Schema.RENEWABLE]
        return pl.DataFrame([row for row in rows if row["range_end"] >= 0], schema=columns)

    def _claim(
        self, node: NodeRegistration, tier: int, wh: int, produced: tuple[int, int], hour: int, window: Window
    ) -> dict[str, Any]:
        issuance = labelled(self.seed, "issuance", node.zone, tier, produced[0])
        return {
            "registry_id": registry_id(self.seed, "example"),
            "issuance_id": issuance,
            "range_start": 0,
            "range_end": wh - 1,
            "device_id": labelled(self.seed, "device", node.zone, tier),
            "device_capacity_w": DEVICE_W,
            "source": HYDRO,
            "tier": tier,
            "zone": node.zone,
            "production_start": produced[0],
            "production_end": produced[1],
            "node_id": node.node_id,
            "consumption_hour": hour,
            "beneficiary": node.operator,
            "cancelled_at": window.end,
            "cancellation_ref": labelled(issuance, "cancelled"),
        }

    def _grid_records(self, window: Window) -> pl.DataFrame:
        rows = []
        for node, given in self._inputs():
            hours = given["hours"]
            residual = [{"residualEf": hour["residualEf"] or 0} for hour in hours]
            flags = bytes(NO_RESIDUAL_MIX if hour["residualEf"] is None else 0 for hour in hours)
            factors = (_packed(hours, "locationEf", 4), _packed(residual, "residualEf", 4), flags)
            rows.append((node.zone, window.start, EXAMPLE_HOURS, *factors))
        return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.GRID], orient="row")


def _packed(hours: list[dict[str, int]], name: str, width: int) -> bytes:
    return b"".join(hour[name].to_bytes(width, "big") for hour in hours)


def _hours(minutes: int) -> bytes:
    mask = (1 << MINUTES_PER_HOUR) - 1
    return b"".join((minutes >> (hour * MINUTES_PER_HOUR) & mask).to_bytes(8, "big") for hour in range(EXAMPLE_HOURS))
