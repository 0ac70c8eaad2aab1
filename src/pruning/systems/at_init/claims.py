"""What Frankle et al. (2021) claim about pruning at initialization: the table of claims.

Source: Frankle, Dziugaite, Roy, Carbin, "Pruning Neural Networks at Initialization: Why Are We
Missing the Mark?" (ICLR 2021), arXiv 2009.08576. Only its abstract and introduction could be read;
every statement says where it is from. How claims are tested is in :mod:`pruning.analysis.claims`,
on what in :mod:`pruning.systems.at_init.evidence`.

A claim that denies a difference is satisfied up to the noise that the paper's replicates have, and
is granted that of a study's own besides. A claim that asserts one needs more than the paper's
noise and is granted nothing: replicates that scatter widely must not speak for it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pruning.analysis import claims
from pruning.analysis.claims import ERROR, ERRORS
from pruning.training.metric import ACCURACY

NAMES = {
    "magnitude": "magnitude pruning",
    "snip": "SNIP",
    "grasp": "GraSP",
    "synflow": "SynFlow",
}
METHODS = tuple(NAMES)  # "the four methods" at initialization
AFTER = "magnitude_after_training"
TICKET = "lottery_ticket"
BASELINES = (AFTER, TICKET)  # what is pruned at the end of the dense training

RANK = "rank correlation"
NOISE = 0.5  # pp, replicates of the paper on CIFAR-10
TOLERANCE = {"pp": 0.0, RANK: 0.0}  # limits are tolerances
HIGH = 0.9  # sparsity from which it is called high

ABSTRACT = "(Abstract.)"
SECOND_HAND = "(Second-hand.)"
NOT_CONFIRMED = "(Not confirmed.)"

READING = (
    "Each row is a claim of Frankle, Dziugaite, Roy and Carbin (ICLR 2021), *Pruning Neural "
    "Networks at Initialization: Why Are We Missing the Mark?*, and counts the cells that satisfy "
    "it. A cell is a method with one ablation, pruned once at one epoch to one sparsity, the share "
    "of weights removed; its score is the mean test accuracy over replicates. At initialization "
    "means epoch 0. The four methods are magnitude pruning, SNIP, GraSP and SynFlow.\n"
    "\n"
    "Where a statement is from says how far it can be trusted to be the paper's. *Abstract*: it is "
    "in the paper's abstract. *Second-hand*: from a public summary, not from the paper. *Not "
    "confirmed*: remembered, or it follows from which layers a mask empties; the body of the paper "
    "could not be read. Results that go against one of the last two may well agree with the "
    "paper. The numbers in the statements are no quotations either.\n"
    "\n"
    "A claim that something makes a difference needs 0.5 pp of it, about the noise of replicates "
    "on CIFAR-10, and is granted nothing. A claim that it makes none may be missed by as much, and "
    "*within noise* adds the cells that miss even that by no more than the noise here, two "
    "standard errors of the difference of the means. The worst margin is that of the cell furthest "
    "from satisfying the claim: a negative one misses it. A claim *holds* in every cell, *holds "
    "within noise* if no cell misses it by more than the noise, holds *mostly* in at least "
    "{mostly} % of the cells, and else *fails*. A row that *describes* is a share of cells and no "
    "claim. *No cells* means that there is nothing here to test the claim on. Where replicates "
    "scatter widely, or networks are so sparse that they learn nothing, little can speak against a "
    "claim of no difference."
)


@dataclass(frozen=True)
class Claim(claims.Claim):
    """One claim, and which cells it is about; of accuracy unless it says another unit.

    Attributes:
        method: whose cells, where a layout has rows of several methods.
        high_sparsity: whether it is about high sparsities only, :data:`HIGH`.
        sparsest: whether it is about the highest sparsity of a study only.
        networks: None for all.
        denies: whether it denies a difference, so that a study's own noise is granted.
    """

    unit: str = ACCURACY.change_unit
    method: str | None = None
    high_sparsity: bool = False
    sparsest: bool = False
    networks: tuple[str, ...] | None = None
    denies: bool = False

    def selects(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of the layout the claim is about."""
        chosen = super().selects(table)
        if self.method is not None:
            chosen &= table["method"] == self.method
        if self.high_sparsity:
            chosen &= table["density"] <= 1 - HIGH + 1e-9
        if self.sparsest:
            chosen &= table["sparsest"]
        if self.networks is not None:
            chosen &= table["network"].isin(self.networks)
        return chosen

    def noise(self, table: pd.DataFrame) -> pd.Series:
        """Two standard errors of the difference; nothing where a difference is asserted."""
        if not self.denies:
            return super().noise(table)
        errors = [table[f"{column}{ERROR}"].fillna(0.0) for column in (self.first, self.second)]
        return ERRORS * np.hypot(*errors)


def _differs(
    name: str, statement: str, layout: str, better: str, worse: str, **more: object
) -> Claim:
    """That one side is better by more than noise."""
    return Claim(name, statement, layout, better, worse, least=NOISE, **more)


