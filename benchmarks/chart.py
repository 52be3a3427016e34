"""Two charts as SVG, by hand: they are small, and a plotting library is not."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 700, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 210, 40, 45
_LINE = 14
_COLOURS = ("#1f6feb", "#d1242f", "#8250df", "#57606a")
_STYLE = "text{font:12px sans-serif;fill:#57606a}.title{font-size:14px;font-weight:bold}path{fill:none;stroke-width:2}"


def throughput(speeds: Mapping[str, Mapping[str, float]]) -> str:
    """Draw users a second against users, a line for each contender; both axes are logarithmic."""
    sizes = [int(size) for size in next(iter(speeds.values()))]
    values = [value for of_sizes in speeds.values() for value in of_sizes.values()]
    across = _Scale(min(sizes), max(sizes), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(min(values) / 1.5, max(values) * 1.5, _HEIGHT - _BOTTOM, _TOP)
    parts = [_text(_LEFT, 22, "Users a second, by how many there are ([203] everything)", "title")]
    parts += [_text(across(size), _HEIGHT - 20, f"{size:,} users", anchor="middle") for size in sizes]
    ends: list[tuple[float, str]] = []
    for colour, (name, of_sizes) in zip(_COLOURS, speeds.items(), strict=False):
        points = [(across(int(size)), up(value)) for size, value in of_sizes.items()]
        parts.append(f'<path stroke="{colour}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{value:,.0f}/s</title></circle>'
            for (x, y), value in zip(points, of_sizes.values(), strict=True)
        ]
        ends.append((points[-1][1] + 4, f"{name} {list(of_sizes.values())[-1]:,.0f}/s"))
    below = -math.inf
    for y, label in sorted(ends):
        below = max(y, below + _LINE)
        parts.append(_text(_WIDTH - _RIGHT + 8, below, label))
    return _svg(parts)


def latency(shapes: Mapping[str, Mapping[str, float]]) -> str:
    """Draw the latency of learners' writes in seconds, bars of p50, p95, p99 and the worst; logarithmic."""
    names = list(next(iter(shapes.values())))
    values = [value for shape in shapes.values() for value in shape.values()]
    up = _Scale(min(values) / 1.5, max(values) * 1.2, _HEIGHT - _BOTTOM, _TOP)
    width = (_WIDTH - _LEFT - _RIGHT) / len(names)
    bar = width / (len(shapes) + 1)
    parts = [_text(_LEFT, 22, "Learners' writes, in milliseconds", "title")]
    for place, name in enumerate(names):
        parts.append(_text(_LEFT + width * (place + 0.5), _HEIGHT - 20, name, anchor="middle"))
        for number, (colour, shape) in enumerate(zip(_COLOURS, shapes.values(), strict=False)):
            x, y = _LEFT + width * place + bar * (number + 0.5), up(shape[name])
            height = _HEIGHT - _BOTTOM - y
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar - 3:.1f}" height="{height:.1f}" fill="{colour}"/>')
            parts.append(_text(x + bar / 2, y - 4, f"{shape[name] * 1000:,.0f}", anchor="middle"))
    parts += _legend([f"while {name}" if name == "idle" else f"during the {name}" for name in shapes])
    return _svg(parts)


def _legend(names: Sequence[str]) -> list[str]:
    x = _WIDTH - _RIGHT + 10
    return [
        f'<rect x="{x}" y="{_TOP + 20 * place}" width="10" height="10" fill="{_COLOURS[place]}"/>'
        + _text(x + 16, _TOP + 20 * place + 10, name)
        for place, name in enumerate(names)
    ]


class _Scale:
    """A logarithmic scale from values to places."""

    def __init__(self, least: float, most: float, begin: float, end: float) -> None:
        self._least = math.log(least)
        self._span = (math.log(most) - self._least) or 1.0
        self._begin, self._length = begin, end - begin

    def __call__(self, value: float) -> float:
        return self._begin + (math.log(value) - self._least) / self._span * self._length


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str]) -> str:
    lines = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">\n'
        f'<style>{_STYLE}</style>\n<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n{lines}\n</svg>\n'
    )
