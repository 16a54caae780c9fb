"""Random small epochs for holding calculators against each other; synthetic, within every bound of acceptance.

Values are drawn at and beside the rules' thresholds more often than between them, because that is where two
readings of the same sentence part.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from vectors.rows import Row, accepted, address, claim_row, energy_row, grid_row, node_id, policy_of, uptime_row

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import MicrogramsCo2e, Wei

WINDOW_START = 1_700_002_800
FULL_HOUR = (1 << 60) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochInputs:
    """All a calculator is given."""

    evidence: AcceptedEvidence
    policy: Policy
    tables: Tables
    opening: Opening


@st.composite
def epochs(draw: DrawFn, *, max_nodes: int = 4, max_hours: int = 5) -> EpochInputs:
    """An epoch of a few nodes and hours with every corner of the rules in reach."""
    policy, tables = draw(policies()), draw(tables_of_zones())
    hours = draw(st.integers(1, max_hours))
    at_least = draw(st.sampled_from([2, 1, 0]))
    nodes = draw(
        st.lists(
            _nodes(), min_size=min(at_least, max_nodes), max_size=max_nodes, unique_by=lambda node: node["node_id"]
        )
    )
    uptime = [row for node in nodes for row in draw(_uptime(node, policy, hours))]
    energy = [row for node in nodes for row in draw(_energy(node, tables.models[node["model"]], hours))]
    claims: list[Row] = []
    for node in nodes:
        for tier, hour, wh in draw(_claims(node, hours)):
            start = WINDOW_START + 3600 * hour
            claims.append(claim_row(node=node, tier=tier, hour_start=start, credited_wh=wh, serial=len(claims)))
    return EpochInputs(
        evidence=accepted(
            epoch=draw(st.integers(0, 9)),
            window_start=WINDOW_START,
            hours=hours,
            nodes=nodes,
            uptime=uptime,
            energy=energy,
            claims=claims,
            grid=draw(_grid(hours)),
        ),
        policy=policy,
        tables=tables,
        opening=draw(openings()),
    )


def openings() -> SearchStrategy[Opening]:
    """Nothing, something odd, or a lot from the epoch before."""
    wei = st.sampled_from([0, 0, 1, 10**21 + 7, 2**97])
    micrograms = st.sampled_from([0, 0, 1, 10**9 + 1, 10**16])
    return st.builds(
        lambda rollover, carried: Opening(rollover_in_wei=Wei(rollover), carried_in_ug=MicrogramsCo2e(carried)),
        wei,
        micrograms,
    )


@st.composite
def policies(draw: DrawFn) -> Policy:
    """Policies inside the bounds; the default's values are drawn often."""
    u_min = draw(st.sampled_from([900_000, 500_000, 980_000]) | st.integers(500_000, 980_000))
    quorum_q, quorum_k = draw(st.sampled_from([(3, 5), (3, 5), (2, 3), (3, 3), (3, 4), (5, 5)]))
    return policy_of(
        {
            "epoch_budget_wei": draw(st.sampled_from([10**21, 0, 1, 7, 10**6 + 3, 2_874_743 * 10**18, 2**96 - 1])),
            "reserve_bps": draw(st.sampled_from([1000, 0, 3000, 333])),
            "carbon_cap_bps": draw(st.sampled_from([500, 0, 2000, 1])),
            "carbon_price_wei_per_tonne": draw(st.sampled_from([800 * 10**18, 10**18, 10**23, 10**20 + 7])),
            "u_min_ppm": u_min,
            "u_full_ppm": draw(st.sampled_from([u_min + 10_000, 1_000_000]) | st.integers(u_min + 10_000, 1_000_000)),
            "k_eff_bps": draw(st.sampled_from([5000, 0, 10_000, 4999])),
            "s_clamp_ppm": draw(st.sampled_from([400_000, 0, 500_000, 100_001])),
            "pue_ref_e4": draw(st.sampled_from([15_400, 10_500, 20_000])),
            "g_match_bps": draw(st.sampled_from([2000, 0, 5000, 1999])),
            "t2_quality_bps": draw(st.sampled_from([2500, 0, 5000, 3333])),
            "g_grid_bps": draw(st.sampled_from([500, 0, 1500, 499])),
            "ref_ef_mg_per_kwh": draw(st.sampled_from([475_000, 100_000, 1_000_000])),
            "max_mult_ppm": draw(st.sampled_from([1_500_000, 1_000_000, 2_000_000, 1_100_001])),
            "quorum_q": quorum_q,
            "quorum_k": quorum_k,
        }
    )


