"""Which hours count and what was drawn in them (rewards spec R2.10 to R2.15)."""

from dataclasses import dataclass

from ledger.audit.dossier import Dossier, Reading
from ledger.audit.quorum import NodeQuorum
from ledger.model.policy import ModelFigures, Policy
from ledger.model.units import MINUTES_PER_HOUR, SECONDS_PER_HOUR, Address, ceil_div

MILLIJOULE_PER_WH = 3_600_000
LOWEST_PUE_E4, HIGHEST_PUE_E4 = 10_000, 30_000
UNMETERED, CATEGORY_1 = 0, 1
CATEGORY_1_PUE_E4 = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedHour:
    """One hour that enters the formula's sums, with the values used there."""

    hour: int
    it_wh: int
    pue_e4: int
    active_gpu_sec: int
    water_ml: int
    is_charged: bool
    is_disputed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnergy:
    """A node's hours that count, in order, and how many hours had a reading refused."""

    hours: tuple[CountedHour, ...]
    refused_readings: tuple[tuple[int, Address], ...]
    """Hour and signer of every reading outside the bounds."""

    @property
    def implausible_hours(self) -> int:
        return len({hour for hour, _ in self.refused_readings})

    @property
    def charged(self) -> int:
        return sum(hour.is_charged for hour in self.hours)

    @property
    def metered(self) -> int:
        return len(self.hours) - self.charged

    @property
    def disputed(self) -> int:
        return sum(hour.is_disputed for hour in self.hours)


def meter(dossier: Dossier, quorum: NodeQuorum, figures: ModelFigures, policy: Policy) -> NodeEnergy:
    """The node's hours that count, from its readings and from what its checkers settled."""
    counted = []
    refused: list[tuple[int, Address]] = []
    for hour, verdict in enumerate(quorum.hours):
        sent = dossier.readings.get(hour, [])
        is_up_throughout = verdict.up_minutes == MINUTES_PER_HOUR
        accepted = [reading for reading in sent if is_plausible(reading, dossier, figures, is_up_throughout)]
        refused += [(hour, reading.verifier) for reading in sent if reading not in accepted]
        if accepted:
            counted.append(_worst_of(hour, accepted, figures, policy))
        elif not verdict.is_idle_for_energy:
            counted.append(_charge(hour, dossier, figures, policy))
    return NodeEnergy(hours=tuple(counted), refused_readings=tuple(refused))


def is_plausible(reading: Reading, dossier: Dossier, figures: ModelFigures, is_up_throughout: bool) -> bool:
    """Whether a reading is within what the registered hardware can do (R2.10)."""
    gpus = dossier.gpu_count
    if reading.zone != dossier.zone or reading.gpu_count != gpus:
        return False
    if not LOWEST_PUE_E4 <= reading.pue_e4 <= HIGHEST_PUE_E4:
        return False
    if reading.active_gpu_sec > gpus * SECONDS_PER_HOUR:
        return False
    if 100 * reading.gpu_millijoule > 105 * gpus * figures.tdp_w * MILLIJOULE_PER_WH:
        return False
    if reading.gpu_millijoule > reading.it_wh * MILLIJOULE_PER_WH:
        return False
    if 100 * reading.it_wh > 105 * dossier.nameplate_w:
        return False
    return not is_up_throughout or 2000 * reading.it_wh >= gpus * figures.ref_idle_mw


def pue_used(reading: Reading, policy: Policy) -> int:
    """What a meter's PUE is taken for, in 10⁻⁴ (R2.11): the less it measured, the less it may claim."""
    if reading.meter_class == UNMETERED:
        return max(reading.pue_e4, policy.pue_ref_e4)
    if reading.meter_class == CATEGORY_1:
        return max(reading.pue_e4, CATEGORY_1_PUE_E4)
    return reading.pue_e4


def _worst_of(hour: int, accepted: list[Reading], figures: ModelFigures, policy: Policy) -> CountedHour:
    """The values used of one or several meters: field by field the worst for the claimant (R2.12, R2.13)."""
    highest = max(reading.it_wh for reading in accepted)
    lowest = min(reading.it_wh for reading in accepted)
    millijoule = min(reading.gpu_millijoule for reading in accepted)
    active = min(reading.active_gpu_sec for reading in accepted)
    return CountedHour(
        hour=hour,
        it_wh=highest,
        pue_e4=max(pue_used(reading, policy) for reading in accepted),
        active_gpu_sec=min(active, millijoule // (500 * figures.tdp_w)),
        water_ml=max(reading.water_ml for reading in accepted),
        is_charged=False,
        is_disputed=10 * (highest - lowest) > highest,
    )


def _charge(hour: int, dossier: Dossier, figures: ModelFigures, policy: Policy) -> CountedHour:
    """An hour nobody metered, charged so that silence does not look green (R2.14)."""
    return CountedHour(
        hour=hour,
        it_wh=max(dossier.nameplate_w, ceil_div(dossier.gpu_count * figures.ref_active_mw, 1000)),
        pue_e4=policy.pue_ref_e4,
        active_gpu_sec=0,
        water_ml=0,
        is_charged=True,
        is_disputed=False,
    )
