"""Figure of Sreenivasan et al. (2022): which layers keep their weights."""

import pandas as pd
from matplotlib.axes import Axes

from pruning.analysis import replicates as summaries
from pruning.figures import pages, replicates, style
from pruning.figures.context import Context, Drawn, nothing
from pruning.figures.shares import share_axes, share_lines
from pruning.systems.gem_miner.published import layers_for
from pruning.systems.gem_miner.rules import UNMODIFIED
from pruning.systems.gem_miner.styles import STYLES

SHOWN = ("gem_miner", "edge_popup", "global_edge_popup_gradual", "smart_ratio", "random_subnetwork")


def layers(table: pd.DataFrame, context: Context) -> Drawn:
    """Share of its weights that each layer keeps, a panel per study at one density (Fig. 7).

    Bars are the share of all weights that the layer has. Means over replicates. The level is the
    study's ``gem_miner_layers``, the sparsest without it. Crosses are published, of methods that
    the study has, where its ``gem_miner_published`` names a source that has such layers; not if the
    study's network has more or fewer, as with projections as shortcuts.
    """
    rows = table[table["method"].isin(SHOWN) & (table["variant"] == UNMODIFIED)]
    if rows.empty:
        raise nothing(context, "no masks of searches.")
    shares = summaries.layer_shares(rows)
    names = replicates.studies(shares, context)
    sheet, axes = pages.panels(len(names))
    drawn = []
    for panel, study in zip(axes, names, strict=True):
        here = shares[shares["study"] == study]
        level = context.option(study, "gem_miner_layers", int(here["level"].max()))
        here = here[here["level"] == level]
        sizes = _sizes(rows[rows["study"] == study])
        published = _published(here, rows, context)
        _draw(panel, here, sizes, published)
        what = f"{100 * here['density'].iloc[0]:g} % kept ({replicates.counts(here)})"
        panel.set_title(style.title(context.title(study), what))
        drawn += [
            here.assign(quantity="kept"),
            sizes.assign(study=study, quantity="of all weights"),
        ]
        drawn.append(published)
    for panel in axes[:: pages.COLUMNS]:
        panel.set_ylabel("Weights kept (%, log scale)")
    pages.finish(sheet, points=replicates.POINTS)
    return Drawn(sheet, replicates.written(drawn, ("quantity", "position", "layer")))


def _draw(panel: Axes, here: pd.DataFrame, sizes: pd.DataFrame, published: pd.DataFrame) -> None:
    panel.bar(
        sizes["position"], sizes["mean"], color="0.86", width=0.8, zorder=0,
        label="Share of all weights (%)",
    )  # fmt: skip
    looks = {m: STYLES[m] for m in SHOWN if m in set(here["method"])}
    bottom = share_axes(panel, pd.concat([here, published]) if len(published) else here)
    share_lines(panel, here, looks, bottom)
    for method in looks:
        theirs = published[published["method"] == method]
        if len(theirs):
            color = style.color(STYLES[method])
            label = f"{STYLES[method].label}, published"
            panel.plot(theirs["position"], theirs["mean"], "x", color=color, label=label)


def _sizes(rows: pd.DataFrame) -> pd.DataFrame:
    first = rows.drop_duplicates(["position", "layer"])
    kernels = first[first["kind"] == "kernel"]
    share = 100 * kernels["prunable"] / kernels["prunable"].sum()
    return pd.DataFrame(
        {"position": kernels["position"], "layer": kernels["layer"], "mean": share, "n": 1}
    ).assign(method="", density=1.0)


def _published(here: pd.DataFrame, rows: pd.DataFrame, context: Context) -> pd.DataFrame:
    study = here["study"].iloc[0]
    source = context.option(study, "gem_miner_published")
    if source is None:
        return here.iloc[:0]
    network, dataset = rows.loc[rows["study"] == study, ["network", "dataset"]].iloc[0]
    found = layers_for(source, network, dataset, here["density"].iloc[0], context.resources)
    if found.empty or found["position"].max() + 1 != here["position"].nunique():
        return here.iloc[:0]
    found = found[found["method"].isin(here["method"])]
    return found.assign(study=study, source=source, quantity="published")
