"""Turns golden epochs into accepted evidence, policy, tables and opening; knows no calculator."""

import json
from pathlib import Path

from vectors.golden_epoch import GoldenEpoch
from vectors.rows import Row, accepted, address, claim_row, energy_row, grid_row, masks, node_id, policy_of, uptime_row
from vectors.worked_example import worked_example

from ledger.model.allocation import Opening
from ledger.model.policy import ModelFigures, Tables, ZoneFigures
from ledger.model.units import MicrogramsCo2e, Wei

HERE = Path(__file__).parent
_TEXT_FIELDS = frozenset({"model", "zone", "country", "reasons"})


def golden_epochs() -> list[GoldenEpoch]:
    """The worked example, then every file of `epochs/` by name."""
    return [worked_example(), *(load_epoch(path) for path in sorted((HERE / "epochs").glob("*.json")))]


def load_epoch(path: Path) -> GoldenEpoch:
    """Read one file of `epochs/`; ValueError or KeyError where it does not follow the format."""
    data = json.loads(path.read_text())
    start = int(data["epoch"]["window_start"])
    nodes = {entry["node"]: _node(entry) for entry in data["nodes"]}

    def at(entry: Row) -> int:
        return start + 3600 * int(entry.get("first_hour", 0))

    uptime = [
        uptime_row(
            node=node_id(entry["node"]),
            verifier=address(verifier),
            start=at(entry),
            hours=[masks(minutes) for minutes in entry["minutes"]],
            capacity=entry["capacity_check"],
        )
        for entry in data["uptime"]
        for verifier in entry["verifiers"]
    ]
    energy = [
        energy_row(node=nodes[entry["node"]], verifier=address(entry["verifier"]), start=at(entry), reading=entry)
        for entry in data["energy"]
    ]
    claims = [
        claim_row(
            node=nodes[entry["node"]],
            tier=entry["tier"],
            hour_start=start + 3600 * int(entry.get("hour", 0)),
            credited_wh=int(entry["credited_wh"]),
            serial=serial,
        )
        for serial, entry in enumerate(data["claims"])
    ]
    grid = [
        grid_row(
            zone=entry["zone"],
            verifier=address(entry["verifier"]),
            start=at(entry),
            location=entry["location_ef"],
            residual=entry["residual_ef"],
            flags=entry["flags"],
        )
        for entry in data["grid"]
    ]
    return GoldenEpoch(
        name=path.stem,
        evidence=accepted(
            epoch=data["epoch"]["number"],
            window_start=start,
            hours=data["epoch"]["hours"],
            nodes=list(nodes.values()),
            uptime=uptime,
            energy=energy,
            claims=claims,
            grid=grid,
        ),
        policy=policy_of(data["policy"]),
        tables=Tables(
            rules_version="v1",
            models={name: ModelFigures(**figures) for name, figures in data["tables"]["models"].items()},
            zones={name: ZoneFigures(**figures) for name, figures in data["tables"]["zones"].items()},
        ),
        opening=Opening(
            rollover_in_wei=Wei(int(data["opening"]["rollover_in_wei"])),
            carried_in_ug=MicrogramsCo2e(int(data["opening"]["carried_in_ug"])),
        ),
        expected_totals={name: int(value) for name, value in data["expected"]["totals"].items()},
        expected_statements={
            node_id(name): {key: value if key in _TEXT_FIELDS else int(value) for key, value in statement.items()}
            for name, statement in data["expected"]["statements"].items()
        },
    )


def _node(entry: Row) -> Row:
    return {
        "node_id": node_id(entry["node"]),
        "operator": address(entry["operator"]),
        "model": entry["model"],
        "zone": entry["zone"],
        "country": entry["country"],
        "gpu_count": entry["gpu_count"],
        "nameplate_w": entry["nameplate_w"],
    }
