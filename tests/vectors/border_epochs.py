"""Whole synthetic epochs drawn from a seed, aimed at the borders of the rules rather than at realism."""

from random import Random

from vectors.rows import Row, accepted, address, claim_row, energy_row, grid_row, packed, policy_of, uptime_row

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import MicrogramsCo2e, Wei

START = 1_700_006_400
WHOLE_HOUR = (1 << 60) - 1
MODELS = {
    "H100": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725_000, ref_idle_mw=235_000),
    "RTX": ModelFigures(tdp_w=450, capacity_milli=167, ref_active_mw=537_500, ref_idle_mw=197_500),
    "odd": ModelFigures(tdp_w=3, capacity_milli=1, ref_active_mw=3_333, ref_idle_mw=1),
}
ZONES = {
    "NO": ZoneFigures(market="EU", yearly_ef_mg_per_kwh=30_001),
    "ES": ZoneFigures(market="EU", yearly_ef_mg_per_kwh=None),
    "PL": ZoneFigures(market="EU", yearly_ef_mg_per_kwh=700_000),
}


def random_epoch(seed: int, *, nodes: int, hours: int) -> tuple[AcceptedEvidence, Policy, Tables, Opening]:
    """An epoch of so many nodes and hours, the same for the same seed."""
    rng = Random(seed)
    policy = _policy(rng)
    registered = [_node(rng, index) for index in range(nodes)]
    uptime: list[Row] = []
    energy: list[Row] = []
    claims: list[Row] = []
    for node in registered:
        uptime += _uptime(rng, node, hours, policy)
        energy += _energy(rng, node, hours, policy)
        for serial in range(rng.choice([0, 0, 1, 5])):
            hour = rng.randrange(hours)
            claims.append(
                claim_row(
                    node=node,
                    tier=rng.choice([1, 1, 2]),
                    hour_start=START + 3600 * hour,
                    credited_wh=rng.choice([1, 500, 4_000, 10**6, rng.randrange(1, 60_000)]),
                    serial=len(claims) + serial,
                )
            )
    evidence = accepted(
        epoch=seed,
        window_start=START,
        hours=hours,
        nodes=registered,
        uptime=uptime,
        energy=energy,
        claims=claims,
        grid=_grid(rng, hours),
    )
    opening = Opening(
        rollover_in_wei=Wei(rng.choice([0, 1, 10**21, rng.randrange(10**27)])),
        carried_in_ug=MicrogramsCo2e(rng.choice([0, 1, 10**12, rng.randrange(10**16)])),
    )
    return evidence, policy, Tables(rules_version="v1", models=MODELS, zones=ZONES), opening


def _policy(rng: Random) -> Policy:
    quorum_k = rng.choice([3, 5, 5, 7])
    u_min = rng.choice([500_000, 900_000, 980_000])
    return policy_of(
        {
            "epoch_budget_wei": rng.choice([0, 1, 10**9, 2_874_743 * 10**18, 2**96 - 1, rng.randrange(2**96)]),
            "reserve_bps": rng.choice([0, 1000, 3000]),
            "carbon_cap_bps": rng.choice([0, 1, 500, 2000]),
            "carbon_price_wei_per_tonne": rng.choice([10**18, 800 * 10**18 + 7, 10**23]),
            "u_min_ppm": u_min,
            "u_full_ppm": rng.choice([u_min + 10_000, 1_000_000]),
            "k_eff_bps": rng.choice([0, 1, 5000, 10_000]),
            "s_clamp_ppm": rng.choice([0, 33, 400_000, 500_000]),
            "pue_ref_e4": rng.choice([10_500, 15_400, 20_000]),
            "g_match_bps": rng.choice([0, 2000, 5000]),
            "t2_quality_bps": rng.choice([0, 2500, 5000]),
            "g_grid_bps": rng.choice([0, 500, 1500]),
            "ref_ef_mg_per_kwh": rng.choice([100_000, 475_000, 1_000_000]),
            "max_mult_ppm": rng.choice([1_000_000, 1_500_000, 2_000_000]),
            "quorum_q": quorum_k // 2 + 1 + (rng.random() < 0.2 and quorum_k > 3),
            "quorum_k": quorum_k,
        }
    )


def _node(rng: Random, index: int) -> Row:
    gpus = rng.choice([1, 2, 8, 72])
    return {
        "node_id": rng.randbytes(32),
        "operator": address(f"operator-{index % 7}"),
        "model": rng.choice(sorted(MODELS)),
        "zone": rng.choice(sorted(ZONES)),
        "country": rng.choice(["NO", "ES", "PL"]),
        "gpu_count": gpus,
        "nameplate_w": rng.choice([1, 500 * gpus, 1300 * gpus, 1300 * gpus, 3000 * gpus]),
    }


def _votes(rng: Random, mood: str) -> tuple[int, int]:
    if mood == "up":
        return WHOLE_HOUR, WHOLE_HOUR
    if mood == "down":
        return 0, WHOLE_HOUR
    if mood == "blind":
        return 0, 0
    hidden = (1 << rng.choice([0, 5, 6, 7, 8])) - 1
    seen = WHOLE_HOUR & ~hidden if mood == "partly" else rng.getrandbits(60) | rng.getrandbits(60)
    return seen & (rng.getrandbits(60) | rng.getrandbits(60)), seen


