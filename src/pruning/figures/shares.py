"""Drawing what masks keep of each layer, in percent."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from pruning.figures import style
from pruning.figures.context import literal
from pruning.figures.sizes import axes_size
from pruning.figures.style import Style

NAMED_LAYERS = 20  # more are numbered from the input, as are those with a long name
NAME_ROOM, NUMBER_ROOM = 0.115, 0.2  # inches of the axis that a name or a number takes
NAME_LENGTH = 12
FEW_DECADES = 3
TOP = 115  # percent; markers at 100 are whole


def name_layers(panel: Axes, rows: pd.DataFrame) -> None:
    """Layers from left to right, by name, or by number where there are many."""
    names = rows.drop_duplicates("position").set_index("position")["layer"].sort_index()
    names = names.str.removesuffix(".weight").map(literal)
    panel.set_xlabel("Layer, from the input")
    width = axes_size(panel)[0]
    named = min(NAMED_LAYERS, int(width / NAME_ROOM))
    if len(names) <= named and names.str.len().max() <= NAME_LENGTH:
        panel.set_xticks(names.index, names, rotation=90)
    else:
        ticks = names.index[:: 1 + len(names) // min(NAMED_LAYERS, int(width / NUMBER_ROOM))]
        panel.set_xticks(ticks, ticks + 1)
    panel.set_xlim(names.index.min() - 0.6, names.index.max() + 0.6)


def share_axes(panel: Axes, rows: pd.DataFrame) -> float:
    """Layers from left to right, shares on a log scale; where empty layers stand comes back."""
    name_layers(panel, rows)
    panel.set_yscale("log")
    spread = rows["std"].fillna(0) if "std" in rows else 0.0
    least = pd.concat([rows["mean"], rows["mean"] - spread])
    least = least[least > 0.3 * rows.loc[rows["mean"] > 0, "mean"].min()]
    lowest = min(least.min() if len(least) else 1.0, 50.0)
    powers = range(int(np.floor(np.log10(lowest))), 3)
    # Within few decades each needs more than one tick.
    between = (1, 2, 5) if len(powers) <= FEW_DECADES else (1,)
    ticks = [m * 10.0**p for p in powers for m in between if lowest <= m * 10.0**p <= TOP]
    labels = [f"{tick:g}" for tick in ticks]
    bottom = lowest / 1.3
    if (rows["mean"] == 0).any():
        bottom = lowest / 3
        ticks, labels = [bottom, *ticks], ["empty", *labels]
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_yticklabels(labels)
    panel.set_ylim(bottom, TOP)
    return bottom


def share_lines(
    panel: Axes,
    rows: pd.DataFrame,
    looks: Mapping[str, Style],
    bottom: float,
    *,
    bars: bool = False,
) -> None:
    """A line of each method that has a look, layers that are empty in all replicates below."""
    density = rows["density"].iloc[0]
    style.reference_line(panel, 100 * density, "All layers together")
    for place, (method, found) in enumerate(looks.items()):
        line = rows[rows["method"] == method].sort_values("position")
        at = line["position"] + 0.035 * (place - (len(looks) - 1) / 2)
        empty = line["mean"] == 0
        spread = line["std"] if bars and line["std"].notna().any() else None
        style.curve(panel, at, line["mean"].where(~empty), found, spread)
        if not empty.any():
            continue
        panel.plot(
            at[empty],
            [bottom] * int(empty.sum()),
            linestyle="none",
            marker=found.marker,
            color=style.color(found),
            markerfacecolor="white",
            clip_on=False,
            zorder=4,
        )
