"""What Renda et al. (2020) claim about re-training methods: the table of claims.

Source: Renda, Frankle, Carbin (ICLR 2020), arXiv 2003.02389. The limits are those that the
authors' own cells (:func:`pruning.analysis.published.read_cells`) keep to. How claims are tested
is in :mod:`pruning.analysis.claims`, on what in :mod:`pruning.systems.rewinding.evidence`.
"""

import math
from dataclasses import dataclass

import pandas as pd

from pruning.analysis import claims
from pruning.training.metric import ACCURACY

MODES = ("iterative", "one_shot")
STRUCTURED = ("structured_a", "structured_b")

RANK = "rank correlation"
# What chance may do to a margin. Replicates of a cell have a standard deviation of about 0.2 pp
# (CIFAR), 0.15 pp (ImageNet) or 0.2 BLEU, so the difference of two medians of three has nearly as
# much; a rank correlation over ten times in no order has 0.33.
TOLERANCE = {"pp": 0.3, "BLEU": 0.3, RANK: 0.3}
TOLERANCE_BY_DATASET = {"imagenet": {"pp": 0.2}}  # where that is less
SLACK = 0.01  # of a compression ratio: published densities are rounded, 9.31x is within "9.3x"

READING = (
    "Each row is a claim of Renda, Frankle and Carbin (ICLR 2020) and counts the cells, each a "
    "median over replicates, that satisfy it. T is the length of the dense training. By the "
    "single rule, learning-rate rewinding and fine-tuning retrain for T (without a cell at T they "
    "are not compared), weight rewinding for the longest time within 0.9 T; the safe zone is "
    "0.25 T to 0.9 T; best validated is the retrain time with the best validation score. The worst "
    "margin is that of the cell furthest from satisfying the claim: a negative one misses it. A "
    "claim *holds* in every cell, *holds within noise* if no cell misses it by more than "
    "{tolerance}, holds *mostly* in at least {mostly} % of the cells, and else *fails*. Claims "
    "whose limit is itself a tolerance are granted no other. A row that *describes* is a share to "
    "compare with that of the published cells and no claim. Where another statement quotes such a "
    "share, compare with it too. *No cells* means that there is nothing here to test the claim on."
)


