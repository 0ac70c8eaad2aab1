"""What must hold for every figure, by what it contains: for the tests of all systems."""

import itertools
import string

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pruning.figures import outside
from pruning.figures.sizes import PAGE, SMALLEST

BY_VALUE = ("_", "|")  # markers of whiskers, which go with their points
SLACK = 2.5  # pixels at 100 dpi


def check(drawn):
    """All of the checks below, of every page.

    Args:
        drawn: what a figure function gave.
    """
    letters = (a + b for a in ("", *string.ascii_lowercase) for b in string.ascii_lowercase)
    # Parts of a table that goes on over the page have numbers and no letters.
    count = sum(panel.axison for panels in drawn.pages.panels for panel in panels)
    for number, (page, panels) in enumerate(
        zip(drawn.pages.figures, drawn.pages.panels, strict=True), start=1
    ):
        assert panels, "a page without panels"
        page.canvas.draw()
        check_page(page)
        check_legend(page, panels)
        check_explained(page, panels, number, len(drawn.pages.figures))
        check_places(page, panels)
        for panel in panels:
            check_frame(panel)
            check_ticks(panel)
            check_table(panel)
            if count > 1 and panel.axison:
                title = "".join(panel.get_title(loc=place) for place in ("left", "center"))
                assert title.strip().startswith(f"({next(letters)})"), title


def check_page(page):
    """It fits a page of a paper, and its type can be read."""
    width, height = page.get_size_inches()
    assert width <= PAGE[0] + 1e-6
    assert height <= PAGE[1] + 1e-6
    for text in shown_texts(page):
        assert text.get_fontsize() >= SMALLEST - 1e-6, text.get_text()


def shown_texts(page):
    """What is written on a page, in tables too."""
    cells = [
        cell.get_text()
        for axes in page.axes
        for table in axes.tables
        for cell in table.get_celld().values()
    ]
    found = [*cells, *(text for text in page.findobj(Text) if text.get_visible())]
    return [text for text in found if text.get_text().strip()]


def check_legend(page, panels):
    """It has what is drawn, all of it and once; whiskers where there are some."""
    told = [text.get_text() for legend in page.legends for text in legend.get_texts()]
    assert len(told) == len(set(told))
    named = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, []).append(handle)
    marks = [label for label in told if label.partition(":")[0] in outside.GLYPHS]
    assert set(told) - set(marks) == set(named)
    whiskered = [
        [handle for handle in handles if has_bars(handle)][-1]
        for handles in named.values()
        if any(map(has_bars, handles))
    ]
    drawn = [lines for legend in page.legends for lines in legend.findobj(LineCollection)]
    assert len(drawn) == sum(bars.has_xerr + bars.has_yerr for bars in whiskered)
    expected = {side: points for side, points in outside_points(panels).items() if points}
    found = {label.partition(":")[0]: int(label.partition(":")[2].split()[0]) for label in marks}
    assert found == expected


def has_bars(handle):
    """Whether it has whiskers."""
    if not isinstance(handle, ErrorbarContainer):
        return False
    return any(len(lines.get_segments()) for lines in handle.lines[2] or ())


def check_explained(page, panels, number, pages):
    """The note says what bars and bands are, which part of how many a page is, and axes that
    differ."""
    note = notes(page)
    if any(has_bars(c) for panel in panels for c in panel.containers):
        assert "bars" in note
    if any(isinstance(c, PolyCollection) for panel in panels for c in panel.collections):
        assert "bands" in note
    if pages > 1:
        assert f"Part {number} of {pages}" in note
    for panel in panels:
        for axis in (panel.xaxis, panel.yaxis):
            if axis.get_scale() == "log" and axis.label.get_text():
                assert "log scale" in axis.label.get_text()
    rows = {}
    for panel in panels:
        rows.setdefault(panel.get_subplotspec().rowspan.start, []).append(panel)
    for row in rows.values():
        compared = [p for p in row if p.get_ylabel() in ("", row[0].get_ylabel())]
        if len({tuple(np.round(p.get_ylim(), 9)) for p in compared}) > 1:
            assert "Vertical axes differ" in note


def notes(page):
    """What stands below the legend."""
    return " ".join(text.get_text().replace("\n", " ") for text in page.texts)


def check_places(page, panels):
    """Nothing leaves the page, and neither titles, legends nor notes meet anything."""
    whole = page.bbox
    boxes = []
    for panel in panels:
        titles = [panel.title, panel._left_title, panel._right_title]
        texts = [t for t in (*titles, panel.xaxis.label, panel.yaxis.label) if t.get_text().strip()]
        for text in texts:
            assert inside(text.get_window_extent(), whole, SLACK), text.get_text()
        texts += heads(panel)
        boxes += [(t.get_text(), written(t)) for t in texts]
        boxes.append(("frame", panel.get_window_extent()))
    for bar in (axes for axes in page.axes if axes not in panels):  # that explains colours
        assert inside(bar.get_tightbbox(), whole, SLACK)
        boxes.append(("colours", bar.get_tightbbox()))
    boxes += [("legend", legend.get_window_extent()) for legend in page.legends]
    boxes += [("note", text.get_window_extent()) for text in page.texts]
    for name, box in boxes:
        assert inside(box, whole, SLACK), name
    for (name, one), (other, two) in itertools.combinations(boxes, 2):
        assert not meet(one, two), (name, other)


