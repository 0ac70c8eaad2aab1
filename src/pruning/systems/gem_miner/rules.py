"""Methods that search a random network for a subnetwork, and the checks of what they find: tables.

Sreenivasan, Sohn, Yang, Grinde, Nagle, Wang, Xing, Lee, Papailiopoulos: "Rare Gems: Finding Lottery
Tickets at Initialization" (NeurIPS 2022, arXiv 2202.12002), and Ramanujan, Wortsman, Kembhavi,
Farhadi, Rastegari: "What's Hidden in a Randomly Weighted Neural Network?" (CVPR 2020). A method is
one row: how scores become a mask, how sparse it gets and when. To add one, add a row.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pruning.errors import PruningError, look_up, unknown

# A new row changes no other; the row a stage uses is among the stage's parameters.
CODE_VERSION_SKIP = "a table of rows"

SPARSE = 0.015  # density up to which the paper speaks of the sparse regime (1.44 % and below)

PENALTIES: Mapping[str, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "l1": (1.0, 0.0),
    "l2": (0.0, 1.0),
    "l1_l2": (1.0, 1.0),
}  # weights of the sum of |p| and of the sum of p^2


@dataclass(frozen=True)
class Method:
    """One way to search.

    Attributes:
        mask: ``rounded``: scores lie in [0, 1], and those above 0.5 keep their weight;
            ``layerwise``: the largest |scores| of each tensor do; ``global``: the largest of all.
        sparsifies: ``freezing``: at the end of every period a share of the weights that are left is
            frozen out for good; ``at_once``: the mask has its density from the first step on;
            ``gradually``: its density falls at the end of periods, and weights may come back.
        penalty: what of the scores is penalized, a key of :data:`PENALTIES`.
        scores: where scores start, a key of
            :data:`pruning.systems.gem_miner.scores.INITIALIZATIONS`.
        freezes: which end of the scores is frozen out.
    """

    mask: Literal["rounded", "layerwise", "global"]
    sparsifies: Literal["freezing", "at_once", "gradually"]
    penalty: str = "none"
    scores: str = "kaiming_uniform"
    freezes: Literal["smallest", "largest"] = "smallest"


METHODS: Mapping[str, Method] = {
    "gem_miner": Method("rounded", "freezing", "l2", "uniform"),
    # The same, searched for longer: a study says for how long.
    "gem_miner_long": Method("rounded", "freezing", "l2", "uniform"),
    "gem_miner_l1": Method("rounded", "freezing", "l1", "uniform"),
    "gem_miner_l1_l2": Method("rounded", "freezing", "l1_l2", "uniform"),
    # The sanity check that searches anew, and keeps the wrong end of the scores.
    "gem_miner_inverted": Method("rounded", "freezing", "l2", "uniform", freezes="largest"),
    "edge_popup": Method("layerwise", "at_once"),
    "global_edge_popup": Method("global", "at_once"),
    "global_edge_popup_gradual": Method("global", "gradually"),
    "global_edge_popup_gradual_regularized": Method("global", "gradually", "l2"),
}


@dataclass(frozen=True)
class Baseline:
    """One way to choose a mask without a search; it trains by the study's recipe or one of its own.

    Attributes:
        pruning: what the prune stage is told, besides the density.
    """

    pruning: Mapping[str, Any]


BASELINES: Mapping[str, Baseline] = {
    "smart_ratio": Baseline({"kind": "smart_ratio"}),
    "random_subnetwork": Baseline({"kind": "weights", "score": "random"}),
}


@dataclass(frozen=True)
class Variant:
    """What is done to what a search found before it is trained (Frankle et al. 2021).

    Attributes:
        shuffle: whether the mask is permuted within each tensor.
        weights: ``kept``: those that were searched; ``fresh``: a new draw of the whole network,
            with the search's ``fan_share``.
        initialization: of the fresh draw; None: the network's own.
    """

    shuffle: bool = False
    weights: Literal["kept", "fresh"] = "kept"
    initialization: str | None = None


UNMODIFIED = "unmodified"
VARIANTS: Mapping[str, Variant] = {
    UNMODIFIED: Variant(),
    "shuffled": Variant(shuffle=True),
    "reinitialized": Variant(weights="fresh"),
    # As the authors' code draws: another distribution than the one that was searched.
    "reinitialized_kaiming": Variant(weights="fresh", initialization="kaiming_normal"),
}


@dataclass(frozen=True)
class Search:
    """How one search is set.

    Attributes:
        method: a key of :data:`METHODS`.
        density: fraction of prunable weights that is kept in the end, in (0, 1]; 1 with
            ``freezing`` freezes nothing.
        period: epochs between changes of the density.
        strength: lambda, what the penalty is multiplied by; the gradient of a score p gets
            2 lambda p of the sum of squares.
        scores: where scores start instead of where the method's row says.
        fan_share: kernels start as if their fan-in were so many times what it is, that is divided
            by its square root; 1 leaves them as they are. The authors take 1 minus the density for
            Edge-Popup, where the density itself would keep the variance.

    Raises:
        PruningError: a value that cannot be.
    """

    method: str = "gem_miner"
    density: float = 1.0
    period: int = 5
    strength: float = 0.0
    scores: str | None = None
    fan_share: float = 1.0

    def __post_init__(self) -> None:
        row = self.row
        if row.penalty not in PENALTIES:
            raise unknown("penalty", row.penalty, PENALTIES)
        if not 0 < self.density <= 1:
            raise PruningError(
                f"A search's density is the fraction of weights it keeps and lies in (0, 1]; "
                f"{self.density} does not."
            )
        if self.period < 1:
            raise PruningError(f"A search's period is at least 1 epoch, not {self.period}.")
        if not 0 <= self.strength < math.inf:
            raise PruningError(f"A search's penalty has a strength from 0 on, not {self.strength}.")
        if self.strength and row.penalty == "none":
            raise PruningError(
                f"The search {self.method!r} has no penalty: leave out its strength, or take "
                "another method."
            )
        if not 0 < self.fan_share <= 1:
            raise PruningError(f"A search's fan_share lies in (0, 1]; {self.fan_share} does not.")

    @property
    def row(self) -> Method:
        """The method's row."""
        return method(self.method)

    @property
    def score_initialization(self) -> str:
        """Where scores start."""
        return self.scores or self.row.scores

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for fingerprints: what is set, and the method's row."""
        return asdict(self) | {"row": asdict(self.row)}


def method(name: str) -> Method:
    """The row of a method.

    Raises:
        PruningError: no such method.
    """
    return look_up("method of search", name, METHODS)


def variant(name: str) -> Variant:
    """The row of a variant.

    Raises:
        PruningError: no such variant.
    """
    return look_up("variant", name, VARIANTS)
