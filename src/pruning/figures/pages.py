"""Pages of panels: nothing larger than a page of a paper, and nothing on it unexplained."""

import io
import string
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from pruning.errors import PruningError
from pruning.figures import outside
from pruning.figures.sizes import (
    COLUMN_WIDTH,
    COLUMNS,
    LONE_HEIGHT,
    PAGE,
    PANEL_HEIGHT,
    ROOM,
    SMALLEST,
    axes_size,
)
from pruning.files import atomic_path

LEGEND_ROW, NOTE_LINE = 0.15, 0.125  # inches
LONGEST, WIDER = 6, 5.0  # entries in one column, and inches of a page where there are more
LEGEND_ROWS = 3  # that a page has room for; with more it becomes higher, or its panels lower
EDGE = 0.04  # inches around legend and note
TITLE_CHARACTER, TITLE_OVER = 0.06, 0.15  # inches; a title may be wider than its frame
TWO_LINES = 0.1  # inches that a frame is narrower where an axis is called something of two lines
LETTERS = 18.0  # characters of a note to an inch


@dataclass(frozen=True, eq=False)
class Pages:
    """A figure of one page, or of several that are its numbered parts.

    Attributes:
        figures: a page each.
    """

    figures: tuple[Figure, ...]

    @property
    def panels(self) -> list[list[Axes]]:
        """The panels of each page, but for bars that explain colours."""
        return [[a for a in page.axes if a.get_label() != "<colorbar>"] for page in self.figures]


def grid(
    rows: int, columns: int, height: float | None = None, *, wide: bool = False
) -> tuple[Pages, list[list[Axes]]]:
    """Rows and columns of panels that mean something, on as many pages as they need.

    Args:
        rows: of panels; a row is never divided.
        columns: at most three are beside each other on a page.
        height: inches of a row; without, what is usual.
        wide: whether a page is as wide as it can be, though columns are few.
    """
    height = height or (PANEL_HEIGHT if rows > 1 else LONE_HEIGHT)
    width = PAGE[0] if wide else min(PAGE[0], COLUMN_WIDTH * columns)
    fitting = max(1, int((PAGE[1] - ROOM) / height))
    pages, panels = [], []
    for first in range(0, rows, fitting):
        here = min(fitting, rows - first)
        size = (width, min(PAGE[1], height * here + ROOM))
        page, axes = plt.subplots(here, columns, figsize=size, squeeze=False, layout="constrained")
        pages.append(page)
        panels += [list(row) for row in axes]
    return Pages(tuple(pages)), panels