def _uptime(rng: Random, node: Row, hours: int, policy: Policy) -> list[Row]:
    """Records of up to k checkers, in one or two windows; some miss hours, some disagree."""
    moods = ["up", "up", "up", "up", "down", "blind", "partly", "any"]
    usual = [rng.choice(["up", "up", "up", rng.choice(moods)]) for _ in range(hours)]
    rows: list[Row] = []
    if rng.random() < 0.4:
        for checker in range(policy.quorum_k):
            rows.append(_sound_record(node, address(f"checker-{checker}"), hours))
        return rows
    for checker in range(rng.choice([policy.quorum_q - 1, policy.quorum_q, policy.quorum_k, policy.quorum_k])):
        votes = [_votes(rng, mood if rng.random() < 0.9 else rng.choice(moods)) for mood in usual]
        first = rng.choice([0, 0, 0, rng.randrange(hours)])
        cut = rng.choice([hours, rng.randrange(first, hours) + 1])
        for begin, end in ((first, cut), (cut, hours)):
            if begin < end and (begin == first or rng.random() < 0.7):
                rows.append(
                    {
                        "node_id": node["node_id"],
                        "window_start": START + 3600 * begin,
                        "hours": end - begin,
                        "up_mask": packed([up for up, _ in votes[begin:end]], 8),
                        "seen_mask": packed([seen for _, seen in votes[begin:end]], 8),
                        "capacity_check": rng.choice([0, 1, 1, 1, 1, 1, 2]),
                        "verifier": address(f"checker-{checker}"),
                    }
                )
    return rows


def _sound_record(node: Row, checker: bytes, hours: int) -> Row:
    votes = [(WHOLE_HOUR, WHOLE_HOUR)] * hours
    return uptime_row(node=node["node_id"], verifier=checker, start=START, hours=votes, capacity=1)


def _energy(rng: Random, node: Row, hours: int, policy: Policy) -> list[Row]:
    """Records of none to three meters around the borders of plausibility."""
    figures, gpus = MODELS[node["model"]], node["gpu_count"]
    idle_wh, limit_wh = -(-gpus * figures.ref_idle_mw // 2000), 105 * node["nameplate_w"] // 100
    full_mj = 105 * gpus * figures.tdp_w * 36_000
    rows = []
    for meter in range(rng.choice([0, 1, 1, 1, 1, 2, 3])):
        first = rng.choice([0, 0, 0, rng.randrange(hours)])
        span = range(first, hours)
        it_wh = [
            rng.choice([limit_wh, limit_wh, limit_wh * 9 // 10, limit_wh * 8 // 10, idle_wh, 0, limit_wh + 1])
            if rng.random() < 0.2
            else min(limit_wh, gpus * figures.ref_active_mw * rng.randrange(30, 110) // 100_000)
            for _ in span
        ]
        millijoule = [
            rng.choice([wh * 3_600_000, min(full_mj, wh * 3_600_000), min(full_mj, wh * 1_800_000), 0, full_mj + 1])
            if rng.random() < 0.2
            else min(full_mj, wh * 2_500_000)
            for wh in it_wh
        ]
        active = [
            rng.choice([gpus * 3600, gpus * 3600 + 1, 0]) if rng.random() < 0.1 else rng.randrange(gpus * 3600 + 1)
            for _ in span
        ]
        reading = {
            "pue_e4": rng.choice(
                [10_000, 10_001, 10_900, 12_500, 15_400, 30_000, 30_001 if rng.random() < 0.1 else 11_111]
            ),
            "meter_class": rng.randrange(4),
            "active_gpu_sec": active,
            "gpu_millijoule": millijoule,
            "it_wh": it_wh,
            "water_ml": [rng.randrange(10_000) for _ in span],
        }
        if rng.random() < 0.03:
            reading["zone"] = "PL" if node["zone"] != "PL" else "NO"
        if rng.random() < 0.03:
            reading["gpu_count"] = gpus + 1
        rows.append(
            energy_row(node=node, verifier=address(f"meter-{meter}"), start=START + 3600 * first, reading=reading)
        )
    return rows


def _grid(rng: Random, hours: int) -> list[Row]:
    """None to two signers per zone, over all or some hours, with every flag."""
    rows = []
    for zone in sorted(ZONES):
        for signer in range(rng.choice([0, 1, 1, 2])):
            first = rng.choice([0, 0, rng.randrange(hours)])
            count = hours - first
            rows.append(
                grid_row(
                    zone=zone,
                    verifier=address(f"grid-{signer}"),
                    start=START + 3600 * first,
                    location=[rng.choice([0, 1, 2_000_000, rng.randrange(900_000)]) for _ in range(count)],
                    residual=[rng.choice([0, 2_000_000, rng.randrange(900_000)]) for _ in range(count)],
                    flags=[rng.randrange(4) for _ in range(count)],
                )
            )
    return rows