@dataclass(frozen=True)
class Claim(claims.Claim):
    """One claim, and which cells it is about; of accuracy unless it says another unit.

    Attributes:
        variants: pruning modes; None for all.
        ratios: smallest and largest compression ratio; None for all.
        first_level: the first level that counts.
        imagenet: True for ImageNet only, False for all other data sets, None for both.
    """

    unit: str = ACCURACY.change_unit
    variants: tuple[str, ...] | None = MODES
    ratios: tuple[float, float] | None = None
    first_level: int | None = None
    imagenet: bool | None = None

    def selects(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of the layout the claim is about."""
        chosen = super().selects(table)
        if self.variants is not None:
            chosen &= table["variant"].isin(self.variants)
        if self.ratios is not None:
            low, high = self.ratios[0] * (1 - SLACK), self.ratios[1] * (1 + SLACK)
            chosen &= table["compression_ratio"].between(low, high)
        if self.first_level is not None:
            chosen &= table["level"] >= self.first_level
        if self.imagenet is not None:
            chosen &= (table["dataset"] == "imagenet") == self.imagenet
        return chosen


CLAIMS = (
    Claim(
        "1a",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning for "
        "unstructured vision from 3x compression.",
        "single_rule",
        "lr_rewind",
        "fine_tune",
        ratios=(3, math.inf),
    ),
    Claim(
        "1b",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning for "
        "iteratively pruned vision from 5x compression.",
        "single_rule",
        "lr_rewind",
        "fine_tune",
        variants=("iterative",),
        ratios=(5, math.inf),
    ),
    Claim(
        "1c",
        "By the single rule, learning-rate rewinding is at least as good as fine-tuning at every "
        "level of structured pruning.",
        "single_rule",
        "lr_rewind",
        "fine_tune",
        variants=STRUCTURED,
    ),
    Claim(
        "2a",
        "By the single rule, weight rewinding is at least as good as fine-tuning for unstructured "
        "vision from 3x compression.",
        "single_rule",
        "weight_rewind",
        "fine_tune",
        ratios=(3, math.inf),
    ),
    Claim(
        "3a",
        "By the single rule, learning-rate rewinding is at least as good as weight rewinding for "
        "iteratively pruned vision at every level.",
        "single_rule",
        "lr_rewind",
        "weight_rewind",
        variants=("iterative",),
    ),
    Claim(
        "3b",
        "By the single rule, learning-rate rewinding is at least as good as weight rewinding for "
        "vision pruned in one shot at every level (a tie: true of half the published cells).",
        "single_rule",
        "lr_rewind",
        "weight_rewind",
        variants=("one_shot",),
        descriptive=True,
    ),
    Claim(
        "3c",
        "By the single rule, learning-rate rewinding is at most 0.5 pp behind weight rewinding for "
        "unstructured vision at every level.",
        "single_rule",
        "lr_rewind",
        "weight_rewind",
        least=-0.5,
        tolerance=0,
    ),
    Claim(
        "3d",
        "By the single rule, learning-rate rewinding is at most 0.7 pp behind weight rewinding at "
        "every level of structured pruning.",
        "single_rule",
        "lr_rewind",
        "weight_rewind",
        least=-0.7,
        variants=STRUCTURED,
        tolerance=0,
    ),
    Claim(
        "4a",
        "At equal retrain times in the safe zone, weight rewinding is at least as good as "
        "fine-tuning for unstructured vision from 3x to 9.3x (true of 92 % of the published "
        "cells).",
        "epoch_for_epoch",
        "weight_rewind",
        "fine_tune",
        ratios=(3, 9.3),
    ),
    Claim(
        "4b",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "fine-tuning for unstructured vision from 3x to 9.3x (true of 93 % of the published "
        "cells).",
        "epoch_for_epoch",
        "lr_rewind",
        "fine_tune",
        ratios=(3, 9.3),
    ),
    Claim(
        "4c",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "weight rewinding for unstructured vision from 3x to 9.3x (true of only 61 % of the "
        "published cells).",
        "epoch_for_epoch",
        "lr_rewind",
        "weight_rewind",
        ratios=(3, 9.3),
        descriptive=True,
    ),
    Claim(
        "4d",
        "At equal retrain times in the safe zone, learning-rate rewinding is at least as good as "
        "weight rewinding for iteratively pruned ImageNet networks at every level (true of only "
        "37 % of the published cells: there it needs a retrain time near T).",
        "epoch_for_epoch",
        "lr_rewind",
        "weight_rewind",
        variants=("iterative",),
        imagenet=True,
        descriptive=True,
    ),
    Claim(
        "5a",
        "Rewinding weights to the very beginning loses at least 0.7 pp against rewinding within "
        "0.9 T for unstructured vision from 3x to 9.3x.",
        "times_of_weight_rewind",
        "safe",
        "full",
        least=0.7,
        ratios=(3, 9.3),
    ),
    Claim(
        "5b",
        "Rewinding weights to the very beginning loses at least 1.5 BLEU against rewinding within "
        "0.9 T for unstructured translation from 3x to 9.3x.",
        "times_of_weight_rewind",
        "safe",
        "full",
        least=1.5,
        unit="BLEU",
        ratios=(3, 9.3),
    ),
    Claim(
        "5c",
        "Rewinding the learning rate to the very beginning changes at most 0.51 pp against "
        "rewinding within 0.9 T for unstructured vision from 3x to 9.3x (but for one published "
        "cell).",
        "times_of_lr_rewind",
        "full",
        "safe",
        least=-0.51,
        most=0.51,
        ratios=(3, 9.3),
        tolerance=0,
    ),
    Claim(
        "5d",
        "Rewinding the learning rate to the very beginning changes at most 0.51 BLEU against "
        "rewinding within 0.9 T for unstructured translation from 3x to 9.3x.",
        "times_of_lr_rewind",
        "full",
        "safe",
        least=-0.51,
        most=0.51,
        unit="BLEU",
        ratios=(3, 9.3),
        tolerance=0,
    ),
    Claim(
        "6a",
        "Learning-rate rewinding for T is at least as good as for the shortest retrain time for "
        "vision from 3x to 9.3x in every mode.",
        "times_of_lr_rewind",
        "full",
        "shortest",
        variants=None,
        ratios=(3, 9.3),
    ),
    Claim(
        "6b",
        "Learning-rate rewinding for T is at least as good as for the shortest retrain time for "
        "translation from 3x to 9.3x.",
        "times_of_lr_rewind",
        "full",
        "shortest",
        unit="BLEU",
        variants=None,
        ratios=(3, 9.3),
    ),
    Claim(
        "6c",
        "Learning-rate rewinding for T is at most 0.3 pp behind its best validated retrain time "
        "for unstructured vision at every level.",
        "times_of_lr_rewind",
        "full",
        "validated",
        least=-0.3,
        tolerance=0,
    ),
    Claim(
        "6d",
        "Learning-rate rewinding for T is at most 0.5 pp behind its best validated retrain time at "
        "every level of structured pruning.",
        "times_of_lr_rewind",
        "full",
        "validated",
        least=-0.5,
        variants=STRUCTURED,
        tolerance=0,
    ),
    Claim(
        "7a",
        "By the single rule, learning-rate rewinding is at least as good after iterative as after "
        "one-shot pruning to the same density for vision from 3x compression.",
        "modes_of_lr_rewind",
        "iterative",
        "one_shot",
        ratios=(3, math.inf),
    ),
    Claim(
        "7b",
        "By the single rule, weight rewinding is at least as good after iterative as after "
        "one-shot pruning to the same density for vision from 3x compression.",
        "modes_of_weight_rewind",
        "iterative",
        "one_shot",
        ratios=(3, math.inf),
    ),
    Claim(
        "7c",
        "By the single rule, fine-tuning is no better after iterative than after one-shot pruning "
        "to the same density for vision other than ImageNet from 3x compression.",
        "modes_of_fine_tune",
        "one_shot",
        "iterative",
        ratios=(3, math.inf),
        imagenet=False,
    ),
    Claim(
        "8a",
        "After one-shot pruning longer fine-tuning helps: over the levels of a vision network, "
        "ImageNet aside, the median rank correlation of retrain time and score is at least 0.5.",
        "trend_of_fine_tune",
        "correlation",
        least=0.5,
        unit=RANK,
        variants=("one_shot",),
        imagenet=False,
    ),
    Claim(
        "8b",
        "After iterative pruning longer fine-tuning does not help: over the levels of a vision "
        "network, ImageNet aside, the median rank correlation of retrain time and score is at "
        "most 0.1.",
        "trend_of_fine_tune",
        "correlation",
        least=-math.inf,
        most=0.1,
        unit=RANK,
        variants=("iterative",),
        imagenet=False,
    ),
    Claim(
        "9a",
        "At retrain times after the last drop of the rate, learning-rate rewinding is fine-tuning: "
        "up to 9.3x, the mean over a vision network's levels and modes differs by at most 0.2 pp.",
        "at_last_rate",
        "of_weights_kept",
        least=-0.2,
        most=0.2,
        variants=None,
        tolerance=0,
    ),
    Claim(
        "9b",
        "At retrain times after the last drop of the rate, weight rewinding is low-LR weight "
        "rewinding: up to 9.3x, the mean over a vision network's levels and modes differs by at "
        "most 0.2 pp.",
        "at_last_rate",
        "of_weights_rewound",
        least=-0.2,
        most=0.2,
        variants=None,
        tolerance=0,
    ),
    Claim(
        "10a",
        "Best validated, fine-tuning is at least as good as re-initialization for vision pruned in "
        "one shot at every level.",
        "best_validated",
        "fine_tune",
        "reinit",
        variants=("one_shot",),
    ),
    Claim(
        "10b",
        "Best validated, learning-rate rewinding is at least as good as re-initialization for "
        "vision pruned in one shot at every level.",
        "best_validated",
        "lr_rewind",
        "reinit",
        variants=("one_shot",),
    ),
    Claim(
        "10c",
        "Best validated, fine-tuning is at least as good as re-initialization for translation "
        "pruned in one shot up to 11.6x.",
        "best_validated",
        "fine_tune",
        "reinit",
        unit="BLEU",
        variants=("one_shot",),
        ratios=(1, 11.6),
    ),
    Claim(
        "10d",
        "Best validated, re-initialization is at least as good as fine-tuning at every level of "
        "structured pruning.",
        "best_validated",
        "reinit",
        "fine_tune",
        variants=STRUCTURED,
    ),
    Claim(
        "10e",
        "Best validated, re-initialization is at least as good as fine-tuning from level 3 of "
        "structured pruning.",
        "best_validated",
        "reinit",
        "fine_tune",
        variants=STRUCTURED,
        first_level=3,
    ),
    Claim(
        "10f",
        "Best validated, re-initialization is within 0.65 pp of learning-rate rewinding from level "
        "3 of structured pruning.",
        "best_validated",
        "reinit",
        "lr_rewind",
        least=-0.65,
        most=0.65,
        variants=STRUCTURED,
        first_level=3,
        tolerance=0,
    ),
    Claim(
        "10g",
        "Best validated, re-initialization is at least as good as learning-rate rewinding from "
        "level 3 of structured pruning (true of only 28 % of the published cells).",
        "best_validated",
        "reinit",
        "lr_rewind",
        variants=STRUCTURED,
        first_level=3,
        descriptive=True,
    ),
    Claim(
        "11a",
        "By the single rule, iterative learning-rate rewinding is at most 0.35 pp behind methods "
        "made for vision in the literature.",
        "literature",
        "ours",
        "theirs",
        least=-0.35,
        tolerance=0,
    ),
    Claim(
        "11b",
        "By the single rule, iterative learning-rate rewinding is at most 0.35 BLEU behind methods "
        "made for translation in the literature.",
        "literature",
        "ours",
        "theirs",
        least=-0.35,
        unit="BLEU",
        tolerance=0,
    ),
)
