"""Which convolutions structured pruning thins out, and by how much (variants A and B).

The layers are those of Li et al. (2017) as used by Liu et al. (2019); fractions and indices from
the code of Renda et al. (2020), reference section 3. Convolutions are counted from 1 in module
order, projections of shortcuts left out, so that in a residual network of basic blocks the stem
is 1 and even indices are the first convolution of each block.
"""

from dataclasses import dataclass

# A new entry changes no other; the entry a stage uses is among the stage's parameters.
CODE_VERSION_SKIP = "a table of layers"


@dataclass(frozen=True)
class Thinning:
    """Some convolutions, and the fraction of their filters that each level removes.

    Attributes:
        convs: indices from 1.
        fraction: level i removes 1 - (1 - fraction)^i of the original filters.
    """

    convs: tuple[int, ...]
    fraction: float


def _even(first: int, last: int, but: tuple[int, ...] = ()) -> tuple[int, ...]:
    return tuple(i for i in range(first, last + 1, 2) if i not in but)


_RESNET34 = (4, 6, 10, 12, 18, 20, 22, 24)

# {network: {variant: thinnings}}
FRACTIONS: dict[str, dict[str, tuple[Thinning, ...]]] = {
    "resnet56": {
        "structured_a": (Thinning(_even(2, 54, but=(16, 20, 38, 54)), 0.1),),
        "structured_b": (
            Thinning(_even(2, 18, but=(16, 18)), 0.6),
            Thinning(_even(20, 36, but=(20, 34)), 0.3),
            Thinning(_even(38, 54, but=(38, 54)), 0.1),
        ),
    },
    "resnet110": {
        "structured_a": (Thinning(_even(2, 34), 0.5),),
        "structured_b": (
            Thinning(_even(2, 36, but=(36,)), 0.5),
            Thinning(_even(38, 72, but=(38,)), 0.4),
            Thinning(_even(74, 108, but=(74,)), 0.3),
        ),
    },
    "resnet34": {
        "structured_a": (Thinning(_RESNET34, 0.3),),
        "structured_b": (
            Thinning((4, 6), 0.5),
            Thinning((10, 12), 0.6),
            Thinning((18, 20, 22, 24), 0.4),
        ),
    },
    "vgg16": {
        "structured_a": (Thinning((1, 8, 9, 10, 11, 12, 13), 0.5),),
    },
}
