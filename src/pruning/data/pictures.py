"""Image files to arrays, for the data sets that are trees of them."""

import contextlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pruning.data.cut import WHITE
from pruning.data.resize import check_size, resize
from pruning.errors import PruningError

# What Pillow calls the pixels of a file, and how they become one or three bytes. Its own conversion
# cuts what has more than 8 bits at 255, and takes alpha off whatever colour is below it.
PLAIN, DEEP, ALPHA = "plain", "deep", "alpha"
MODES = {
    **dict.fromkeys(("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"), PLAIN),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), DEEP),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), ALPHA),
}
DEEP_FORMATS = ("PNG", "PPM", "TIFF")  # which say how many of 16 bits they use
SCALED = "images of 16 bits, scaled to 8"
# TIFF's tags.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
ORIENTATION = 0x0112


class Decoder:
    """Decodes the images of one data set, all in one way.

    Transparent images are laid over a background of one grey level. Sixteen bits of grey are scaled
    to eight by the range of their format. Images are turned as their EXIF data say, as viewers do.

    Args:
        name: of the data set, for messages.
        size: resize to size x size pixels.
        grey: one channel instead of three.
        background: grey level of what lies behind transparent pixels.

    Attributes:
        notes: what was done to images that are out of the ordinary, counted.

    Raises:
        PruningError: an option of another type.
    """

    def __init__(
        self,
        name: str,
        size: int | None = None,
        grey: bool = False,
        background: int = WHITE,
    ) -> None:
        check_size(name, size)
        if isinstance(background, bool) or background not in range(256):
            raise PruningError(
                f"Data set {name!r}: `background` is a grey level, a whole number from 0 to 255; "
                f"it is {background!r}."
            )
        if not isinstance(grey, bool):
            raise PruningError(f"Data set {name!r}: `grey` is true or false, it is {grey!r}.")
        self.name, self.size, self.grey, self.background = name, size, grey, int(background)
        self.notes: Counter[str] = Counter()

    def __call__(self, where: str, content: bytes) -> np.ndarray:
        """One image, uint8 (H, W, C).

        Args:
            where: of the image, for messages.
            content: the file's bytes.

        Raises:
            PruningError: no readable image, or one that 8 bits do not hold; names it.
        """
        with self._opened(where, content) as picture:
            array = np.asarray(self._pixels(where, picture))
            array = array if array.ndim == 3 else array[..., None]
            return array if self.size is None else resize(array, self.size)

    def picture(self, where: str, content: bytes) -> Any:
        """The same as Pillow has it, of mode RGB or L and in its own size."""
        with self._opened(where, content) as picture:
            return self._pixels(where, picture)

    def look(self, where: str, content: bytes) -> None:
        """Refuse what is no image, or one of a kind that cannot be decoded, by its header alone.

        Notes what decoding would.
        """
        with self._opened(where, content) as picture:
            self._check_frames(where, picture)
            kind = self._kind(where, picture)
            if kind == DEEP:
                self.notes[SCALED] += 1
            elif kind == ALPHA or picture.has_transparency_data:
                self.notes[self._laid_over] += 1

    @contextlib.contextmanager
    def _opened(self, where: str, content: bytes) -> Iterator[Any]:
        from PIL import Image

        try:
            with warnings.catch_warnings():
                # Else nothing says which file it is that is too large.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content)) as picture:
                    yield picture
        except PruningError:
            raise
        except Exception as error:  # whatever Pillow fails with, this file is why
            raise self._refusal(
                where, f"is not a readable image ({_reason(error)}). Mend or remove it"
            ) from None

    def _pixels(self, where: str, picture: Any) -> Any:
        from PIL import Image

        self._check_frames(where, picture)
        rawmode = _rawmode(picture)  # which is gone once the pixels are there
        picture.load()
        _turn(picture)
        kind = self._kind(where, picture)
        if kind == DEEP:
            return Image.fromarray(self._deep(where, picture))
        if kind == PLAIN and not picture.has_transparency_data:
            return picture.convert("L" if self.grey else "RGB")
        return self._over_background(where, picture, rawmode)

    def _check_frames(self, where: str, picture: Any) -> None:
        frames = getattr(picture, "n_frames", 1)
        if frames == 1:
            return
        if picture.format == "MPO":  # of cameras: what follows are previews and depth maps
            self.notes["files with several pictures, of which the first was taken"] += 1
            return
        raise self._refusal(
            where,
            f"holds {frames} pictures (frames or pages). Save the one that counts in a file of its "
            "own",
        )

    def _kind(self, where: str, picture: Any) -> str:
        """What to do with these pixels: PLAIN, DEEP or ALPHA."""
        mode = picture.mode
        if mode == "I" and picture.format in ("PNG", "PPM"):
            # These have no more than 16 bits. Pillow scales the fewer of PPM to the whole range.
            return DEEP
        if mode not in MODES or (MODES[mode] == DEEP and picture.format not in DEEP_FORMATS):
            bits = {"I": ", integers of 32 or signed ones of 16 bits", "F": ", floating point"}
            raise self._refusal(
                where,
                f"has pixels of the kind {mode!r}{bits.get(mode, '')}, of which it cannot be told "
                "what is black and what is white. Convert it to 8 bits (or 16 bits of grey)",
            )
        tags = getattr(picture, "tag_v2", {})
        if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
            raise self._refusal(
                where, "has signed pixels, which would be read as others. Convert it to 8 bits"
            )
        return MODES[mode]

    def _deep(self, where: str, picture: Any) -> np.ndarray:
        tags = getattr(picture, "tag_v2", {})
        values = np.asarray(picture).astype(np.int64)
        top = 2 ** max(tags.get(BITS, (16,))) - 1
        grey = (2 * 255 * values + top) // (2 * top)
        if tags.get(PHOTOMETRIC) == 0:  # zero is white, which Pillow leaves
            grey = 255 - grey
        transparent = picture.info.get("transparency")
        if transparent is not None:
            visible = np.where(values == transparent, self.background, grey)
            self._check_visible(where, visible, values)
            grey = visible
        self.notes[SCALED] += 1
        if values.max() < top / 16:
            self.notes["images that use less than a sixteenth of their 16 bits"] += 1
        grey = grey.astype(np.uint8)
        return grey if self.grey else np.stack([grey] * 3, axis=-1)

    def _over_background(self, where: str, picture: Any, rawmode: str) -> Any:
        from PIL import Image

        transparent = picture.info.get("transparency")
        if picture.mode == "RGB" and ";16" in rawmode:
            raise self._refusal(
                where,
                "has 16 bits for each colour and a transparent one, which 8 bits do not tell "
                "apart. Convert it to 8 bits",
            )
        if picture.mode == "L" and rawmode in ("L;2", "L;4"):
            # Pillow scales the pixels to 8 bits, but not the value that is transparent.
            picture.info["transparency"] = transparent * {"L;2": 85, "L;4": 17}[rawmode]
        if picture.mode == "La":
            picture = picture.convert("LA")
        coloured = picture.convert("RGBA")
        behind = Image.new("RGBA", picture.size, (*[self.background] * 3, 255))
        visible = Image.alpha_composite(behind, coloured)
        self._check_visible(where, np.asarray(visible), np.asarray(coloured))
        self.notes[self._laid_over] += 1
        return visible.convert("L" if self.grey else "RGB")

    def _check_visible(self, where: str, visible: np.ndarray, drawn: np.ndarray) -> None:
        """Refuse what is drawn in alpha and in the background's own colour, or hidden by alpha."""
        if _is_blank(visible) and not _is_blank(drawn):
            raise self._refusal(
                where,
                f"is blank over a background of grey level {self.background}: what it shows is in "
                "its transparency alone, or hidden by it. Give the data set another `background`, "
                "or take the transparency out",
            )

    @property
    def _laid_over(self) -> str:
        return f"images with transparency, laid over grey level {self.background}"

    def _refusal(self, where: str, what: str) -> PruningError:
        return PruningError(f"Data set {self.name!r}: {where} {what}.")


def _is_blank(pixels: np.ndarray) -> bool:
    return bool((pixels == pixels[:1, :1]).all())


def _rawmode(picture: Any) -> str:
    """How the pixels are stored, as far as Pillow says."""
    tile = picture.tile[0] if picture.tile else None
    arguments = tile[3] if tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _turn(picture: Any) -> None:
    """Turn and mirror in place as EXIF data say."""
    from PIL import ImageOps

    if picture.getexif().get(ORIENTATION, 1) != 1:
        ImageOps.exif_transpose(picture, in_place=True)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "of no format that Pillow knows"
    text = " ".join(re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "it", str(error)).split())
    return text.rstrip(".") or type(error).__name__


def stack(name: str, pictures: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Images of one size as one array (N, H, W, C).

    Args:
        name: of the data set, for messages.
        pictures: where each image is, and the image.

    Raises:
        PruningError: an image of another size than the first; names it.
    """
    first = pictures[0][1].shape
    for where, image in pictures:
        if image.shape != first:
            raise PruningError(
                f"Data set {name!r}: {where} is {image.shape[1]}x{image.shape[0]}, others are "
                f"{first[1]}x{first[0]}. Give the data set a `size` to resize all to."
            )
    return np.stack([image for _, image in pictures])