@st.composite
def tables_of_zones(draw: DrawFn) -> Tables:
    """Three models, one without reference power; zones with and without a yearly factor. Zone Z-D is in no table."""
    return Tables(
        rules_version="v1",
        models={
            "big": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725_000, ref_idle_mw=235_000),
            "small": ModelFigures(tdp_w=72, capacity_milli=122, ref_active_mw=254_001, ref_idle_mw=140_801),
            "bare": ModelFigures(
                tdp_w=draw(st.sampled_from([1, 450])), capacity_milli=7, ref_active_mw=0, ref_idle_mw=0
            ),
        },
        zones={
            "Z-A": ZoneFigures(market="M", yearly_ef_mg_per_kwh=draw(st.sampled_from([30_001, 0, 2_000_000]))),
            "Z-B": ZoneFigures(market="M", yearly_ef_mg_per_kwh=None),
            "Z-C": ZoneFigures(market="N", yearly_ef_mg_per_kwh=400_003),
        },
    )


@st.composite
def _nodes(draw: DrawFn) -> Row:
    gpu_count = draw(st.sampled_from([8, 1, 3, 72]))
    return {
        "node_id": node_id(draw(st.sampled_from("ABCDEFG"))),
        "operator": address(draw(st.sampled_from(["alice", "bob"]))),
        "model": draw(st.sampled_from(["big", "big", "small", "bare"])),
        "zone": draw(st.sampled_from(["Z-A", "Z-A", "Z-B", "Z-C", "Z-D"])),
        "country": draw(st.sampled_from(["NO", "ES"])),
        "gpu_count": gpu_count,
        "nameplate_w": gpu_count * draw(st.sampled_from([1275, 3000, 1275, 101, 0])),
    }


@st.composite
def _windows(draw: DrawFn, hours: int) -> list[tuple[int, int]]:
    """First and last + 1 hour of one verifier's records: none, all, a part, adjoining or overlapping ones."""
    cut = draw(st.integers(0, hours - 1))
    end = draw(st.integers(cut + 1, hours))
    shapes = [[(0, hours)], [(0, hours)], [(0, hours)], [(cut, end)], [], [(0, end), (cut, hours)]]
    if cut:
        shapes.append([(0, cut), (cut, hours)])
    return sorted(set(draw(st.sampled_from(shapes))))


def _hour_votes() -> SearchStrategy[tuple[int, int]]:
    """Up and seen mask: all up, all down, unseen, at the 6 unknown minutes, or anything."""
    unknown_six, unknown_seven = FULL_HOUR >> 6, FULL_HOUR >> 7
    corners = [
        (FULL_HOUR, FULL_HOUR),
        (0, FULL_HOUR),
        (0, 0),
        (unknown_six, unknown_six),
        (unknown_seven, unknown_seven),
        (FULL_HOUR >> 1, FULL_HOUR),
        (FULL_HOUR >> 5, FULL_HOUR),
    ]
    anything = st.tuples(st.integers(0, FULL_HOUR), st.integers(0, FULL_HOUR)).map(
        lambda both: (both[0] & both[1], both[1])
    )
    return st.sampled_from([corners[0], corners[0], *corners]) | anything


def _good_votes() -> SearchStrategy[tuple[int, int]]:
    """An hour seen whole and up but for a few minutes at its start."""
    return st.sampled_from([0, 0, 0, 1, 3, 5, 12]).map(lambda down: (FULL_HOUR >> down << down, FULL_HOUR))


@st.composite
def _uptime(draw: DrawFn, node: Row, policy: Policy, hours: int) -> list[Row]:
    """Votes of up to k checkers who mostly agree; overlapping records of one checker are identical.

    Three of four nodes are sound: all checkers look, and no more than k − q of them tell something else.
    """
    sound = draw(st.sampled_from([True, True, True, False]))
    kind = _good_votes() if sound else _hour_votes()
    truth = draw(st.lists(kind, min_size=hours, max_size=hours))
    present = (
        [policy.quorum_k] if sound else [policy.quorum_k, policy.quorum_k, policy.quorum_q, policy.quorum_q - 1, 0]
    )
    strangers = policy.quorum_k - policy.quorum_q if sound else policy.quorum_k
    rows: list[Row] = []
    for checker in range(draw(st.sampled_from(present))):
        strange = checker < strangers and draw(st.sampled_from([False, False, True]))
        own = [draw(_hour_votes()) for _ in truth] if strange else truth
        windows = draw(_windows(hours)) if strange else [(0, hours)]
        overlap = len(windows) == 2 and windows[1][0] < windows[0][1]
        verdict = draw(st.sampled_from([1, 0, 2])) if strange else 1
        for first, end in windows:
            rows.append(
                uptime_row(
                    node=node["node_id"],
                    verifier=address(f"checker-{checker}"),
                    start=WINDOW_START + 3600 * first,
                    hours=own[first:end],
                    capacity=verdict if overlap or not strange else draw(st.sampled_from([verdict, 0, 1, 2])),
                )
            )
    return rows