def panels(count: int) -> tuple[Pages, list[Axes]]:
    """A row-wise grid of panels, at most three wide."""
    columns = max(1, min(count, COLUMNS))
    pages, axes = grid(max(1, -(-count // columns)), columns)
    flat = [panel for row in axes for panel in row]
    for spare in flat[count:]:
        spare.remove()
    return pages, flat[:count]


def beside(count: int) -> int:
    """How many of so many panels stand beside each other, so that rows are as full as can be."""
    return max(1, -(-count // max(1, -(-count // COLUMNS))))


def share_y(axes: Iterable[Axes]) -> None:
    """Give panels that are compared the same value axis: the one that holds all of theirs."""
    axes = list(axes)
    ends = [panel.get_ylim() for panel in axes]
    for panel in axes:
        panel.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def finish(
    pages: Pages,
    *,
    points: str = "",
    spread: str = "",
    note: str = "",
    dashes: bool = False,
) -> None:
    """What all figures have: letters, marks of what is outside, one legend and one note a page.

    Args:
        pages: with everything drawn and all axes as they will be.
        points: what a point or a line is, like "means over replicates"; said with ``spread``.
        spread: what bars and bands are, like "one standard deviation"; said where there are some.
        note: whole sentences on what the legend does not explain.
        dashes: whether line styles matter, so that the legend's lines are longer.
    """
    letters = _letters()
    # A table that goes on over the page is one thing; its parts have numbers alone.
    count = sum(panel.axison for axes in pages.panels for panel in axes)
    for number, (page, axes) in enumerate(zip(pages.figures, pages.panels, strict=True), 1):
        told = [_spread(axes, points, spread), note, _differing(axes)]
        if len(pages.figures) > 1:
            told.append(f"Part {number} of {len(pages.figures)}.")
        for panel in axes:
            outside.mark(panel)
            if count > 1 and panel.axison:
                _letter(panel, next(letters))
            _fold_title(panel)
        _legend(page, axes, " ".join(filter(None, told)), dashes)


def _letters() -> Iterator[str]:
    yield from string.ascii_lowercase
    yield from (a + b for a in string.ascii_lowercase for b in string.ascii_lowercase)


def _letter(panel: Axes, letter: str) -> None:
    for place in ("left", "center"):
        if title := panel.get_title(loc=place):
            # A line that stands above a title stays above it.
            above = title[: len(title) - len(title.lstrip("\n"))]
            panel.set_title(f"{above}({letter}) {title.lstrip()}", loc=place)
            return
    panel.set_title(f"({letter})", loc="left")


def _fold_title(panel: Axes) -> None:
    """A title that is wider than its panel goes on in the next line."""
    for place in ("left", "center"):
        title = panel.get_title(loc=place)
        if (lines := folded(panel, title)) != title:
            panel.set_title(lines, loc=place)


def folded(panel: Axes, title: str) -> str:
    """A title as it will be: in as many lines as the panel's width makes of it.

    Args:
        panel: whose title it is.
        title: with its letter, where panels have one.
    """
    room = axes_size(panel)[0]
    # A dollar sign is as wide as one character, though it is escaped.
    lines = title.replace(r"\$", "\0").split("\n")
    most = int((room + TITLE_OVER) / TITLE_CHARACTER)
    for width in range(most, 0, -1):  # fewer where letters are wide ones
        text = "\n".join(textwrap.fill(line, width) for line in lines)
        if _has_beside(panel) or all(
            _inches(t, panel) <= room - TWO_LINES for t in text.split("\n")
        ):
            break
    return text.replace("\0", r"\$")


def _has_beside(panel: Axes) -> bool:
    """Whether there are other panels in its row, which leave some room for titles between them."""
    return panel.get_subplotspec().get_geometry()[1] > 1


def _inches(line: str, panel: Axes) -> float:
    """How wide a line of a title is."""
    size = panel.title.get_fontproperties().get_size_in_points()
    plain = line.replace("\0", "S").replace("$", "")
    return TextPath((0, 0), plain, size=size).get_extents().width / 72 if plain.strip() else 0.0


def _spread(axes: Iterable[Axes], points: str, spread: str) -> str:
    axes = list(axes)
    drawn = [
        *(["bars"] if any(_has_bars(panel) for panel in axes) else []),
        *(["bands"] if any(_has_bands(panel) for panel in axes) else []),
    ]
    if not drawn or not spread:
        return f"{points[:1].upper()}{points[1:]}." if points else ""
    begin = f"{points[:1].upper()}{points[1:]}; " if points else ""
    told = f"{begin}{' and '.join(drawn)}: {spread}."
    return told[:1].upper() + told[1:]


def _has_bars(panel: Axes) -> bool:
    return any(map(_whiskered, panel.containers))


def _has_bands(panel: Axes) -> bool:
    return any(isinstance(c, PolyCollection) for c in panel.collections)


def _differing(axes: Sequence[Axes]) -> str:
    """What is said where panels beside each other look comparable and are not."""
    for row in _rows(axes):
        named = [panel.get_ylabel() for panel in row]
        same = [p for p, name in zip(row, named, strict=True) if name in ("", named[0])]
        if len({tuple(np.round(panel.get_ylim(), 9)) for panel in same}) > 1:
            return "Vertical axes differ between panels."
    return ""


def _rows(axes: Sequence[Axes]) -> Iterator[list[Axes]]:
    rows: dict[Any, list[Axes]] = {}
    for panel in axes:
        place = panel.get_subplotspec()
        rows.setdefault(None if place is None else place.rowspan.start, []).append(panel)
    yield from rows.values()


def _legend(page: Figure, axes: Sequence[Axes], note: str, dashes: bool) -> None:
    """One legend below all panels, each entry once, and the note below it."""
    entries = _entries(axes)
    width, height = page.get_size_inches()
    handle = 0.55 if dashes else 0.45
    widths = [handle + 0.052 * len(label) for label in entries]  # inches, at the legend's size
    columns = max(1, min(len(widths), int(width / max(widths, default=width))))
    while len(widths) > LEGEND_ROWS * columns and _legend_width(widths, columns + 1) <= width:
        columns += 1
    if columns == 1 and len(widths) > LONGEST and width < WIDER:  # a column as long as the panel
        page.set_size_inches(WIDER, height)
        _legend(page, axes, note, dashes)
        return
    rows = -(-len(widths) // columns)
    lines = textwrap.wrap(note, int(LETTERS * width))
    more = LEGEND_ROW * max(0, rows - LEGEND_ROWS) + NOTE_LINE * len(lines)
    height = min(PAGE[1], height + more)
    page.set_size_inches(width, height)
    room = NOTE_LINE * len(lines) + EDGE if lines else 0.0
    if lines:
        look = {"fontsize": SMALLEST, "color": "0.25", "linespacing": 1.15, "in_layout": False}
        place = {"ha": "center", "va": "bottom"}
        page.text(0.5, EDGE / height, "\n".join(lines), **place, **look)
    if entries:
        look = {"handlelength": 2.6} if dashes else {}
        legend = page.legend(
            entries.values(),
            entries.keys(),
            loc="lower center",
            bbox_to_anchor=(0.5, room / height),
            borderaxespad=0.2,
            ncols=columns,
            **look,
        )
        legend.set_in_layout(False)
        room += legend.get_window_extent(page.canvas.get_renderer()).height / page.dpi + EDGE
    page.get_layout_engine().set(rect=(0, room / height, 1, 1 - room / height))


def _entries(axes: Sequence[Axes]) -> dict[str, Any]:
    """Handles by label, with whiskers where some panel has them; marks of what is outside last."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            if label not in entries or _whiskered(handle):
                entries[label] = handle
    for side, (handle, count) in outside.counted(axes).items():
        points = "1 point" if count == 1 else f"{count} points"
        entries[f"{side}: {points}, values in the CSV"] = handle
    return entries


def _whiskered(handle: Any) -> bool:
    if not isinstance(handle, ErrorbarContainer):
        return False
    return any(len(lines.get_segments()) for lines in handle.lines[2] or ())


def _legend_width(widths: Sequence[float], columns: int) -> float:
    """Inches that so many columns take, filled one after another as matplotlib does."""
    rows, longer = divmod(len(widths), columns)
    ends = [(c + 1) * rows + min(c + 1, longer) for c in range(columns)]
    starts = [0, *ends[:-1]]
    return sum(max(widths[a:b]) for a, b in zip(starts, ends, strict=True) if b > a)


def save(pages: Pages, pdf: Path | str, png: Path | str) -> None:
    """Write the pages of a PDF, and a PNG of them below each other.

    The same data give the same bytes.

    Raises:
        PruningError: a file cannot be written.
    """
    for page in pages.figures:
        _settle(page)
    try:
        written = io.BytesIO()
        with PdfPages(written, metadata={"CreationDate": None}) as file:
            for page in pages.figures:
                file.savefig(page)
        _write(written.getvalue(), pdf)
        _write(_stacked(pages), png)
    except OSError as error:
        raise PruningError(f"The figure {pdf} cannot be written ({error}).") from error
    finally:
        for page in pages.figures:
            plt.close(page)


def _settle(page: Figure) -> None:
    """Fix where panels are, without the last digits.

    Matplotlib's solver finds the same places by steps whose order follows from where things lie in
    memory, so rounding errors, and with them bytes, would differ from run to run.
    """
    page.draw_without_rendering()
    page.set_layout_engine("none")
    for panel in page.axes:
        for which in ("original", "active"):
            bounds = panel.get_position(original=which == "original").bounds
            panel.set_position([round(end, 6) for end in bounds], which=which)


def _write(data: bytes, path: Path | str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _stacked(pages: Pages) -> bytes:
    buffer = io.BytesIO()
    if len(pages.figures) == 1:
        pages.figures[0].savefig(buffer, format="png")
        return buffer.getvalue()
    images = []
    for page in pages.figures:
        one = io.BytesIO()
        page.savefig(one, format="png")
        images.append(plt.imread(io.BytesIO(one.getvalue())))
    width = max(image.shape[1] for image in images)
    padded = [
        np.pad(i, ((0, 0), (0, width - i.shape[1]), (0, 0)), constant_values=1) for i in images
    ]
    plt.imsave(buffer, np.concatenate(padded), format="png", dpi=plt.rcParams["savefig.dpi"])
    return buffer.getvalue()
