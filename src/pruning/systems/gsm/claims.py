"""What Ding et al. (2019) claim about global sparse momentum SGD: the table of claims.

Source: Ding et al., "Global Sparse Momentum SGD for Pruning Very Deep Neural Networks" (NeurIPS
2019), arXiv 1909.12778. Of the paper itself, only its equations and result tables could be read, on
the authors' poster; every statement says where it is from. How claims are tested is in
:mod:`pruning.analysis.claims`, on what in :mod:`pruning.systems.gsm.evidence`.

The paper tells no noise of replicates. A claim that denies a difference is satisfied up to a limit
and is granted the noise of a study's own replicates besides. A claim that asserts one needs more
than the limit and is granted nothing: replicates that scatter widely must not speak for it.
"""

from dataclasses import dataclass

import pandas as pd

from pruning.analysis import claims
from pruning.analysis.claims import ERROR, ERRORS
from pruning.systems.gsm.published import same_density
from pruning.training.metric import ACCURACY

LOSSLESS = 0.1  # pp; full schedules are expected to lose less by zeroing
AS_PUBLISHED = 0.2  # pp; how far a change by pruning may be below the published one
TOLERANCE = {"pp": 0.0}  # limits are tolerances

SECOND_HAND = "(Second-hand.)"
NOT_CONFIRMED = "(Not confirmed.)"

READING = (
    "Each row is a claim of Ding et al. (NeurIPS 2019), *Global Sparse Momentum SGD for Pruning "
    "Very Deep Neural Networks*, and counts the cells that satisfy it. A cell is a study's network "
    "at one density, the share of kernel weights that is kept (compression ratio: one over it). "
    "Its value is a difference of two test accuracies of the same replicate, as a mean over "
    "replicates. GSM means unmodified GSM: ablations count where a statement names them.\n"
    "\n"
    "Where a statement is from says how far it can be trusted to be the paper's. *Table*: its "
    "numbers are in that table of the paper. *Second-hand*: from public summaries, not from the "
    "paper. *Not confirmed*: remembered, or it follows from how the method works; the body of the "
    "paper could not be read. The limits are not the paper's, which tells neither the number of "
    "its replicates nor their spread: 0.1 pp for a difference that there is or is not, and for "
    "accuracy before and after pruning 0.2 pp below about the published difference, as is fit for "
    "full schedules. A network that gains by GSM is not counted against it. After a short dense "
    "training it gains easily, as GSM trains on.\n"
    "\n"
    "A claim that something makes a difference is granted nothing. A claim that it makes none may "
    "miss its limit by the noise, two standard errors of the mean difference over replicates; "
    "*within noise* adds the cells that do. The worst margin is that of the cell furthest from "
    "satisfying the claim: a negative one misses it. A claim *holds* in every cell, *holds within "
    "noise* if no cell misses it by more than the noise, holds *mostly* in at least {mostly} % of "
    "the cells, and else *fails*. *No cells* means that there is nothing here to test the claim "
    "on. Published densities are 25 % and below; at milder ones there is little to lose, and so "
    "little to be better by. What the paper says about momentum, about the sparsity of layers and "
    "about weights during training is not among these claims: figures show it."
)


@dataclass(frozen=True)
class Claim(claims.Claim):
    """One claim, and which cells it is about; of accuracy unless it says another unit.

    Attributes:
        network, dataset, density: the only cells it is about; None for all.
        denies: whether it denies a difference, so that a study's own noise is granted.
    """

    unit: str = ACCURACY.change_unit
    network: str | None = None
    dataset: str | None = None
    density: float | None = None
    denies: bool = False

    def selects(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of the layout the claim is about."""
        chosen = super().selects(table)
        if self.network is not None:
            chosen &= table["network"] == self.network
        if self.dataset is not None:
            chosen &= table["dataset"] == self.dataset
        if self.density is not None:
            chosen &= same_density(table["density"], self.density)
        return chosen

    def noise(self, table: pd.DataFrame) -> pd.Series:
        """Two standard errors of the difference; nothing where a difference is asserted."""
        if not self.denies:
            return super().noise(table)
        return ERRORS * table[f"{self.first}{ERROR}"].fillna(0.0)


# Letter, network, its name, data set, density, what its ratio is called, about the published change
# of accuracy in pp, table of the paper.
_PRUNED = (
    ("a", "lenet_300_100", "LeNet-300-100", "mnist", 1 / 60, "60x", 0.0, 1),
    ("b", "lenet_5", "LeNet-5", "mnist", 1 / 125, "125x", 0.0, 1),
    ("c", "lenet_5", "LeNet-5", "mnist", 1 / 300, "300x", -0.15, 1),
    ("d", "resnet56", "ResNet-56", "cifar10", 0.1, "10x", -0.25, 2),
    ("e", "resnet56", "ResNet-56", "cifar10", 0.15, "6.6x (to 15 %)", 0.0, 2),
)

CLAIMS = (
    Claim(
        "8a",
        "Zeroing the smallest weights after GSM is lossless: it changes accuracy by at most "
        f"0.1 pp. {SECOND_HAND}",
        "differences",
        "zeroing",
        least=-LOSSLESS,
        most=LOSSLESS,
        denies=True,
    ),
    Claim(
        "8b",
        "Pruning the dense network straight to the same density, by magnitude and without "
        f"training, loses at least 0.1 pp more than GSM. {NOT_CONFIRMED}",
        "differences",
        "direct",
        least=LOSSLESS,
    ),
    *(
        Claim(
            f"9{letter}",
            f"{name} pruned {ratio} is at most {AS_PUBLISHED - change:g} pp worse than the dense "
            f"network; about {abs(change):g} pp is published. (Table {table}.)",
            "differences",
            "pruning",
            least=change - AS_PUBLISHED,
            network=network,
            dataset=dataset,
            density=density,
            denies=True,
        )
        for letter, network, name, dataset, density, ratio, change, table in _PRUNED
    ),
    Claim(
        "10a",
        "Winning tickets found by GSM are better than those found by magnitude, by at least "
        "0.1 pp. (Table 4.)",
        "differences",
        "tickets",
        least=LOSSLESS,
    ),
    Claim(
        "10b",
        "The lead of winning tickets found by GSM grows with compression, by at least 0.1 pp from "
        "each density to the next smaller one. (Table 4.)",
        "differences",
        "growth",
        least=LOSSLESS,
    ),
    Claim(
        "13a",
        "Choosing anew in every step which weights are active is at most 0.1 pp worse than the "
        f"choice of the first step (variant `frozen`). {NOT_CONFIRMED}",
        "differences",
        "reselection",
        least=-LOSSLESS,
        denies=True,
    ),
)