def written(text):
    """Where a text is, without empty lines that it begins with."""
    box, lines = text.get_window_extent(), text.get_text().split("\n")
    shown = len("\n".join(lines).lstrip("\n").split("\n"))
    return Bbox([[box.x0, box.y0], [box.x1, box.y0 + box.height * shown / len(lines)]])


def heads(panel):
    """What stands above a panel besides its title, like the name of its row."""
    top = panel.get_window_extent().y1
    return [text for text in panel.texts if text.get_window_extent().y0 > top]


def check_frame(panel):
    """What is drawn by value is inside, or has a mark beyond the axis: as many as are outside."""
    marked = {}
    for line in marks_of(panel):
        _, side, count = line.get_gid().split("/")
        marked[side] = marked.get(side, 0) + int(count)
        x, y = line.get_transform().transform(line.get_xydata())[0]
        frame = panel.get_window_extent()
        assert not (frame.x0 < x < frame.x1 and frame.y0 < y < frame.y1)
    found = {side: points for side, points in outside_points([panel]).items() if points}
    assert marked == found
    for container in panel.containers:
        if has_bars(container):
            check_whiskers(panel, container)


def check_whiskers(panel, container):
    """There are none of points that are outside."""
    at = {round(float(x), 9) for x in container.lines[0].get_xdata()}
    gone = {
        round(float(x), 9)
        for (x, y), side in zip(
            container.lines[0].get_xydata(), sides(panel, container.lines[0]), strict=True
        )
        if side or not np.isfinite(y)
    }
    drawn = [s for lines in container.lines[2] for s in lines.get_segments() if len(s)]
    ends = {round(float(s[0][0]), 9) for s in drawn}
    if container.has_yerr and len(at) == len(container.lines[0].get_xdata()):
        assert not ends & gone


def check_table(panel):
    """What is written in a table stays within its cells, which lie within the panel."""
    frame = panel.get_window_extent()
    for table in panel.tables:
        for cell in table.get_celld().values():
            assert inside(cell.get_window_extent(), frame, SLACK)
            text = cell.get_text()
            if text.get_text():
                assert inside(text.get_window_extent(), cell.get_window_extent()), text.get_text()


def check_ticks(panel):
    """Labels of an axis do not meet."""
    for axis in (panel.xaxis, panel.yaxis):
        if not axis.get_visible() or not panel.axison:
            continue
        ends = sorted(axis.get_view_interval())
        shown = [
            tick.label1.get_window_extent()
            for tick in axis.get_major_ticks()
            if tick.label1.get_text().strip()
            and tick.label1.get_visible()
            and ends[0] <= tick.get_loc() <= ends[1]
        ]
        for one, two in itertools.pairwise(shown):
            assert not meet(one, two), axis.label.get_text()


def marks_of(panel):
    return [line for line in panel.lines if str(line.get_gid()).startswith(f"{outside.NAME}/")]


def outside_points(panels):
    """How many points are beyond each side of their panels."""
    found = dict.fromkeys(outside.GLYPHS, 0)
    for panel in panels:
        for line in panel.lines:
            if line.get_transform() != panel.transData or line.get_marker() in BY_VALUE:
                continue
            for side in sides(panel, line):
                if side:
                    found[side] += 1
    return found


def sides(panel, line):
    """Of each point of a line the side on which it is outside, or nothing."""
    frame = panel.get_window_extent()
    eps = 1e-3 * min(frame.width, frame.height)
    below, above, left, right = outside.GLYPHS
    told = []
    for point in np.asarray(line.get_xydata(), dtype=float):
        if not np.isfinite(point).all():
            told.append("")
            continue
        x, y = panel.transData.transform(point)
        if y < frame.y0 - eps:
            told.append(below)
        elif y > frame.y1 + eps:
            told.append(above)
        else:
            told.append(left if x < frame.x0 - eps else right if x > frame.x1 + eps else "")
    return told


def inside(box, whole, slack=0.0):
    """Whether a box lies in another."""
    return (
        box.x0 >= whole.x0 - slack
        and box.y0 >= whole.y0 - slack
        and box.x1 <= whole.x1 + slack
        and box.y1 <= whole.y1 + slack
    )


def meet(one, two):
    """Whether two boxes have more than a rim in common."""
    width = min(one.x1, two.x1) - max(one.x0, two.x0)
    height = min(one.y1, two.y1) - max(one.y0, two.y0)
    return width > 1 and height > 1
