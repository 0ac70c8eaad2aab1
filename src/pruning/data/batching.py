"""How training images become batches, as plain values: no torch, so that a study is checked fast.

:mod:`pruning.data.batches` carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pruning.errors import PruningError, unknown

EPOCH_BOUNDARIES = ("straddle", "keep", "drop")
MOST_PASSES = 100  # over the training examples within one batch
# What may be subtracted from pixels in [0, 1] and what they may be divided by; a tenth of the least
# difference of two grey values is near enough to nothing.
MOST, LEAST_STD = 10, 4e-4
NORMALIZATIONS = ("per_channel", "per_image", "scale", "given")


@dataclass(frozen=True)
class ResizedCrop:
    """Which crops of an image are resized to its size; see :mod:`pruning.data.resized_crop`.

    Attributes:
        scale: lowest and highest area, as fractions of the image's.
        ratio: lowest and highest ratio of width to height.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]

    def __post_init__(self) -> None:
        for name, most in (("scale", 1.0), ("ratio", 100.0)):
            values = getattr(self, name)
            if len(values) != 2 or not 0 < values[0] <= values[1] <= most:
                raise PruningError(
                    f"resized_crop: `{name}` is a lowest and a highest value, above 0 and at most "
                    f"{most:g}; it is {list(values)}."
                )


@dataclass(frozen=True)
class Batching:
    """How training images become batches.

    Attributes:
        size: images per batch.
        epoch_boundary: ``straddle``: batches run across epochs, so an epoch is N/size steps
            (390.625 for CIFAR-10 at 128, as in Renda et al.); ``keep``: the last, short batch of
            an epoch is used; ``drop``: it is left out.
        crop_padding: zero-pad by this many pixels and take a random crop of the original size.
        resized_crop: instead, take a random crop of another size and resize it.
        flip: mirror left to right with probability one half.
        normalization: ``per_channel``, ``per_image``, ``scale`` or ``given``; see
            :class:`pruning.data.batches.Normalizer`.
        mean, std: of each channel for ``given``, where pixels lie in [0, 1]; else empty.
    """

    size: int
    epoch_boundary: str = "straddle"
    crop_padding: int = 0
    flip: bool = False
    normalization: str = "per_channel"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resized_crop: ResizedCrop | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise PruningError(f"The batch size must be at least 1, it is {self.size}.")
        if self.epoch_boundary not in EPOCH_BOUNDARIES:
            raise unknown("epoch boundary", self.epoch_boundary, EPOCH_BOUNDARIES)
        if self.normalization not in NORMALIZATIONS:
            raise unknown("normalization", self.normalization, NORMALIZATIONS)
        if self.crop_padding and self.resized_crop:
            raise PruningError(
                "`crop_padding` and `resized_crop` are two ways to crop an image. Take one out."
            )
        self._check_given()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Batching":
        """A batching from plain values, as a study file has them. Raises like the class itself."""
        values = dict(values)
        for key in ("mean", "std"):
            values[key] = tuple(values.get(key, ()))
        if values.get("resized_crop") is not None:
            limits = {key: tuple(pair) for key, pair in values["resized_crop"].items()}
            values["resized_crop"] = ResizedCrop(**limits)
        return cls(**values)

    def steps_per_epoch(self, images: int) -> Fraction:
        """Optimizer steps in one epoch over ``images`` images, exactly."""
        if not images:
            raise PruningError(
                "No training image is left. Use a data set that has some, or a smaller part of it "
                "to validate."
            )
        if self.epoch_boundary == "straddle":
            if self.size > MOST_PASSES * images:
                raise PruningError(
                    f"A batch of {self.size} (batches.size) would have each of the {images} "
                    f"training images {self.size // images:,} times. Use a smaller batch."
                )
            return Fraction(images, self.size)
        steps = -(-images // self.size) if self.epoch_boundary == "keep" else images // self.size
        if steps == 0:
            raise PruningError(
                f"A batch of {self.size} (batches.size) is larger than the {images} training "
                "images, and epoch_boundary: drop leaves nothing. Use a smaller batch, or straddle."
            )
        return Fraction(steps)

    def smallest(self, images: int) -> int:
        """How many images the smallest batch has, of a training set of so many."""
        if self.epoch_boundary == "keep":
            return images % self.size or self.size
        return self.size

    def _check_given(self) -> None:
        if self.normalization != "given":
            if self.mean or self.std:
                raise PruningError(
                    f"`mean` and `std` go with normalization: given, it is {self.normalization}. "
                    "Take them out, or write normalization: given."
                )
            return
        if not self.mean or len(self.mean) != len(self.std):
            raise PruningError(
                "normalization: given needs `mean` and `std`, one number for each channel, where "
                f"pixels lie in [0, 1]; they are {list(self.mean)} and {list(self.std)}."
            )
        possible = [abs(mean) <= MOST for mean in self.mean]
        if not all(possible + [LEAST_STD <= std <= MOST for std in self.std]):
            raise PruningError(
                f"normalization: given needs a `mean` from -{MOST} to {MOST} and a `std` from "
                f"{LEAST_STD:g} to {MOST}, as pixels lie in [0, 1]; `mean` is {list(self.mean)}, "
                f"`std` is {list(self.std)}. Divide statistics of pixels up to 255 by 255."
            )