@st.composite
def _energy(draw: DrawFn, node: Row, model: ModelFigures, hours: int) -> list[Row]:
    """Readings of up to three meters: sound ones, and ones in and beside every bound."""
    rows: list[Row] = []
    for meter in range(draw(st.sampled_from([1, 1, 1, 2, 3, 0]))):
        sound = draw(st.sampled_from([True, True, False]))
        reading = draw(_sound_reading(node, model, hours) if sound else _odd_reading(node, model, hours))
        for first, end in [(0, hours)] if sound else draw(_windows(hours)):
            part = {name: value[first:end] if isinstance(value, list) else value for name, value in reading.items()}
            start = WINDOW_START + 3600 * first
            rows.append(energy_row(node=node, verifier=address(f"meter-{meter}"), start=start, reading=part))
    return rows


@st.composite
def _sound_reading(draw: DrawFn, node: Row, model: ModelFigures, hours: int) -> Row:
    """Inside the bounds, as far as the nameplate lets it, with work from none to full."""
    gpus = node["gpu_count"]
    share = draw(st.integers(0, 100))
    power_mw = model.ref_idle_mw + (model.ref_active_mw - model.ref_idle_mw) * share // 100
    saved = draw(st.sampled_from([70, 85, 100, 140]))
    usual = min(gpus * power_mw * saved // 100_000, 105 * node["nameplate_w"] // 100)
    limit = min(gpus * model.tdp_w * 3_780_000, usual * 3_600_000)
    return {
        "pue_e4": draw(st.sampled_from([10_900, 12_500, 15_400, 10_000])),
        "meter_class": draw(st.sampled_from([2, 3, 1, 0])),
        "active_gpu_sec": [gpus * 36 * share] * hours,
        "gpu_millijoule": [min(limit, gpus * model.tdp_w * 36_000 * max(share, 10))] * hours,
        "it_wh": [
            usual + wobble for wobble in draw(st.lists(st.sampled_from([0, 0, -1]), min_size=hours, max_size=hours))
        ]
        if usual
        else [0] * hours,
        "water_ml": [draw(st.integers(0, 9))] * hours,
    }


@st.composite
def _odd_reading(draw: DrawFn, node: Row, model: ModelFigures, hours: int) -> Row:
    gpus, nameplate = node["gpu_count"], node["nameplate_w"]
    usual = min(-(-gpus * model.ref_active_mw // 1250), nameplate)
    idle_floor, ceiling = -(-gpus * model.ref_idle_mw // 2000), 105 * nameplate // 100
    corners = st.sampled_from([usual, usual, usual, idle_floor, max(0, idle_floor - 1), ceiling, ceiling + 1, 0])
    it = corners | st.integers(min(usual * 85 // 100, ceiling), ceiling)
    active = st.sampled_from([gpus * 2520, gpus * 3600, gpus * 3600 + 1, 0]) | st.integers(0, gpus * 3600)
    limit = gpus * model.tdp_w * 3_780_000
    joule = st.sampled_from([limit // 2, limit // 3, limit, limit + 1, 0, 2**64 - 1]) | st.integers(0, limit)
    it_wh = [draw(it) for _ in range(hours)]
    beyond = draw(st.sampled_from([0, 0, 1]))
    return {
        "pue_e4": draw(st.sampled_from([10_900, 10_900, 10_000, 12_500, 15_401, 30_000, 9_999, 30_001])),
        "meter_class": draw(st.integers(0, 3)),
        "zone": draw(st.sampled_from([node["zone"], node["zone"], node["zone"], "Z-A"])),
        "gpu_count": draw(st.sampled_from([gpus, gpus, gpus, gpus + 1])),
        "active_gpu_sec": [draw(active) for _ in range(hours)],
        "gpu_millijoule": [min(draw(joule), wh * 3_600_000 + beyond) for wh in it_wh],
        "it_wh": it_wh,
        "water_ml": [wh % 7 for wh in it_wh],
    }


def _claims(node: Row, hours: int) -> SearchStrategy[list[tuple[int, int, int]]]:
    """Tier, hour and credited Wh: below, about and far above what the node draws."""
    wh = st.sampled_from([1, node["gpu_count"] * 500, node["gpu_count"] * 800, 10**12]) | st.integers(1, 20_000)
    return st.lists(st.tuples(st.sampled_from([1, 1, 2]), st.integers(0, hours - 1), wh), max_size=2 * hours)


@st.composite
def _grid(draw: DrawFn, hours: int) -> list[Row]:
    """Up to two signers a zone, some hours without any."""
    factor = st.sampled_from([26_170, 599_000, 0, 475_000, 2_000_000]) | st.integers(0, 2_000_000)
    rows: list[Row] = []
    for zone in ("Z-A", "Z-B", "Z-C", "Z-D"):
        for signer in range(draw(st.sampled_from([1, 1, 2, 0]))):
            location, residual = ([draw(factor) for _ in range(hours)] for _ in range(2))
            flags = [draw(st.sampled_from([0, 0, 1, 2, 3])) for _ in range(hours)]
            for first, end in draw(_windows(hours)):
                rows.append(
                    grid_row(
                        zone=zone,
                        verifier=address(f"grid-{signer}"),
                        start=WINDOW_START + 3600 * first,
                        location=location[first:end],
                        residual=residual[first:end],
                        flags=flags[first:end],
                    )
                )
    return rows
