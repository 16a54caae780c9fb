"""The demo's fleet: real counts by model and size, spread over synthetic operators and places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from ledger.demo.figures import fleet
from ledger.demo.stream import Stream, labelled
from ledger.demo.tables import country_of
from ledger.evidence.items.registration import NodeRegistration
from ledger.evidence.items.signing import KeySigner
from ledger.model.policy import ModelFigures, Tables
from ledger.model.units import Address, NodeId, Timestamp, ceil_div

DAY = 86_400
REGISTERED_BEFORE_GENESIS = 7 * DAY
VALID_FOR = 3650 * DAY

ZONE_WEIGHTS = (
    *(("US-CAL-CISO", 22), ("NO", 18), ("ES", 14), ("BR", 10), ("DE", 6), ("FR", 4), ("GB", 4), ("SG", 4), ("JP", 4)),
    *(("SE", 3), ("KR", 3), ("IN", 3), ("CA", 3), ("AU", 2), ("PL", 2), ("ZA", 1), ("AE", 1)),
)
SOURCES_OF_ZONE = {"NO": (3,), "US-CAL-CISO": (1, 1, 2), "ES": (1, 2), "BR": (3, 2)}
"""Where a zone's hourly certificates come from: 1 solar, 2 wind, 3 hydro (rewards spec R2.18)."""


class Procurement(Enum):
    """How a node's operator buys green power for it."""

    NONE = "none"
    HOURLY = "hourly"
    ANNUAL = "annual"


class Reliability(Enum):
    """How often a node is down; the value is minutes a day, least and most."""

    STEADY = (0, 6)
    SHAKY = (20, 130)
    POOR = (150, 500)
    DOWN = (1440, 1440)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNode:
    """One node: its registration and the traits its synthetic readings follow."""

    index: int
    registration: NodeRegistration
    node_id: NodeId
    operator_index: int
    figures: ModelFigures
    reliability: Reliability
    procurement: Procurement
    source: int
    meter_class: int
    pue_e4: int
    water_ml_per_kwh: int
    busy_percentile: int
    host_percent: int
    """The host's share of power against the reference's, in per cent."""

    @property
    def operator(self) -> Address:
        """Who is paid for the node."""
        return self.registration.operator

    @property
    def zone(self) -> str:
        """The grid zone it stands in."""
        return self.registration.zone

    @property
    def gpu_count(self) -> int:
        """GPUs in the node."""
        return self.registration.gpu_count


def build_fleet(
    seed: bytes, operators: Sequence[KeySigner], tables: Tables, *, nodes: int, genesis: Timestamp
) -> tuple[DemoNode, ...]:
    """So many of the trace's nodes, evenly taken from its whole breadth, each with its traits."""
    shapes = [(row.model, row.gpus_per_node) for row in fleet() for _ in range(row.nodes)]
    if not 1 <= nodes <= len(shapes):
        raise ValueError(f"the fleet has 1 to {len(shapes)} nodes, not {nodes}")
    taken = [shapes[place * len(shapes) // nodes] for place in range(nodes)]
    homes = [tuple(_homes(Stream(seed, "home", rank))) for rank in range(len(operators))]
    shares = [(rank, 1_000_000 // (rank + 3)) for rank in range(len(operators))]
    built = []
    for index, (model, gpus) in enumerate(taken):
        stream = Stream(seed, "node", index)
        rank = stream.weighted(shares)
        zone = stream.weighted([(homes[rank][0], 4), (homes[rank][1], 1)])
        built.append(_node(seed, stream, index, rank, operators[rank].address, model, gpus, zone, tables, genesis))
    return tuple(built)


def _homes(stream: Stream) -> Iterator[str]:
    for _ in range(2):
        yield stream.weighted(ZONE_WEIGHTS)


def _node(
    seed: bytes,
    stream: Stream,
    index: int,
    rank: int,
    operator: Address,
    model: str,
    gpus: int,
    zone: str,
    tables: Tables,
    genesis: Timestamp,
) -> DemoNode:
    figures = tables.models[model]
    valid_from = Timestamp(genesis - REGISTERED_BEFORE_GENESIS)
    registration = NodeRegistration(
        operator=operator,
        serial=labelled(seed, "serial", index),
        model=model,
        gpu_ids=tuple(labelled(seed, "gpu", index, gpu) for gpu in range(gpus)),
        zone=zone,
        country=country_of(zone),
        # a quarter above the reference at full load, as power supplies are sized
        nameplate_w=ceil_div(gpus * figures.ref_active_mw * 5, 4000),
        valid_from=valid_from,
        valid_to=Timestamp(valid_from + VALID_FOR),
        sequence=0,
    )
    reliability = stream.weighted(
        ((Reliability.STEADY, 870), (Reliability.SHAKY, 95), (Reliability.POOR, 25), (Reliability.DOWN, 10))
    )
    procurement = stream.weighted(((Procurement.NONE, 45), (Procurement.HOURLY, 30), (Procurement.ANNUAL, 25)))
    if procurement is Procurement.HOURLY and zone not in SOURCES_OF_ZONE:
        procurement = Procurement.ANNUAL
    meter_class = stream.weighted(((0, 15), (1, 30), (2, 40), (3, 15)))
    return DemoNode(
        index=index,
        registration=registration,
        node_id=registration.node_id,
        operator_index=rank,
        figures=figures,
        reliability=reliability,
        procurement=procurement,
        source=stream.pick(SOURCES_OF_ZONE.get(zone, (2,))),
        meter_class=meter_class,
        pue_e4=stream.between(*((15_400, 17_500), (12_000, 15_000), (11_000, 14_000), (10_700, 12_500))[meter_class]),
        water_ml_per_kwh=stream.between(50, 1800),
        busy_percentile=stream.between(45, 90),
        host_percent=stream.between(80, 120),
    )
