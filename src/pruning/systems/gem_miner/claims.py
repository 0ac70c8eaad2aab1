"""What Sreenivasan et al. (2022) claim about searching random networks: the table of claims.

Source: Sreenivasan et al., "Rare Gems: Finding Lottery Tickets at Initialization" (NeurIPS 2022),
arXiv 2202.12002. The paper does not number what it claims: numbers here, from 7 on, group claims
about one thing, and stay as they are so that pages can be compared. How claims are tested is in
:mod:`pruning.analysis.claims`, on what in :mod:`pruning.systems.gem_miner.evidence`.
"""

from dataclasses import dataclass
from functools import partial

import pandas as pd

from pruning.analysis import claims
from pruning.systems.gem_miner.rules import SPARSE
from pruning.training.metric import ACCURACY

DENSE = 0.2  # density from which it speaks of the dense one
CHECKED = 3.0  # pp; what passes a sanity check is at least so much better
TOLERANCE = {"pp": 0.5}

READING = (
    "Each row is a claim of Sreenivasan et al. (NeurIPS 2022), *Rare Gems: Finding Lottery Tickets "
    "at Initialization*, and counts the cells that satisfy it. A cell is a study at one density, "
    "the share of weights that is kept; its value is a difference of mean test accuracies over "
    "replicates, in percentage points. Networks that are pruned step by step have densities of "
    "their own: the nearest one stands beside a search, if it is within a tenth in ratio. IMP is "
    "iterative magnitude pruning. The paper does not number its claims; numbers here, from 7 on, "
    "only tell them apart: 7 is about networks before training, 8 after it, 9 about sanity checks, "
    "10 and 11 about Edge-Popup's family, 12 to 14 about long, dense and collapsing searches.\n"
    "\n"
    "Claims about the sparse regime are counted at densities up to 1.5 %, those about the dense "
    "one from 20 % on. A claim *holds* in every cell, *holds within noise* if no cell misses it by "
    "more than {tolerance}, holds *mostly* in at least {mostly} % of the cells, and else *fails*. "
    "The worst margin is that of the cell furthest from satisfying the claim: a negative one "
    "misses it. A row that *describes* is a share of cells and no claim. *No cells* means that "
    "there is nothing here to test the claim on."
)


@dataclass(frozen=True)
class Claim(claims.Claim):
    """One claim, and which cells it is about; of accuracy unless it says another unit.

    Attributes:
        unit: of the difference.
        lowest, highest: densities that it is about.
    """

    unit: str = ACCURACY.change_unit
    lowest: float = 0.0
    highest: float = 1.0

    def selects(self, table: pd.DataFrame) -> pd.Series:
        """Which rows of the layout the claim is about."""
        return super().selects(table) & table["aimed"].between(self.lowest, self.highest)


_sparse = partial(Claim, layout="cells", highest=SPARSE)

CLAIMS = (
    _sparse(
        "7a",
        "Before training, what Gem-Miner found is better than what Edge-Popup found.",
        first="gem_miner_before",
        second="edge_popup_before",
    ),
    _sparse(
        "7b",
        "Before training, what Gem-Miner found is at least 5 points better than a random mask by "
        "Smart Ratio, which is no better than guessing.",
        first="gem_miner_before",
        second="smart_ratio_before",
        least=5.0,
    ),
    _sparse(
        "8a",
        "After training, Gem-Miner is better than Edge-Popup.",
        first="gem_miner",
        second="edge_popup",
    ),
    _sparse(
        "8b",
        "After training, Gem-Miner is better than Smart Ratio.",
        first="gem_miner",
        second="smart_ratio",
    ),
    _sparse(
        "8c",
        "After training, Gem-Miner is at least as good as IMP with warm-up.",
        first="gem_miner",
        second="imp_warm",
    ),
    _sparse(
        "8d",
        "After training, learning-rate rewinding is at least as good as Gem-Miner.",
        first="lr_rewind",
        second="gem_miner",
    ),
    _sparse(
        "9a",
        "Gem-Miner is at least 3 points better than with its mask shuffled within layers.",
        first="gem_miner",
        second="shuffled",
        least=CHECKED,
    ),
    _sparse(
        "9b",
        "Gem-Miner is at least 3 points better than with weights drawn anew.",
        first="gem_miner",
        second="reinitialized",
        least=CHECKED,
    ),
    _sparse(
        "9c",
        "Gem-Miner is at least 3 points better than with weights drawn anew as the authors' code "
        "does, from another distribution.",
        first="gem_miner",
        second="reinitialized_kaiming",
        least=CHECKED,
    ),
    _sparse(
        "9d",
        "Gem-Miner is at least 3 points better than the search that freezes the wrong end.",
        first="gem_miner",
        second="inverted",
        least=CHECKED,
    ),
    _sparse(
        "10a",
        "Of Edge-Popup's family, one threshold for all layers is better than one for each.",
        first="global_edge_popup",
        second="edge_popup",
    ),
    _sparse(
        "10b",
        "Thinning out gradually is better than one threshold at once.",
        first="global_edge_popup_gradual",
        second="global_edge_popup",
    ),
    _sparse(
        "10c",
        "Gem-Miner is better than gradual Edge-Popup.",
        first="gem_miner",
        second="global_edge_popup_gradual",
    ),
    _sparse(
        "11a",
        "A penalty changes gradual Edge-Popup by less than a point after training.",
        first="global_edge_popup_gradual_regularized",
        second="global_edge_popup_gradual",
        least=-1.0,
        most=1.0,
    ),
    _sparse(
        "11b",
        "A penalty makes gradual Edge-Popup worse before training.",
        first="global_edge_popup_gradual_before",
        second="global_edge_popup_gradual_regularized_before",
    ),
    _sparse(
        "12",
        "A search that takes longer finds better.",
        first="gem_miner_long",
        second="gem_miner",
    ),
    Claim(
        "13",
        "In the dense regime, from 20 % kept, IMP with warm-up is better than Gem-Miner, a "
        "limitation that the paper admits.",
        "cells",
        "imp_warm",
        "gem_miner",
        lowest=DENSE,
        descriptive=True,
    ),
    _sparse(
        "14",
        "One threshold for all layers at once may empty layers: it ends within 5 points of "
        "guessing (a development run does, Table 3 does not).",
        first="chance",
        second="global_edge_popup",
        least=-5.0,
        descriptive=True,
    ),
)
