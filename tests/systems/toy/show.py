"""The toy's figure and its claim."""

import pandas as pd
from matplotlib.figure import Figure

from pruning.analysis.claims import Claim, ClaimSet
from pruning.figures.context import Drawn


def _accuracies(tidy):
    test = tidy[(tidy["split"] == "test") & (tidy["metric"] == "accuracy")]
    keys = ["study", "dataset", "method", "level", "density"]
    return test.groupby(keys, as_index=False).agg(
        value=("value", "mean"), replicates=("value", "size")
    )


def accuracy(tidy, context):
    table = _accuracies(tidy)
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    for study, rows in table.groupby("study"):
        axes.plot(rows["density"], 100 * rows["value"], "o", label=context.title(study))
    axes.set(xlabel="Density", ylabel="Accuracy (%)")
    axes.legend()
    return Drawn(figure, table)


def _beside_dense(table):
    dense = table[table["method"] == "dense"].set_index("study")["value"]
    tickets = table[table["method"] != "dense"]
    return tickets.assign(
        ticket=100 * tickets["value"], dense=100 * tickets["study"].map(dense), unit="pp"
    )


def _evidence(toy, resources=None, *, tidy):
    """Tickets from the toy's own table, the dense network from that of all systems."""
    return _accuracies(pd.concat([toy[toy["method"] != "dense"], tidy[tidy["method"] == "dense"]]))


CLAIMS = ClaimSet(
    claims=(
        Claim(
            "1a", "A random ticket trains.", "tickets", "ticket", "dense", least=-95.0, unit="pp"
        ),
    ),
    evidence=_evidence,
    layouts={"tickets": _beside_dense},
    cell=("study", "dataset", "level", "density"),
    tolerance={"pp": 0.0},
    reading="Random tickets beside the dense network.",
)
