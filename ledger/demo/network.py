"""The demo network: 1,213 nodes, some 80 operators, seven checkers, two meters, two registries, two data verifiers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import polars as pl

from ledger.demo.certificates import (
    annual_claims,
    claim_records,
    hourly_claims,
    refused_claims,
    registry_id,
    reused_claim,
)
from ledger.demo.energy import Reading, energy_records, is_metered_twice, is_silent, read_meter
from ledger.demo.fleet import DemoNode, build_fleet
from ledger.demo.grid import grid_records, hourly_zones
from ledger.demo.stream import labelled
from ledger.demo.tables import default_policy, demo_tables
from ledger.demo.uptime import Sight, up_minutes, uptime_records
from ledger.demo.verifier import BatchChain, DemoVerifier, checkers, demo_key, demo_signer, role_book
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.records import Window
from ledger.evidence.items.registration import SignedRegistration, sign_registration
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, SignedRevocation, sign_revocation
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Domain, Schema, schema_id
from ledger.evidence.judging.ring import assign_checkers
from ledger.evidence.judging.roles import RoleBook
from ledger.model.epoch import EpochCalendar
from ledger.model.policy import Policy, Tables
from ledger.model.units import SECONDS_PER_HOUR, ZERO_ADDRESS, EpochNumber, Hash32, Timestamp

DEMO_GENESIS = Timestamp(1_686_700_800)
"""2023-06-14 00:00 UTC, the first hour of the published grid figures, which cover three days."""
DAY = 86_400
FLEET_NODES = 1213
OPERATORS = 80
CHECKERS = 7
OUTAGE_EVERY = 3
RAISED_BY_MG = 1500


class DemoNetwork:
    """Everything about the demonstration, derived from a seed. Two equal seeds sign the same bytes.

    `nodes` of the fleet's 1,213 are used, evenly taken; `calendar` is three days of 24 h from 2023-06-14
    unless given.
    """

    def __init__(
        self,
        seed: bytes = b"ath-ledger-demo",
        *,
        nodes: int = FLEET_NODES,
        operators: int = OPERATORS,
        calendar: EpochCalendar | None = None,
    ) -> None:
        self.seed = seed
        self.calendar = calendar or EpochCalendar(genesis=DEMO_GENESIS, length=DAY)
        self.tables: Tables = demo_tables()
        self.policy: Policy = default_policy(self.tables)
        self.operators: tuple[KeySigner, ...] = tuple(demo_signer(seed, "operator", rank) for rank in range(operators))
        self.nodes: tuple[DemoNode, ...] = build_fleet(
            seed, self.operators, self.tables, nodes=nodes, genesis=self.calendar.genesis
        )

    def operator_key(self, rank: int) -> bytes:
        """An operator's private key, for claiming in its name. Anybody can derive it."""
        return demo_key(self.seed, "operator", rank)

    @cached_property
    def checkers(self) -> tuple[DemoVerifier, ...]:
        """Seven; the last two belong to the two largest operators, whose own nodes they may not vote on."""
        affiliations = [ZERO_ADDRESS] * (CHECKERS - 2) + [signer.address for signer in self.operators[:2]]
        return checkers(self.seed, affiliations)

    @cached_property
    def meters(self) -> tuple[DemoVerifier, ...]:
        """The meter verifier of all nodes, and a second one that reads some of them again."""
        return tuple(self._verifier(f"meter-{index}", Schema.ENERGY) for index in range(2))

    @cached_property
    def registries(self) -> tuple[DemoVerifier, ...]:
        """One registry of hourly certificates, one of yearly ones."""
        return tuple(
            replace(
                self._verifier(f"registry-{name}", Schema.RENEWABLE),
                registry_ids=(registry_id(self.seed, name),),
            )
            for name in ("hourly", "annual")
        )

    @cached_property
    def data_verifiers(self) -> tuple[DemoVerifier, ...]:
        """Two signers of grid factors; the second knows one zone only, and higher figures for it."""
        return tuple(self._verifier(f"grid-{index}", Schema.GRID) for index in range(2))

    @property
    def verifiers(self) -> tuple[DemoVerifier, ...]:
        """Everybody who needs a role from epoch 0 on."""
        return (*self.checkers, *self.meters, *self.registries, *self.data_verifiers)

    def roles(self) -> RoleBook:
        """The roles everybody has to be given on chain, in that order."""
        return role_book(self.verifiers)

    def registrations(self, domain: Domain) -> Iterator[SignedRegistration]:
        """Every node's registration, and one more that claims a GPU another node registered before it.

        All count from epoch 0 on if they arrive before genesis.
        """
        for node in self.nodes:
            yield sign_registration(domain, self.operators[node.operator_index], node.registration)
        first = self.nodes[0].registration
        thief = replace(
            first,
            operator=self.operators[-1].address,
            serial=labelled(self.seed, "serial", "thief"),
            valid_from=Timestamp(first.valid_from + SECONDS_PER_HOUR),
        )
        yield sign_registration(domain, self.operators[-1], thief)

    def batches(
        self, epoch: EpochNumber, domain: Domain, roles_block_hash: Hash32 | None = None
    ) -> Iterator[SignedBatch]:
        """Everything the verifiers sign about an epoch, good and deliberately bad, in a fixed order.

        With the hash of the epoch's roles block each checker reports on the nodes it was drawn for, and one
        of them on a few more; without it every checker reports on every node.
        """
        window = Window(start=self.calendar.start(epoch), end=self.calendar.end(epoch))
        truth = [up_minutes(self.seed, node, epoch, self.calendar.hours) for node in self.nodes]
        yield from self._uptime_batches(epoch, domain, truth, roles_block_hash)
        readings = self._readings(epoch, truth)
        yield from self._energy_batches(epoch, domain, readings)
        hourly, annual = (BatchChain(registry, domain, self.calendar, epoch) for registry in self.registries)
        good = hourly_claims(self.seed, readings, window)
        if good:
            yield hourly.add(claim_records([*good, *refused_claims(self.seed, good, readings)]))
        volumes = [
            *annual_claims(self.seed, readings, window, epoch),
            *reused_claim(self.seed, readings, window, epoch),
        ]
        if volumes:
            yield annual.add(claim_records(volumes))
        whole, single = (BatchChain(verifier, domain, self.calendar, epoch) for verifier in self.data_verifiers)
        yield whole.add(grid_records(hourly_zones(), window))
        yield single.add(grid_records(hourly_zones()[:1], window, above_mg=RAISED_BY_MG))

    def revocations(self, epoch: EpochNumber, domain: Domain) -> Iterator[SignedRevocation]:
        """The second meter takes its mistaken second batch back, before the cut-off."""
        truth = [up_minutes(self.seed, node, epoch, self.calendar.hours) for node in self.nodes]
        for batch in self._second_meter(epoch, domain, self._readings(epoch, truth))[1:2]:
            revocation = Revocation(
                batch_uid=batch.uid,
                record=WHOLE_BATCH,
                reason=1,
                revoked_at=Timestamp(batch.header.issued_at + SECONDS_PER_HOUR),
            )
            yield sign_revocation(domain, self.meters[1].signer, revocation)

    def _verifier(self, name: str, schema: Schema) -> DemoVerifier:
        return DemoVerifier(name=name, schema=schema, signer=demo_signer(self.seed, name))

    def _readings(self, epoch: EpochNumber, truth: Sequence[int]) -> list[Reading]:
        hours = self.calendar.hours
        return [read_meter(self.seed, node, up, epoch, hours) for node, up in zip(self.nodes, truth, strict=True)]

    def _uptime_batches(
        self, epoch: EpochNumber, domain: Domain, truth: Sequence[int], roles_block_hash: Hash32 | None
    ) -> Iterator[SignedBatch]:
        drawn = self._drawn_checkers(epoch, roles_block_hash)
        outage = epoch % OUTAGE_EVERY == 1 and self.calendar.hours > 2
        for place, checker in enumerate(self.checkers):
            sight = Sight(
                checker=place,
                misreads_permille=40 if place == 3 else 5,
                blind_permille=200 if place == 4 else 10,
                # four of seven are away in the same hour: nodes without three other checkers go unobserved
                away_hour=self.calendar.hours // 2 if outage and place < 4 else None,
            )
            chain = BatchChain(checker, domain, self.calendar, epoch)
            seen = [
                index
                for index, node in enumerate(self.nodes)
                if drawn is None or (node.node_id, place) in drawn or (place == 0 and index < 10)
            ]
            nodes, ups = [self.nodes[index] for index in seen], [truth[index] for index in seen]
            if nodes:
                yield chain.add(uptime_records(self.seed, nodes, ups, sight, chain.window, epoch))
            if nodes and place == 1:  # deliberate: contradicts itself about its first node
                yield chain.add(uptime_records(self.seed, nodes[:1], [ups[0] ^ 1], sight, chain.window, epoch))
            if nodes and place == 2:  # deliberate: leaves a sequence number out
                yield chain.add(uptime_records(self.seed, nodes[:1], ups[:1], sight, chain.window, epoch), skip=1)
        stranger = DemoVerifier(name="stranger", schema=Schema.UPTIME, signer=demo_signer(self.seed, "stranger"))
        chain = BatchChain(stranger, domain, self.calendar, epoch)
        sight = Sight(checker=CHECKERS, misreads_permille=0, blind_permille=0, away_hour=None)
        yield chain.add(uptime_records(self.seed, self.nodes[:1], truth[:1], sight, chain.window, epoch))

    def _drawn_checkers(self, epoch: EpochNumber, roles_block_hash: Hash32 | None) -> set[tuple[bytes, int]] | None:
        """Each node with each of its checkers (rewards spec R1.8); None when they are not known."""
        if roles_block_hash is None:
            return None
        nodes = pl.DataFrame(
            {"node_id": [node.node_id for node in self.nodes], "operator": [node.operator for node in self.nodes]},
            schema={"node_id": pl.Binary, "operator": pl.Binary},
        )
        holders = self.roles().holders(schema_id(Schema.UPTIME), epoch)
        drawn = assign_checkers(epoch, roles_block_hash, holders, nodes, self.policy.quorum_k)
        places = {checker.address: place for place, checker in enumerate(self.checkers)}
        return {(node_id, places[verifier]) for node_id, verifier in drawn.iter_rows()}

    def _energy_batches(self, epoch: EpochNumber, domain: Domain, readings: Sequence[Reading]) -> Iterator[SignedBatch]:
        chain = BatchChain(self.meters[0], domain, self.calendar, epoch)
        heard = [reading for reading in readings if not is_silent(reading.node)]
        if heard:
            yield chain.add(energy_records(heard, chain.window))
        silent = [reading for reading in readings if is_silent(reading.node)]
        if silent:  # deliberate: the missing readings, an hour after the cut-off
            late = Timestamp(self.calendar.cut_off(epoch) + SECONDS_PER_HOUR)
            yield chain.add(energy_records(silent, chain.window), issued_at=late)
        yield from self._second_meter(epoch, domain, readings)

    def _second_meter(self, epoch: EpochNumber, domain: Domain, readings: Sequence[Reading]) -> list[SignedBatch]:
        """Disputes some readings, then sends one by mistake, which it revokes."""
        chain = BatchChain(self.meters[1], domain, self.calendar, epoch)
        again = [reading for reading in readings if is_metered_twice(reading.node)]
        if again:
            chain.add(energy_records(again, chain.window, it_percent=115))
            chain.add(energy_records(again[:1], chain.window, it_percent=50))
        return chain.batches
