"""What Lym et al. (2019) claim about PruneTrain: the table of claims.

Source: Lym, Choukse, Zangeneh, Wen, Sanghavi, Erez, "PruneTrain: Fast Neural Network Training by
Dynamic Sparse Model Reconfiguration" (SC 2019), arXiv 1901.09290. The text of the paper could not
be read: every statement says where it is from. How claims are tested is in
:mod:`pruning.analysis.claims`, on what in :mod:`pruning.systems.prunetrain.evidence`.

A claim that something is less or more needs more than its limit and is granted nothing: replicates
that scatter widely must not speak for it. A claim that something is no better is granted the noise
of a study's own replicates.
"""

from dataclasses import dataclass

import pandas as pd

from pruning.analysis import claims
from pruning.analysis.claims import ERROR, ERRORS
from pruning.training.metric import ACCURACY

SHARE = "%"  # of the dense network's cost, of a saving or of channels
LESS = 0.1  # %; what costs less does so by as much, and so with shares of channels
EARLY = 1 / 3  # of the training
MOST = 50.0  # % of a saving
STAY = 99.0  # % of channels
LATE = 2  # convolutions at the end of a VGG
TOLERANCE = {ACCURACY.change_unit: 0.3, SHARE: 0.0}

README = "(Authors' README.)"
LOG = "(Authors' log.)"
SHAPES = "(Authors' shapes.)"
ABSTRACT = "(Abstract.)"
DERIVED = "(Derived.)"

READING = (
    "Each row is a claim about PruneTrain (Lym et al., SC 2019, *PruneTrain: Fast Neural Network "
    "Training by Dynamic Sparse Model Reconfiguration*) and counts the cells that satisfy it. A "
    "cell is a study's method at one penalty ratio, the share of the penalty in the loss at the "
    "start; its value is a mean over replicates. Savings and costs are of multiply-accumulates "
    "(MACs), in percent of the network's before anything is cut, counted as the authors' script "
    "does, which charges training more than three forward passes. Inference is that of the last "
    "network. Training is all of it, each epoch at the cost of the network that it trained, so "
    "that what is cut after the last epoch saves inference and no training. Claim 2 is in percent "
    "of a saving, 4a, 4b and 7 are in percent of channels. PruneTrain means the "
    "method `prunetrain`: others count where a statement names them.\n"
    "\n"
    "The text of the paper could not be read, so no statement is known to be in it, and all limits "
    "are ours. Where a statement is from says how far it can be trusted. *Authors' README*: "
    "its table shows it, of residual networks on CIFAR and ImageNet. *Authors' log*: output of "
    "theirs shows it, of ResNet-50 on ImageNet. *Authors' shapes*: channels that pruned VGGs were "
    "left with show it, on CIFAR. *Abstract*: that of arXiv version 1 says so. "
    "*Derived*: it follows from how the method works or costs are counted, and nothing was "
    "published to hold it against; claim 5 follows of the same weights, and here two trainings are "
    "compared.\n"
    "\n"
    "What costs less has to do so by at least 0.1 % and is granted nothing; where no channel dies, "
    "that speaks against such claims. A claim that something is no better, 1b or 5, may be missed "
    "by the noise, two standard errors of the mean difference over replicates, and 1b by "
    "{tolerance} at any rate, as a single replicate has no scatter; *within noise* adds the cells "
    "that do. The worst margin is that of the cell furthest from satisfying the claim: a negative "
    "one misses it. A claim *holds* in every cell, *holds within noise* if no cell misses it by "
    "more than the noise, holds *mostly* in at least {mostly} % of the cells, and else *fails*. "
    "*No cells* means that there is nothing here to test the claim on: 4a is about VGGs alone, 4b "
    "about tables that hold a CIFAR-10 and a CIFAR-100 study of the same VGG, and 7 leaves out "
    "trainings in which the learning rate times the strength of the penalty reaches the bound from "
    "which channels cannot settle below the threshold. Seconds are reported below and not judged: "
    "whether fewer MACs take less time depends on the machine and on the size of the network."
)


@dataclass(frozen=True)
class Claim(claims.Claim):
    """One claim; of a share in percent unless it says another unit.

    Attributes:
        unit: of the difference.
        denies: whether it says that something is no better, so that a study's own noise is granted.
    """

    unit: str = SHARE
    denies: bool = False

    def noise(self, table: pd.DataFrame) -> pd.Series:
        """Two standard errors of the difference; nothing where one is asserted."""
        if not self.denies:
            return super().noise(table)
        return ERRORS * table[f"{self.first}{ERROR}"].fillna(0.0)


CLAIMS = (
    Claim(
        "1a",
        "A larger penalty ratio leaves fewer inference MACs than the next smaller one, by at least "
        f"0.1 %. {LOG}",
        "ratios",
        "cheaper",
        least=LESS,
    ),
    Claim(
        "1b",
        f"A larger penalty ratio is no better by score than the next smaller one. {LOG}",
        "scores",
        "worse",
        unit=ACCURACY.change_unit,
        denies=True,
    ),
    Claim(
        "2",
        "Of what an epoch of training costs less in the end, more than half is saved after a third "
        f"of the training. {LOG}",
        "savings",
        "early_share",
        least=MOST,
    ),
    Claim(
        "3",
        f"Inference is saved more than training, by at least 0.1 %. {README}",
        "savings",
        "inference_saved",
        "training_saved",
        least=LESS,
    ),
    Claim(
        "4a",
        "Of a VGG, the last two convolutions keep a smaller share of their channels than those "
        f"between them and the first one, by at least 0.1 %. {SHAPES}",
        "depths",
        "middle",
        "late",
        least=LESS,
    ),
    Claim(
        "4b",
        "The last two convolutions of a VGG keep a smaller share of their channels on CIFAR-10 "
        f"than on CIFAR-100, by at least 0.1 %. {SHAPES}",
        "datasets",
        "late_cifar100",
        "late_cifar10",
        least=LESS,
    ),
    Claim(
        "5",
        "Keeping the union of the channels that layers need leaves no fewer inference MACs than "
        f"gating, `prunetrain_gating`. {DERIVED}",
        "gating",
        "gated_cheaper",
        denies=True,
    ),
    Claim(
        "6a",
        "Cutting once, at the end, costs as many training MACs as cutting nothing "
        f"(`prunetrain_one_time`). {DERIVED}",
        "savings",
        "one_time_training",
        least=100.0,
        most=100.0,
    ),
    Claim(
        "6b",
        "Cutting once, at the end, costs more training MACs than PruneTrain, by at least 0.1 %. "
        f"{DERIVED}",
        "savings",
        "one_time_training",
        "training",
        least=LESS,
    ),
    Claim(
        "7",
        "Where nothing is cut before the end (`prunetrain_one_time`, `train_then_prune`), at "
        "least 99 % of the channels that were once below the threshold stay below it. "
        f"{ABSTRACT}",
        "settled",
        "stayed",
        least=STAY,
    ),
)
