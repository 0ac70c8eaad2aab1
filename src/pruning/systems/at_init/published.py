"""The accuracies that a student reproduction of Frankle et al. (2021) reports, as a tidy table.

COMP6258, University of Southampton: VGG-16 on CIFAR-10, 80 epochs, one run each. They are carried
in ``resources/published/at_init.csv`` as reported; what is wrong with them is said there.
"""

from pathlib import Path

import pandas as pd

from pruning.analysis.tidy import COLUMNS
from pruning.systems.at_init.tables import read_published
from pruning.training.metric import ACCURACY

SOURCE = "comp6258"
EPOCHS = 80.0


def tidy_table(source: Path | str) -> pd.DataFrame:
    """The reported accuracies. Densities are those that were asked for: SynFlow pruned nothing.

    Args:
        source: folder of ``at_init.csv``.

    Raises:
        PruningError: the file is missing or not what it should be.
    """
    table = read_published(SOURCE, source).dropna(subset="accuracy")
    densities = sorted(table["density"].unique(), reverse=True)
    pruned = table["method"] != "dense"
    table = table.assign(
        study=f"{SOURCE}_" + table["network"],
        seed=0,
        level=table["density"].map(densities.index),
        pruned_at=pruned.map({True: 0.0}),
        retrain_time=pruned.map({True: EPOCHS}),
        training_time=EPOCHS,
        split="test",
        metric=ACCURACY.name,
        value=(table["accuracy"] / ACCURACY.factor).round(6),
    )
    return table.reindex(columns=list(COLUMNS))
