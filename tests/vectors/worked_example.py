"""Reads the specification's worked example from its own format."""

import json
import re
from pathlib import Path

from vectors.golden_epoch import GoldenEpoch
from vectors.rows import Row, accepted, address, claim_row, energy_row, grid_row, masks, node_id, policy_of, uptime_row

from ledger.model.allocation import Opening
from ledger.model.policy import ModelFigures, Tables, ZoneFigures
from ledger.model.units import MicrogramsCo2e, Wei

HERE = Path(__file__).parent

_EXPECTED_NAMES = {
    "C": "capacity",
    "uPpm": "u_ppm",
    "U": "uptime",
    "ref": "ref_e4",
    "act": "act_e4",
    "sPpm": "s_ppm",
    "E": "efficiency",
    "m2Wh": "m2_wh",
    "matchPpm": "match_ppm",
    "avgEfMgPerKwh": "avg_ef_mg",
    "gridPpm": "grid_ppm",
    "G": "green",
    "M": "multiplier",
    "W": "weight",
    "locationUg": "location_ug",
    "residualUg": "residual_ug",
    "payWei": "pay_wei",
    "baseWei": "base_wei",
    "efficiencyWei": "efficiency_wei",
    "greenWei": "green_wei",
}


def worked_example() -> GoldenEpoch:
    """The specification's worked example.

    It gives minutes, not masks, and no nameplates: five checkers agree here, minutes that are not up are
    down from the first hour's end backwards, and a nameplate is 3000 W per GPU.
    """
    data = json.loads((HERE / "golden" / "worked-example.json").read_text())
    start = 1_686_823_200  # 2023-06-15 10:00 UTC
    nodes: list[Row] = []
    uptime: list[Row] = []
    energy: list[Row] = []
    claims: list[Row] = []
    grid: list[Row] = []
    models: dict[str, ModelFigures] = {}
    expected: dict[bytes, dict[str, int | str]] = {}
    for entry in data["nodes"]:
        given, demanded, hours = entry["input"], entry["expected"], entry["input"]["hours"]
        node: Row = {
            "node_id": node_id(entry["id"]),
            "operator": address(f"operator-{entry['id']}"),
            "model": given["model"],
            "zone": given["zone"],
            "country": {"NO": "NO", "US-CAL-CISO": "US", "ES": "ES"}[given["zone"]],
            "gpu_count": given["gpuCount"],
            "nameplate_w": 3000 * given["gpuCount"],
        }
        nodes.append(node)
        models[given["model"]] = ModelFigures(
            tdp_w=given["tdpW"],
            capacity_milli=given["capacityMilliPerGpu"],
            ref_active_mw=given["refActiveMilliWatt"],
            ref_idle_mw=given["refIdleMilliWatt"],
        )
        down = given["expectedMinutes"] - given["upMinutes"]
        first = f"{60 - down}u{down}d" if down else "60u"
        votes = [masks(first)] + [masks("60u")] * (len(hours) - 1)
        for checker in range(5):
            uptime.append(
                uptime_row(
                    node=node["node_id"], verifier=address(f"checker-{checker}"), start=start, hours=votes, capacity=1
                )
            )
        reading = {
            "pue_e4": hours[0]["pueE4"],
            "meter_class": 2,
            "active_gpu_sec": [hour["activeGpuSec"] for hour in hours],
            "gpu_millijoule": [hour["gpuMilliJoule"] for hour in hours],
            "it_wh": [hour["itWh"] for hour in hours],
        }
        energy.append(energy_row(node=node, verifier=address("meter"), start=start, reading=reading))
        credited = [(1, index, hour["tier1Wh"]) for index, hour in enumerate(hours)] + [(2, 0, given["tier2Wh"])]
        for tier, index, wh in credited:
            if wh:
                at = start + 3600 * index
                claims.append(claim_row(node=node, tier=tier, hour_start=at, credited_wh=wh, serial=len(claims)))
        grid.append(
            grid_row(
                zone=given["zone"],
                verifier=address("grid"),
                start=start,
                location=[hour["locationEf"] for hour in hours],
                residual=[hour["residualEf"] or 0 for hour in hours],
                flags=[2 if hour["residualEf"] is None else 0 for hour in hours],
            )
        )
        expected[node["node_id"]] = {
            **{ours: int(demanded[theirs]) for theirs, ours in _EXPECTED_NAMES.items()},
            "up_minutes": given["upMinutes"],
            "expected_minutes": given["expectedMinutes"],
            "load_wh": sum(demanded["loadWh"]),
            "m1_wh": sum(demanded["m1Wh"]),
            "reasons": "",
        }
    result = data["result"]
    policy = {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): value for name, value in data["policy"].items()}
    return GoldenEpoch(
        name="worked-example",
        evidence=accepted(
            epoch=0,
            window_start=start,
            hours=4,
            nodes=nodes,
            uptime=uptime,
            energy=energy,
            claims=claims,
            grid=grid,
        ),
        policy=policy_of(policy),
        tables=Tables(
            rules_version="v1",
            models=models,
            zones={node["zone"]: ZoneFigures(market=node["country"], yearly_ef_mg_per_kwh=None) for node in nodes},
        ),
        opening=Opening(
            rollover_in_wei=Wei(int(data["rolloverInWei"])), carried_in_ug=MicrogramsCo2e(int(data["carriedInUg"]))
        ),
        expected_totals={
            "budget_wei": int(data["policy"]["epochBudgetWei"]),
            "rollover_in_wei": int(data["rolloverInWei"]),
            "reserve_wei": int(result["reserveWei"]),
            "carbon_wei": int(result["carbonWei"]),
            "pool_wei": int(result["poolWei"]),
            "payout_wei": int(result["poolWei"]),
            "rollover_out_wei": int(result["rolloverOutWei"]),
            "sum_weight": int(result["sumW"]),
            "left_over_wei": result["leftOverWei"],
            "location_ug": int(result["locationUg"]),
            "residual_ug": int(result["residualUg"]),
            "carried_in_ug": int(data["carriedInUg"]),
            "carried_out_ug": int(result["carriedOutUg"]),
        },
        expected_statements=expected,
    )
