"""Methods that prune once, before training or at some step of it, and their ablations: two tables.

Frankle, Dziugaite, Roy, Carbin: "Pruning Neural Networks at Initialization: Why Are We Missing the
Mark?" (ICLR 2021, arXiv 2009.08576). A method is one row: which score, of which weights, and what
is trained afterwards. A variant is one row: what is done to the ranking, the masks or the weights.
To add either, add a row; nothing else changes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pruning.errors import look_up

# A new row changes no other; the row a stage uses is among the stage's parameters.
CODE_VERSION_SKIP = "a table of rows"


@dataclass(frozen=True)
class Method:
    """One way to choose which weights are trained.

    Attributes:
        score: a key of :data:`pruning.registry.SCORES`.
        scored: ``start``: the weights at initialization are scored, or those at a later epoch where
            a study prunes later; ``end``: those of the trained network.
        trained: ``scored``: training goes on from the weights that were scored; ``rewind``: from
            those at the study's rewind epoch.
        schedule: ``whole``: the learning rate's schedule begins anew and training takes T epochs;
            ``rest``: it goes on where the trained weights are from.
        iterations: rounds of scoring and pruning.
        scope, ranked: see :class:`pruning.masks.weights.Selection`.
        score_options: what the score takes besides.
        images: whether the score looks at training images.
        faulty: whether it repeats a published fault; it is then left out of the usual figures.
    """

    score: str
    scored: Literal["start", "end"] = "start"
    trained: Literal["scored", "rewind"] = "scored"
    schedule: Literal["whole", "rest"] = "whole"
    iterations: int = 1
    scope: str = "global"
    ranked: str = "kernels"
    score_options: Mapping[str, Any] = field(default_factory=dict)
    images: bool = False
    faulty: bool = False


@dataclass(frozen=True)
class Variant:
    """One ablation (reference, section 5 of the paper).

    Attributes:
        keep: which end of the ranking is kept, in every iteration.
        shuffle: whether the masks are permuted within each tensor: those of the variant that is the
            same but for that.
        weights: ``kept``, or ``fresh``: a new draw of the whole network.
    """

    keep: Literal["largest", "smallest"] = "largest"
    shuffle: bool = False
    weights: Literal["kept", "fresh"] = "kept"


WITH_SCALES = "kernels_and_norm_scales"

METHODS = {
    "random": Method("random"),
    "random_layerwise": Method("random", scope="layerwise"),
    "magnitude": Method("magnitude"),
    "snip": Method("snip", images=True),
    "grasp": Method("grasp", images=True),
    "grasp_abs": Method("grasp_abs", images=True),
    "synflow": Method("synflow", iterations=100),
    # What pruning at initialization is measured by.
    "magnitude_after_training": Method("magnitude", scored="end"),
    "lottery_ticket": Method("magnitude", scored="end", trained="rewind", schedule="rest"),
    "lottery_ticket_whole_schedule": Method("magnitude", scored="end", trained="rewind"),
    # Two faults of a published reproduction, to see what they do; see docs/pruning-at-init.md.
    "magnitude_with_norm_scales": Method("magnitude", ranked=WITH_SCALES, faulty=True),
    "snip_with_norm_scales": Method("snip", ranked=WITH_SCALES, images=True, faulty=True),
    "grasp_with_norm_scales": Method("grasp", ranked=WITH_SCALES, images=True, faulty=True),
    "synflow_without_masks": Method("synflow", ranked="nothing", faulty=True),
}

UNMODIFIED = "unmodified"
VARIANTS = {
    UNMODIFIED: Variant(),
    "shuffled": Variant(shuffle=True),
    "reinitialized": Variant(weights="fresh"),
    "inverted": Variant(keep="smallest"),
}


def method(name: str) -> Method:
    """The row of a method.

    Raises:
        PruningError: no such method.
    """
    return look_up("method of pruning at initialization", name, METHODS)


def variant(name: str) -> Variant:
    """The row of a variant.

    Raises:
        PruningError: no such variant.
    """
    return look_up("variant", name, VARIANTS)


def is_faulty(name: str) -> bool:
    """Whether a method repeats a published fault."""
    return name in METHODS and METHODS[name].faulty


def mask_variant(name: str) -> str:
    """The variant whose masks a variant trains: one that only changes weights has no own masks."""
    row = variant(name)
    return _cut_by(row.keep, row.shuffle)


def shuffled_variant(name: str) -> str:
    """The variant whose masks a shuffled variant permutes."""
    return _cut_by(variant(name).keep, shuffle=False)


def _cut_by(keep: str, shuffle: bool) -> str:
    return next(
        name for name, row in VARIANTS.items() if (row.keep, row.shuffle) == (keep, shuffle)
    )


def to_dict(row: Method | Variant) -> dict[str, Any]:
    """Plain values, for fingerprints."""
    return asdict(row)
