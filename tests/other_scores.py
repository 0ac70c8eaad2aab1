"""Tables of tasks that are judged by something else than accuracy, and what figures say of them."""

import re
from pathlib import Path

import pandas as pd
from matplotlib.text import Text

from pruning.training.metric import BLEU, Metric

PERPLEXITY = Metric("perplexity", "perplexity", higher_is_better=False)
# Percentages of weights, which are no scores.
SHARES = re.compile(
    r"Sparsity|[Ww]eights|[Cc]hannel|Norm scales|One layer at|\d %\s\(n|\d % (density|kept)"
)
FOREIGN = re.compile(r"accurac|\bpp\b|percentage|\bimages?\b", re.IGNORECASE)

# From accuracies, as fractions, to scores that order networks in the same way.
SCORES = {
    "bleu": (BLEU, lambda accuracy: 30 * accuracy),
    "perplexity": (PERPLEXITY, lambda accuracy: 4 / accuracy),
}


def told(metric: str) -> str:
    """What the environment tells jobs of metrics from outside."""
    return f"{metric}={Path(__file__)}:PERPLEXITY" if metric == "perplexity" else ""


def restated(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A tidy table, or one of curves or single layers, of accuracies as one of another score."""
    _, score = SCORES[metric]
    table = table.copy()
    if "split" in table:
        named = table["metric"].str.contains("accuracy")
        table.loc[named, "value"] = score(table.loc[named, "value"])
    for column in table.columns:
        if column == "score" or column.endswith("_score"):
            table[column] = score(table[column])
    if "metric" in table:
        table["metric"] = table["metric"].str.replace("accuracy", metric)
    return table


def texts(figure) -> list[str]:
    """Everything that is written in a figure."""
    figure.canvas.draw()
    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return [text for text in found if text.strip()]


def check_texts(figure, *labels: str) -> None:
    """Refuse a figure that lacks a label of the score or speaks of accuracy or its percent."""
    written = texts(figure)
    assert set(labels) <= set(written), written
    assert not [text for text in written if FOREIGN.search(text)]
    assert not [text for text in written if "%" in text and not SHARES.search(text)]
