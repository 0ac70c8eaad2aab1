"""Cells: replicates summed up, and which retrain times are looked at."""

import numpy as np
import pandas as pd
import pytest

from pruning.analysis.cells import (
    COLUMNS,
    best_validated,
    cells,
    in_safe_zone,
    pruned,
    single_rule,
    speedup,
)
from pruning.errors import PruningError
from tests.test_figures import table


def test_a_cell_by_hand():
    tidy = table(
        *((s, "dense", 0, 1.0, v) for s, v in enumerate((0.90, 0.92, 0.97))),  # mean 0.93
        *((s, "lr_rewind", 1, 0.5, v, w) for s, (v, w) in enumerate(
            ((0.91, 0.3), (0.94, 0.6), (0.80, 0.5)))),
    )  # fmt: skip
    tidy.loc[(tidy["method"] == "lr_rewind") & (tidy["seed"] == 1), "macs"] = 100
    found = cells(tidy)
    assert tuple(found.columns) == COLUMNS
    row = found.set_index("method").loc["lr_rewind"]
    assert (row["median"], row["min"], row["max"]) == pytest.approx((-2, -13, 1))
    assert (row["n"], row["n_macs"], row["validation"], row["unit"]) == (3, 3, 0.5, "pp")
    assert (row["macs"], row["macs_min"], row["dense_macs"]) == (500, 100, 1000)
    assert (row["compression_ratio"], row["training_time"]) == (2, 20)


def test_bleu_is_not_multiplied_and_says_so():
    tidy = table((0, "dense", 0, 1.0, 27.0), (0, "lr_rewind", 1, 0.5, 26.5))
    tidy = tidy[tidy["metric"] == "accuracy"].assign(metric="bleu")
    row = pruned(cells(tidy)).iloc[0]
    assert (row["median"], row["unit"]) == (-0.5, "BLEU")


def test_replicates_without_a_cost_are_not_counted():
    tidy = table(
        (0, "dense", 0, 1.0, 0.9), *((s, "lr_rewind", 1, 0.5, 0.9) for s in range(3))
    )  # fmt: skip
    tidy.loc[tidy["seed"] > 0, "macs"] = np.nan
    row = pruned(cells(tidy)).iloc[0]
    assert (row["n"], row["n_macs"]) == (3, 1)


def test_the_same_number_reached_by_two_ways_ties():
    """0.1 + 0.2 is not 0.3, but two equal accuracies are a tie."""
    rows = [(s, "dense", 0, 1.0, 0.7 + 0.1 * s) for s in range(3)]
    rows += [(0, "lr_rewind", 1, 0.5, 0.3, 0.1 + 0.2, 5.0), (0, "lr_rewind", 1, 0.5, 0.3, 0.3, 9.0)]
    chosen = pruned(best_validated(cells(table(*rows))))
    assert chosen["retrain_time"].tolist() == [5]


def grid(method, times, training_time=20.0):
    tidy = table(
        (0, "dense", 0, 1.0, 0.9), *((0, method, 1, 0.5, 0.8, 0.5, time) for time in times)
    )
    return cells(tidy.assign(training_time=training_time))


@pytest.mark.parametrize(
    ("method", "times", "chosen"),
    [
        ("lr_rewind", (5.0, 18.0, 20.0), [20]),
        ("fine_tune", (5.0, 18.0), []),  # T is not in the grid
        ("low_lr_weight_rewind", (5.0, 20.0), [20]),
        ("weight_rewind", (5.0, 18.0, 20.0), [18]),  # 0.9 T itself is safe
        ("weight_rewind", (5.0, 18.1, 20.0), [5]),
        ("weight_rewind", (19.0, 20.0), []),
    ],
)
def test_the_single_rule(method, times, chosen):
    found = pruned(single_rule(grid(method, times), [method]))
    assert found["retrain_time"].tolist() == chosen


def test_nothing_is_chosen_by_validation_that_was_not_done():
    several, one = grid("lr_rewind", (5.0, 18.0)), grid("lr_rewind", (5.0,))
    several["validation"] = one["validation"] = np.nan
    assert len(pruned(best_validated(one))) == 1
    with pytest.raises(PruningError, match="'s' has several retrain times but no validation"):
        best_validated(several)


def test_the_safe_zone_has_both_its_ends():
    table = grid("lr_rewind", (4.9, 5.0, 18.0, 18.1))
    assert in_safe_zone(pruned(table)).tolist() == [False, True, True, False]


def test_speed_ups_turn_ends_round():
    frame = pd.DataFrame({"dense_macs": [100.0], "macs": [50.0], "macs_min": [25.0],
                          "macs_max": [100.0]})  # fmt: skip
    assert speedup(frame).iloc[0].tolist() == [2, 1, 4]


def test_a_table_without_dense_networks_or_scores_is_refused():
    with pytest.raises(PruningError, match="'s' has no dense networks"):
        cells(table((0, "lr_rewind", 1, 0.5, 0.8)))
    with pytest.raises(PruningError, match="no metric of accuracy, bleu"):
        cells(table((0, "dense", 0, 1.0, 0.9)).assign(metric="loss"))
