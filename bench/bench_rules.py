"""Times rules v1 on a synthetic epoch of the network's size, against a plain per-node loop on a sample of it.

    .venv/bin/python bench/bench_rules.py [--nodes 435000] [--hours 24] [--checkers 5] [--sample 2000]

All data are synthetic. The peer, the auditor's row-by-row style reduced to the quorum alone, is timed on the
sample and extrapolated linearly; the output says so.
"""

import argparse
import os
import platform
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from ledger.evidence.items.columns import CLAIM_COLUMNS
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import Bps, EpochNumber, Hash32, MicrogramsCo2e, Ppm, Timestamp, Wei
from ledger.rules.statements import operator_totals, write_statements
from ledger.rules.v1 import score, settle

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
    quorum_q=3,
    quorum_k=5,
    count_nuclear=False,
    tables_hash=Hash32(bytes(32)),
)
MODELS = {
    "H100": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725_000, ref_idle_mw=235_000),
    "A100": ModelFigures(tdp_w=400, capacity_milli=315, ref_active_mw=500_000, ref_idle_mw=190_000),
}
ZONES = [f"Z{number:02d}" for number in range(93)]
START = 1_700_006_400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("nodes", 435_000), ("hours", 24), ("checkers", 5), ("sample", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    print("machine :", platform.platform(), "|", os.cpu_count(), "cores |", f"Python {platform.python_version()}")
    print("command :", "python", Path(sys.argv[0]).name, *sys.argv[1:])
    evidence = synthetic_epoch(args.nodes, args.hours, args.checkers)
    tables = Tables(
        rules_version="v1",
        models=MODELS,
        zones={zone: ZoneFigures(market="M", yearly_ef_mg_per_kwh=400_000) for zone in ZONES},
    )
    print(f"epoch   : synthetic, {args.nodes:,} nodes × {args.hours} h × {args.checkers} checkers")
    print(f"memory  : {peak_mb():,} MB peak with the evidence loaded, before scoring")

    started, cpu = time.perf_counter(), time.process_time()
    scores = score(evidence, POLICY, tables)
    scored, busy = time.perf_counter(), time.process_time() - cpu
    result = settle(scores, POLICY, Opening(rollover_in_wei=Wei(0), carried_in_ug=MicrogramsCo2e(0)))
    settled = time.perf_counter()
    operators = operator_totals(result.statements)
    summed = time.perf_counter()
    with TemporaryDirectory() as folder:
        target = Path(folder) / "statements.parquet"
        write_statements(result.statements, target)
        written = time.perf_counter()
        size = target.stat().st_size
    print(f"score   : {scored - started:.2f} s ({busy:.2f} s of processor time)")
    print(f"settle  : {settled - scored:.2f} s")
    print(f"sums    : {summed - settled:.2f} s for {len(operators):,} operators")
    print(f"file    : {written - summed:.2f} s, {size / 1e6:.1f} MB")
    print(f"memory  : {peak_mb():,} MB peak, evidence included")

    sample = evidence.uptime.head(args.sample * args.checkers)
    begun = time.perf_counter()
    quorum_by_loop(sample, args.checkers, args.hours)
    loop = (time.perf_counter() - begun) * args.nodes / args.sample
    ratio = loop / (settled - started)
    print(f"peer    : plain Python loop, the quorum alone, {args.sample:,} nodes extrapolated linearly: {loop:,.0f} s")
    print(f"ratio   : the peer's quorum takes {ratio:,.0f} times as long as score and settle together")


def synthetic_epoch(count: int, hours: int, checkers: int) -> AcceptedEvidence:
    """Mostly sound nodes in 93 zones, a hundredth of the votes disturbed; seeded."""
    random = np.random.default_rng(7)
    ids = np.sort(random.integers(0, 2**63, count, dtype=np.int64))
    node_ids = [int(value).to_bytes(8, "big") + bytes(24) for value in ids.tolist()]
    operators = [int(value).to_bytes(20, "big") for value in random.integers(1, max(2, count // 40), count).tolist()]
    gpus = random.choice([1, 8], count)
    h100 = random.random(count) < 0.5
    nodes = pl.DataFrame(
        {
            "node_id": node_ids,
            "operator": operators,
            "model": np.where(h100, "H100", "A100"),
            "zone": random.choice(ZONES, count),
            "country": ["NO"] * count,
            "gpu_count": gpus,
            "nameplate_w": gpus * 1300,
        }
    )
    rows = count * checkers
    up = np.full((rows, hours), (1 << 60) - 1, dtype=np.uint64)
    disturbed = random.random((rows, hours)) < 0.01
    up[disturbed] = random.integers(0, 1 << 60, int(disturbed.sum()), dtype=np.uint64)
    signer = {"node_id": np.repeat(np.arange(count), checkers).tolist()}
    uptime = pl.DataFrame(
        {
            "node_id": [node_ids[index] for index in signer["node_id"]],
            "window_start": pl.repeat(START, rows, dtype=pl.Int64, eager=True),
            "hours": pl.repeat(hours, rows, dtype=pl.Int64, eager=True),
            "up_mask": rows_of(up, ">u8"),
            "seen_mask": pl.repeat(((1 << 60) - 1).to_bytes(8, "big") * hours, rows, dtype=pl.Binary, eager=True),
            "capacity_check": pl.repeat(1, rows, dtype=pl.Int64, eager=True),
            "verifier": [bytes([number]) * 20 for number in range(checkers)] * count,
        }
    )
    share = random.integers(20, 100, (count, 1))
    it_wh = (np.where(h100, 500, 350)[:, None] * gpus[:, None] + random.integers(0, 50, (count, hours))).astype(
        np.int64
    )
    energy = pl.DataFrame(
        {
            "node_id": node_ids,
            "window_start": [START] * count,
            "hours": [hours] * count,
            "zone": nodes["zone"],
            "gpu_count": gpus,
            "pue_e4": random.integers(10_500, 16_000, count),
            "meter_class": random.integers(0, 4, count),
            "active_gpu_sec": rows_of(gpus[:, None] * 36 * share + np.zeros((1, hours), dtype=np.int64), ">u4"),
            "gpu_millijoule": rows_of(it_wh * 3_000_000, ">u8"),
            "it_wh": rows_of(it_wh, ">u4"),
            "water_ml": rows_of(it_wh * 0 + 100, ">u4"),
            "verifier": [bytes([99]) * 20] * count,
        }
    )
    factors = random.integers(20_000, 800_000, (len(ZONES), hours))
    grid = pl.DataFrame(
        {
            "zone": ZONES,
            "window_start": [START] * len(ZONES),
            "hours": [hours] * len(ZONES),
            "location_ef": rows_of(factors, ">u4"),
            "residual_ef": rows_of(factors + 100_000, ">u4"),
            "flags": rows_of(factors * 0, ">u1"),
            "verifier": [bytes([77]) * 20] * len(ZONES),
        }
    )
    return AcceptedEvidence(
        epoch=EpochNumber(0),
        window_start=Timestamp(START),
        hours=hours,
        nodes=nodes,
        uptime=uptime,
        energy=energy,
        claims=claims_of(nodes, hours, random),
        grid=grid,
    )


def claims_of(nodes: pl.DataFrame, hours: int, random: np.random.Generator) -> pl.DataFrame:
    """Two hourly certificates for each node; the columns the rules do not read stay empty."""
    holder = nodes.select("node_id", "zone")[np.repeat(np.arange(len(nodes)), 2)]
    amount = len(holder)
    columns = {
        **{name: pl.Series(name, [None], dtype=kind).new_from_index(0, amount) for name, kind in CLAIM_COLUMNS.items()},
        "node_id": holder["node_id"],
        "zone": holder["zone"],
        "tier": pl.repeat(1, amount, dtype=pl.Int64, eager=True),
        "consumption_hour": pl.Series(START + 3600 * random.integers(0, hours, amount)),
        "verifier": pl.repeat(bytes(20), amount, dtype=pl.Binary, eager=True),
        "credited_wh": pl.Series(random.integers(1, 5000, amount)),
    }
    return pl.DataFrame(columns)


def rows_of(values: np.ndarray, kind: str) -> list[bytes]:
    """Each row as big-endian bytes."""
    raw, width = values.astype(kind).tobytes(), values.shape[1] * np.dtype(kind).itemsize
    return [raw[at : at + width] for at in range(0, len(raw), width)]


def quorum_by_loop(votes: pl.DataFrame, checkers: int, hours: int) -> int:
    """UP and DOWN minutes of resolved hours, minute by minute."""
    up_column, seen_column = votes["up_mask"].to_list(), votes["seen_mask"].to_list()
    total = 0
    for first in range(0, len(votes), checkers):
        ups = [np.frombuffer(mask, ">u8").tolist() for mask in up_column[first : first + checkers]]
        seens = [np.frombuffer(mask, ">u8").tolist() for mask in seen_column[first : first + checkers]]
        for hour in range(hours):
            known = 0
            for minute in range(60):
                up = sum(mask[hour] >> minute & 1 for mask in ups)
                down = sum((seen[hour] & ~mask[hour]) >> minute & 1 for mask, seen in zip(ups, seens, strict=True))
                known += up >= 3 or down >= 3
            total += known if 60 - known <= 6 else 0
    return total


def peak_mb() -> int:
    """Most memory this process held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
