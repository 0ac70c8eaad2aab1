"""How the pictures of a tree are cut to one size when they are read. No torch, no numpy."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pruning.errors import PruningError, unknown

INTERPOLATIONS = ("bicubic", "bilinear")
WHITE = 255
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Cut:
    """How pictures of any size become images of one.

    Attributes:
        size: pixels of each side.
        resize: of a picture whose shorter side has so many pixels, evaluation sees the central
            size x size. Of others it sees as large a part: a square of int(size / resize * shorter
            side) pixels, resized to ``size``, as Renda et al. do (scaleout reference, section 3.3).
            torchvision's ``Resize`` and ``CenterCrop`` round after resizing instead of before.
        interpolation: ``bicubic`` or ``bilinear``, both with antialiasing, as Pillow's are.
        grey: one channel instead of three.
        background: grey level of what lies behind transparent pixels.
    """

    size: int
    resize: int
    interpolation: str = "bicubic"
    grey: bool = False
    background: int = WHITE

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)
        if self.resize < self.size:
            raise PruningError(
                f"`resize` is {self.resize} and `size` {self.size}: evaluation would see more than "
                "the whole picture. Make `resize` as large as `size`, or larger."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return self.size, self.size, 1 if self.grey else 3

    def central(self, height: int, width: int) -> Box:
        """What evaluation sees of a picture: top, left, rows, columns."""
        side = max(1, self.size * min(height, width) // self.resize)
        return (height - side + 1) // 2, (width - side + 1) // 2, side, side

    def to_dict(self) -> dict[str, Any]:
        """Plain values; :meth:`from_dict` takes them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cut":
        """From plain values. Raises TypeError where they are others, and like the class itself."""
        return cls(**values)
