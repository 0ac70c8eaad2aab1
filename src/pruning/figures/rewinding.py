"""Figures of Renda et al. (2020): how to retrain what was pruned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis.rewinding import accuracy_change
from pruning.analysis.tidy import read_table, write_table
from pruning.figures import style

MODES = {"iterative": "iterative", "one_shot": "one-shot"}


def rewind_vs_finetune(
    tables: list[Path | str],
    titles: Mapping[str, str],
    options: Mapping[str, Mapping[str, Any]],
    *,
    pdf: Path | str,
    png: Path | str,
    csv: Path | str,
) -> None:
    """Accuracy change against compression ratio, a panel per study and pruning mode.

    A point is the median over seeds, its bar runs from the minimum to the maximum; the grey band
    is the spread of the dense networks about their mean.

    Args:
        tables: tidy tables, one per study.
        titles: of the studies, by name.
        options: per study, ``ylim``: (low, high) in percentage points.
        pdf, png, csv: where the figure and the numbers it draws go.

    Raises:
        PruningError: a table is missing or not tidy.
    """
    drawn = accuracy_change(pd.concat([read_table(table) for table in tables], ignore_index=True))
    style.use()
    cells = drawn[drawn["method"] != "dense"]
    keys = list(dict.fromkeys(zip(cells["study"], cells["variant"], strict=True)))
    methods = style.order(list(dict.fromkeys(cells["method"])))
    figure, axes = style.panels(len(keys))
    for panel, (study, variant) in zip(axes, keys, strict=True):
        here = cells[(cells["study"] == study) & (cells["variant"] == variant)]
        dense = drawn[(drawn["study"] == study) & (drawn["method"] == "dense")].iloc[0]
        _panel(panel, here, dense, methods, options.get(study, {}))
        panel.set_title(f"{titles.get(study, study)}, {MODES.get(variant, variant)} (n={dense.n})")
    axes[0].set_ylabel("Accuracy change (pp)")
    entries = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    columns = min(3, 2 * len(axes))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)
    write_table(drawn, csv)
    style.save(figure, pdf, png)


def _panel(
    axes: Axes, cells: pd.DataFrame, dense: pd.Series, methods: list[str], options: Mapping
) -> None:
    axes.axhspan(dense["min"], dense["max"], color="0.88", linewidth=0, zorder=0)
    axes.axhline(0, color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), label="Dense", zorder=1)
    present = [m for m in methods if m in set(cells["method"])]
    for place, method in enumerate(present):
        line = cells[cells["method"] == method].sort_values("level")
        look = style.method_style(method, methods)
        # A small shift on the log axis keeps the bars of different methods apart.
        shift = 1.012 ** (place - (len(present) - 1) / 2)
        axes.errorbar(
            line["density"] * shift,
            line["median"],
            yerr=[line["median"] - line["min"], line["max"] - line["median"]],
            label=look.label,
            color=style.color(look),
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.4,
            elinewidth=0.8,
            capsize=1.5,
            capthick=0.8,
        )
    style.compression_axis(axes, cells["density"].tolist())
    if "ylim" in options:
        axes.set_ylim(options["ylim"])
