"""Marks of what lies outside of a panel: nothing leaves a frame unseen.

A mark stands beyond the axis, where no value could be read off, and has a shape that no method
has: an arrow through the edge, in the colour of its curve.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from pruning.figures.sizes import SMALLEST, axes_size

GLYPHS = {
    "Below the axis": r"$\downarrow$",
    "Above the axis": r"$\uparrow$",
    "Left of the axis": r"$\leftarrow$",
    "Right of the axis": r"$\rightarrow$",
}
UPRIGHT = tuple(GLYPHS)[:2]  # sides along which x says where a mark stands
NAME = "outside"  # of marks, in matplotlib's group ids
APART = 4.2  # points between marks at the same place
BESIDE = 4  # marks at the same place; where there are more, one with their number stands for all
AWAY = 4.5  # points from the edge
_EPS = 1e-3  # parts of the axis
_CAPS = ("_", "|", 0, 1, 2, 3)  # markers of whiskers' ends


@dataclass(frozen=True)
class _Mark:
    side: str
    place: float  # along the edge, in parts of the axis
    color: Any
    points: int


def mark(panel: Axes) -> None:
    """Mark everything drawn by value that the panel's axes leave out, and hide its whiskers.

    A line without a marker at each point has one mark for each stretch that is outside.
    """
    panel.get_xlim(), panel.get_ylim()  # ends that nothing set are only found when asked for
    marks = [found for line in _curves(panel) for found in _outside(panel, line)]
    for bars in panel.containers:
        if isinstance(bars, ErrorbarContainer):
            _hide_whiskers(panel, bars)
    for side in GLYPHS:
        here = sorted((m for m in marks if m.side == side), key=lambda m: m.place)
        length = 72 * axes_size(panel)[0 if side in UPRIGHT else 1]
        for group in _groups(here, length):
            _draw(panel, group)
    if any(m.side == "Below the axis" for m in marks):
        panel.tick_params(axis="x", pad=2 * AWAY)
    if any(m.side == "Left of the axis" for m in marks):
        panel.tick_params(axis="y", pad=2 * AWAY)


def counted(axes: Iterable[Axes]) -> Mapping[str, tuple[Line2D, int]]:
    """The sides on which something is outside of some panel: a handle, and how many points."""
    found: dict[str, int] = {}
    for line in (line for panel in axes for line in panel.get_lines()):
        kind, _, rest = (line.get_gid() or "").partition("/")
        if kind == NAME:
            side, _, count = rest.partition("/")
            found[side] = found.get(side, 0) + int(count)
    return {
        side: (Line2D([], [], **_look(side, "0.3")), found[side])
        for side in GLYPHS
        if side in found
    }


def _curves(panel: Axes) -> list[Line2D]:
    """What was drawn by value: no reference line, no whisker, no mark."""
    return [
        line
        for line in panel.get_lines()
        if line.get_transform() == panel.transData
        and line.get_visible()
        and line.get_marker() not in _CAPS
    ]


def _outside(panel: Axes, line: Line2D) -> list[_Mark]:
    places = _places(panel, line.get_xydata())
    sides = [_side(*place) for place in places]
    if line.get_marker() not in ("None", None, "", " ") and line.get_markevery() is None:
        runs = [(i, i + 1) for i, side in enumerate(sides) if side]
    else:
        runs = _runs(sides)
    marks = []
    for start, stop in runs:
        middle = places[(start + stop - 1) // 2]
        along = middle[0] if sides[start] in UPRIGHT else middle[1]
        place = float(np.clip(along, 0, 1))
        marks.append(_Mark(sides[start], place, line.get_color(), stop - start))
    return marks


def _places(panel: Axes, points: Any) -> np.ndarray:
    """Points in parts of the axes, without those that are not there."""
    points = np.asarray(points, dtype=float)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return points
    return panel.transAxes.inverted().transform(panel.transData.transform(points))


def _side(x: float, y: float) -> str:
    """Where a point is outside; empty for one that is inside."""
    below, above, left, right = GLYPHS
    if y < -_EPS or y > 1 + _EPS:
        return below if y < 0.5 else above
    if x < -_EPS or x > 1 + _EPS:
        return left if x < 0.5 else right
    return ""


def _runs(sides: Sequence[str]) -> list[tuple[int, int]]:
    """Stretches of points that are outside at the same side."""
    runs, start = [], 0
    for i in range(1, len(sides) + 1):
        if i == len(sides) or sides[i] != sides[start]:
            if sides[start]:
                runs.append((start, i))
            start = i
    return runs if sides else []


def _groups(marks: Sequence[_Mark], length: float) -> list[list[_Mark]]:
    """Marks whose glyphs would touch, beside each other or as a number; ``length`` in points."""
    groups: list[list[_Mark]] = []
    for found in marks:
        groups.append([found])
        while len(groups) > 1 and _touch(groups[-2], groups[-1], length):
            last = groups.pop()
            groups[-1] += last
    return groups


def _touch(one: Sequence[_Mark], other: Sequence[_Mark], length: float) -> bool:
    widths = [APART * min(len(group), BESIDE) for group in (one, other)]
    return length * (_middle(other) - _middle(one)) < sum(widths) / 2 - 0.1


def _middle(group: Sequence[_Mark]) -> float:
    return sum(found.place for found in group) / len(group)


def _draw(panel: Axes, group: Sequence[_Mark]) -> None:
    side = group[0].side
    place = _middle(group)
    if len(group) > BESIDE:
        points = sum(m.points for m in group)
        _glyph(panel, _Mark(side, place, "0.3", points), -APART)
        where = _at(side, place), _shift(side, -APART / 3 if side in UPRIGHT else APART)
        look = {"fontsize": SMALLEST, "color": "0.3", "ha": "left", "va": "center"}
        number = panel.annotate(
            str(points), *where, "axes fraction", "offset points", annotation_clip=False, **look
        )
        number.set_in_layout(False)
        return
    for number, found in enumerate(group):
        shift = APART * (number - (len(group) - 1) / 2)
        _glyph(panel, _Mark(side, place, found.color, found.points), shift)


def _glyph(panel: Axes, found: _Mark, shift: float) -> None:
    offset = [length / 72 for length in _shift(found.side, shift)]
    moved = ScaledTranslation(*offset, panel.get_figure(root=True).dpi_scale_trans)
    (line,) = panel.plot(
        *([value] for value in _at(found.side, found.place)),
        transform=blended_transform_factory(panel.transAxes, panel.transAxes) + moved,
        clip_on=False,
        zorder=5,
        **_look(found.side, found.color),
    )
    line.set_gid(f"{NAME}/{found.side}/{found.points}")


def _at(side: str, place: float) -> tuple[float, float]:
    end = 1.0 if side in ("Above the axis", "Right of the axis") else 0.0
    return (place, end) if side in UPRIGHT else (end, place)


def _shift(side: str, along: float) -> tuple[float, float]:
    """Points from the edge, outwards, and along it."""
    away = AWAY if side in ("Above the axis", "Right of the axis") else -AWAY
    return (along, away) if side in UPRIGHT else (away, along)


def _look(side: str, color: Any) -> dict[str, Any]:
    return {
        "marker": GLYPHS[side],
        "markersize": 6 if side in UPRIGHT else 6.5,
        "linestyle": "none",
        "color": color,
        "markeredgewidth": 0.3,
        "label": "_outside",
    }


def _hide_whiskers(panel: Axes, bars: ErrorbarContainer) -> None:
    """A whisker without its point would look like one of another curve."""
    line, caps, whiskers = bars.lines
    if line is None or not whiskers:
        return
    points = np.asarray(line.get_xydata(), dtype=float)
    inside = np.zeros(len(points), dtype=bool)
    finite = np.isfinite(points).all(axis=1)
    inside[finite] = [not _side(*place) for place in _places(panel, points)]
    if inside[finite].all():
        return
    for lines in whiskers:
        segments = lines.get_segments()
        if len(segments) == len(points):
            lines.set_segments([s for s, keep in zip(segments, inside, strict=True) if keep])
    if not inside.any():
        bars.has_xerr = bars.has_yerr = False  # none in the legend either
    for cap in caps:
        ends = np.asarray(cap.get_xydata())
        if len(ends) == len(points):
            cap.set_data(*ends[inside].T)