def _not_worse(
    name: str, statement: str, layout: str, one: str, other: str, **more: object
) -> Claim:
    """That one side is not worse than the other by more than noise."""
    return Claim(name, statement, layout, one, other, least=-NOISE, denies=True, **more)


def _numbered(number: str, letters: str, methods: tuple[str, ...] = METHODS) -> list[tuple]:
    """(name of the claim, method, its name in a sentence)."""
    return [
        (f"{number}{letter}", method, NAMES[method])
        for letter, method in zip(letters, methods, strict=True)
    ]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


CLAIMS = (
    _differs(
        "4a",
        "GraSP that keeps the weights with the largest absolute scores is better than GraSP by at "
        f"least 0.5 pp. {SECOND_HAND}",
        "methods",
        "grasp_abs",
        "grasp",
    ),
    _differs(
        "5a",
        "Shuffling the masks of SynFlow within each layer makes it better by at least 0.5 pp. "
        f"{SECOND_HAND}",
        "variants",
        "shuffled",
        "unmodified",
        method="synflow",
    ),
    *(
        _not_worse(
            name,
            f"Shuffling the masks of {spoken} at initialization within each layer lowers accuracy "
            f"by at most 0.5 pp. {ABSTRACT}",
            "variants",
            "shuffled",
            "unmodified",
            method=method,
        )
        for name, method, spoken in _numbered("8", "abcd")
    ),
    *(
        _not_worse(
            name,
            f"New initial weights under the masks of {spoken} at initialization lower accuracy by "
            f"at most 0.5 pp. {ABSTRACT}",
            "variants",
            "reinitialized",
            "unmodified",
            method=method,
        )
        for name, method, spoken in _numbered("8", "efgh")
    ),
    _differs(
        "8i",
        "Shuffling the masks of magnitude pruning after training within each layer lowers accuracy "
        f"by at least 0.5 pp. {ABSTRACT}",
        "variants",
        "unmodified",
        "shuffled",
        method=AFTER,
    ),
    _differs(
        "8j",
        "New initial weights under the masks of magnitude pruning after training lower accuracy by "
        f"at least 0.5 pp. {ABSTRACT}",
        "variants",
        "unmodified",
        "reinitialized",
        method=AFTER,
    ),
    *(
        _differs(
            name,
            f"At 90 % sparsity and above, {spoken} at initialization is better than random pruning "
            f"by at least 0.5 pp. {ABSTRACT}",
            "methods",
            method,
            "random",
            high_sparsity=True,
        )
        for name, method, spoken in _numbered("9", "abcd")
    ),
    *(
        _not_worse(
            name,
            f"{_capital(spoken)} at initialization is at most 0.5 pp better than magnitude pruning "
            f"after training. {ABSTRACT}",
            "methods",
            AFTER,
            method,
        )
        for name, method, spoken in _numbered("9", "efgh")
    ),
    *(
        _not_worse(
            name,
            f"{_capital(spoken)} at initialization is at most 0.5 pp better than lottery tickets. "
            f"{SECOND_HAND}",
            "methods",
            TICKET,
            method,
        )
        for name, method, spoken in _numbered("9", "ijkl")
    ),
    *(
        _differs(
            name,
            f"Keeping the weights that {spoken} would remove first lowers accuracy by at least "
            f"0.5 pp. {NOT_CONFIRMED}",
            "variants",
            "unmodified",
            "inverted",
            method=method,
        )
        for name, method, spoken in _numbered("10", "abc", ("magnitude", "snip", "synflow"))
    ),
    Claim(
        "10d",
        "Keeping the weights that GraSP would remove first does not lower accuracy appreciably, by "
        "at most 2 pp. (Not confirmed; a reproduction by students lost up to 1.8 pp.)",
        "variants",
        "inverted",
        "unmodified",
        least=-2.0,
        denies=True,
        method="grasp",
    ),
    *(
        Claim(
            name,
            f"The later in training {spoken} is applied, the better: at the same sparsity, the "
            f"rank correlation of epoch and accuracy is at least 0.5. {SECOND_HAND}",
            "epochs",
            "correlation",
            least=0.5,
            unit=RANK,
            method=method,
        )
        for name, method, spoken in _numbered("11", "abcd")
    ),
    *(
        _not_worse(
            name,
            f"{_capital(spoken)} later in training is at most 0.5 pp better than lottery tickets. "
            f"{SECOND_HAND}",
            "later",
            TICKET,
            "pruned_later",
            method=method,
        )
        for name, method, spoken in _numbered("11", "efgh")
    ),
    Claim(
        "12a",
        "At the highest sparsity of a study, SynFlow is the best of the four methods at "
        f"initialization. {NOT_CONFIRMED}",
        "methods",
        "synflow",
        "rival of synflow",
        sparsest=True,
        descriptive=True,
    ),
    Claim(
        "12b",
        "At the highest sparsity of a study with VGG-16, SNIP is the best of the four methods at "
        f"initialization. {NOT_CONFIRMED}",
        "methods",
        "snip",
        "rival of snip",
        sparsest=True,
        networks=("vgg16",),
        descriptive=True,
    ),
)
