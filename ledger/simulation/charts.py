"""Drawings of a comparison as SVG: few shapes, integer coordinates, the same bytes every time.

Lengths are rounded for the eye; the exact wei stand beside them as text.
"""

from collections.abc import Mapping, Sequence
from html import escape

from ledger.model.units import WEI_PER_ATH
from ledger.simulation.comparison import Change, Comparison, Side
from ledger.tree.keccak import checksum_address

_WIDTH, _LABEL, _HALF, _ROW, _TOP = 960, 200, 260, 22, 64
_AXIS = _LABEL + _HALF
_LONGEST = 12
_GAIN, _LOSS, _INK, _PALE = "#2a7f62", "#b3443c", "#222222", "#dddddd"
_PARTS = (("operators", "#3b6ea8"), ("carbon", "#2a7f62"), ("reserve", "#c08a2d"), ("rollover", "#8a8a8a"))


def charts(comparison: Comparison) -> Mapping[str, str]:
    """Every drawing by its file name."""
    return {
        "budget.svg": budget_split(comparison.before, comparison.after),
        "operators.svg": diverging_bars("Payout by operator, proposed against sealed", comparison.operators),
        "models.svg": diverging_bars("Payout by node model, proposed against sealed", comparison.models),
        "zones.svg": diverging_bars("Payout by zone, proposed against sealed", comparison.zones),
        "countries.svg": diverging_bars("Payout by country, proposed against sealed", comparison.countries),
    }


def diverging_bars(title: str, changes: Sequence[Change]) -> str:
    """One bar a row, gains to the right, losses to the left; of many, the greatest twelve of either."""
    shown, left_out = _ends(changes)
    longest = max((abs(change.delta_wei) for change in shown), default=0)
    note = f"{len(shown)} of {len(changes)} shown" if left_out else f"all {len(changes)} shown"
    height = _TOP + _ROW * len(shown) + 16
    lines = [*_opening(title, note, height)]
    lines.append(f'<line x1="{_AXIS}" y1="{_TOP - 8}" x2="{_AXIS}" y2="{height - 12}" stroke="{_PALE}"/>')
    for place, change in enumerate(shown):
        y = _TOP + _ROW * place
        length = abs(change.delta_wei) * _HALF // longest if longest else 0
        start = _AXIS if change.delta_wei >= 0 else _AXIS - length
        colour = _GAIN if change.delta_wei >= 0 else _LOSS
        lines.append(_text(_LABEL - 10, y + 13, label(change), anchor="end"))
        lines.append(f'<rect x="{start}" y="{y + 2}" width="{length}" height="{_ROW - 8}" fill="{colour}"/>')
        lines.append(_text(_AXIS + _HALF + 10, y + 13, signed_ath(change.delta_wei)))
    return "\n".join([*lines, "</svg>", ""])


def budget_split(before: Side, after: Side) -> str:
    """What became of the budgets and the rollover, sealed above, proposed below."""
    lines = [*_opening("Where the budget goes", "whole ATH, floored", _TOP + 4 * _ROW * 2 + 16)]
    width = _WIDTH - 2 * 24
    for row, (name, side) in enumerate((("sealed", before), ("proposed", after))):
        y = _TOP + row * _ROW * 4
        amounts = (side.payout_wei, side.carbon_wei, side.reserve_wei, side.rollover_out_wei)
        whole, drawn = sum(amounts), 0
        lines.append(_text(24, y + 8, name))
        for place, ((part, colour), amount) in enumerate(zip(_PARTS, amounts, strict=True)):
            start = 24 + (drawn * width // whole if whole else 0)
            drawn += amount
            end = 24 + (drawn * width // whole if whole else 0)
            lines.append(f'<rect x="{start}" y="{y + 16}" width="{end - start}" height="{_ROW}" fill="{colour}"/>')
            lines.append(_text(24 + place * width // 4, y + 56, f"{part} {amount // WEI_PER_ATH:,} ATH", fill=colour))
    return "\n".join([*lines, "</svg>", ""])


def label(change: Change) -> str:
    """Who a change is about, short: an operator by the ends of its address."""
    if isinstance(change.key, bytes):
        text = checksum_address(change.key) if len(change.key) == 20 else "0x" + change.key.hex()  # type: ignore[arg-type]
        return f"{text[:8]}…{text[-6:]}"
    return change.key


def signed_ath(amount_wei: int) -> str:
    """A difference in ATH with four decimals, the rest cut off: for the eye, beside the wei."""
    whole, part = divmod(abs(amount_wei), WEI_PER_ATH)
    sign = "+" if amount_wei > 0 else "−" if amount_wei < 0 else ""
    return f"{sign}{whole:,}.{part * 10**4 // WEI_PER_ATH:04d} ATH"


def _ends(changes: Sequence[Change]) -> tuple[list[Change], bool]:
    """Sorted by gain: the first and the last of them."""
    if len(changes) <= 2 * _LONGEST:
        return list(changes), False
    return [*changes[:_LONGEST], *changes[-_LONGEST:]], True


def _opening(title: str, note: str, height: int) -> Sequence[str]:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(24, 28, title, size=17),
        _text(_WIDTH - 24, 28, note, anchor="end"),
    )


def _text(x: int, y: int, text: str, *, anchor: str = "start", size: int = 13, fill: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{escape(text)}</text>'
