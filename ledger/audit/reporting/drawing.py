"""Bars as inline SVG: integer coordinates, the same bytes every time; lengths are rounded for the eye."""

from html import escape
from typing import Final

from ledger.audit.reporting.document import Drawing

_WIDTH: Final = 860
_LABEL: Final = 190
_LONGEST: Final = 430
_ROW: Final = 22
_TOP: Final = 58
_WHOLE, _FILLED, _INK, _PALE = "#9db8d2", "#2a7f62", "#1d2733", "#5b6673"


def svg(drawing: Drawing) -> str:
    """One drawing."""
    height = _TOP + _ROW * len(drawing.bars) + 8
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
            f' aria-label="{escape(drawing.title)}">'
        ),
        f"<title>{escape(drawing.title)}</title>",
        _text(0, 16, drawing.title, weight="600"),
    ]
    if any(drawing.legend):
        lines += [
            f'<rect x="0" y="28" width="12" height="12" fill="{_WHOLE}"/>',
            _text(18, 38, drawing.legend[0], fill=_PALE),
            f'<rect x="190" y="28" width="12" height="12" fill="{_FILLED}"/>',
            _text(208, 38, drawing.legend[1], fill=_PALE),
        ]
    longest = max((bar.value for bar in drawing.bars), default=0)
    for place, bar in enumerate(drawing.bars):
        y = _TOP + _ROW * place
        whole = _length(bar.value, longest)
        lines.append(_text(_LABEL - 10, y + 12, bar.label, anchor="end"))
        lines.append(f'<rect x="{_LABEL}" y="{y}" width="{whole}" height="15" fill="{_WHOLE}"/>')
        if bar.filled:
            filled = _length(min(bar.filled, bar.value), longest)
            lines.append(f'<rect x="{_LABEL}" y="{y}" width="{filled}" height="15" fill="{_FILLED}"/>')
        lines.append(_text(_LABEL + whole + 8, y + 12, bar.text, fill=_PALE))
    return "\n".join([*lines, "</svg>"])


def _length(value: int, longest: int) -> int:
    return max(1, value * _LONGEST // longest) if longest and value else 0


def _text(x: int, y: int, text: str, *, anchor: str = "start", fill: str = _INK, weight: str = "400") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'
