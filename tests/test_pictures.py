"""Files that people have, each with the pixels that it has to become."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pruning.data.pictures import Decoder
from pruning.errors import PruningError


def png(depth, colour, row, width, *chunks):
    """A PNG file of one row, as Pillow writes not all kinds of them."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def tiff(pixels, width, samples=1, **tags):
    """A little-endian TIFF file of one row: what the tags say, whether it is usual or not."""
    entries = {256: width, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: samples, 278: 1}
    entries |= {279: len(pixels)} | {int(tag[1:]): value for tag, value in tags.items()}
    start = 8 + len(pixels)
    rows = b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value)
        for tag, value in sorted(entries.items())
    )
    return (
        b"II*\0"
        + struct.pack("<I", start)
        + pixels
        + struct.pack("<H", len(entries))
        + rows
        + (b"\0" * 4)
    )


def saved(picture, kind="png", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def array(values, mode=None, dtype=np.uint8):
    pixels = np.asarray(values, dtype=dtype)
    return (
        Image.fromarray(pixels)
        if mode is None
        else Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    )


def deep(*values, order=">"):
    return struct.pack(f"{order}{len(values)}H", *values)


def grey(levels):
    """One row of grey pixels in three channels."""
    return [[[level] * 3 for level in levels]]


SCALED = grey([0, 78, 156, 255])  # of 0, 20000, 40000 and 65535: v / 257, rounded
DEEP = (0, 20000, 40000, 65535)
INK = [[[0, 0, 0, 0], [0, 0, 0, 255]]]  # black, where it is drawn
PALETTE = Image.new("P", (2, 1))
PALETTE.putpalette([9, 9, 9, 200, 100, 50] + [0] * 762)
PALETTE.putpixel((1, 0), 1)

READ = {
    "grey": (saved(array([[0, 7, 255]])), grey([0, 7, 255])),
    "colours": (saved(array([[[1, 2, 3], [4, 5, 6]]])), [[[1, 2, 3], [4, 5, 6]]]),
    "two levels": (png(1, 0, b"\x40", 2), grey([0, 255])),
    "four bits of grey": (png(4, 0, b"\x3f", 2), grey([51, 255])),
    "a palette": (saved(PALETTE), [[[9, 9, 9], [200, 100, 50]]]),
    "CMYK": (saved(array([[[0, 0, 0, 0]]], "CMYK"), "tiff"), grey([255])),
    "16 bits, PNG": (png(16, 0, deep(*DEEP), 4), SCALED),
    "16 bits, TIFF": (saved(array([DEEP], dtype=np.uint16), "tiff"), SCALED),
    "16 bits, TIFF, Motorola": (saved(array([DEEP], "I;16B", ">u2"), "tiff"), SCALED),
    "16 bits, TIFF, zero is white": (
        tiff(deep(*DEEP, order="<"), 4, t258=16, t262=0),
        grey([255, 177, 99, 0]),
    ),
    "12 bits, TIFF": (tiff(b"\x00\x08\x00\xff\xf0\x00", 4, t258=12), grey([0, 128, 255, 0])),
    "8 bits, TIFF, zero is white": (tiff(bytes([0, 5, 255]), 3, t262=0), grey([255, 250, 0])),
    "16 bits, PGM": (b"P5 4 1 65535\n" + deep(*DEEP), SCALED),
    "16 bits, PGM as text": (b"P2 4 1 65535\n0 20000 40000 65535\n", SCALED),
    "10 bits, PGM": (b"P5 3 1 1023\n" + deep(0, 500, 1023), grey([0, 125, 255])),
    "16 bits of colour, PNG": (
        png(16, 2, deep(20000, 40000, 65535), 1),
        [[[20000 >> 8, 40000 >> 8, 255]]],
    ),
    "16 bits of colour, TIFF": (
        tiff(deep(20000, 40000, 65535, order="<"), 1, 3, t258=16, t262=2),
        [[[20000 >> 8, 40000 >> 8, 255]]],
    ),
    "16 bits of colour, PPM": (b"P6 1 1 65535\n" + deep(20000, 40000, 65535), [[[78, 156, 255]]]),
    "ink in the alpha channel": (saved(array(INK)), grey([255, 0])),
    "grey and alpha": (saved(array([[[0, 0], [0, 255], [100, 51]]], "LA")), grey([255, 0, 224])),
    "16 bits of grey and alpha": (png(16, 4, deep(0, 0, 0, 65535), 2), grey([255, 0])),
    "whole colours": (saved(array([[[1, 2, 3, 255], [4, 5, 6, 255]]])), [[[1, 2, 3], [4, 5, 6]]]),
    "premultiplied alpha": (
        tiff(bytes([0, 0, 0, 0, 50, 100, 0, 128]), 2, 4, t262=2, t338=1, t258=8),
        [[[255, 255, 255], [177, 227, 127]]],
    ),
    "a palette with a transparent colour": (
        saved(PALETTE, transparency=0),
        [[[255, 255, 255], [200, 100, 50]]],
    ),
    "a palette with alpha": (
        saved(PALETTE, transparency=bytes([0, 255])),
        [[[255, 255, 255], [200, 100, 50]]],
    ),
    "GIF with a transparent colour": (
        saved(PALETTE, "gif", transparency=0),
        [[[255, 255, 255], [200, 100, 50]]],
    ),
    "a transparent grey": (png(8, 0, b"\0\7\11", 3, (b"tRNS", deep(0))), grey([255, 7, 9])),
    "a transparent grey of 4 bits": (png(4, 0, b"\x3f", 2, (b"tRNS", deep(3))), grey([255, 255])),
    "a transparent grey of 1 bit": (png(1, 0, b"\x40", 2, (b"tRNS", deep(0))), grey([255, 255])),
    "a transparent grey of 16 bits": (
        png(16, 0, deep(*DEEP), 4, (b"tRNS", deep(20000))),
        grey([0, 255, 156, 255]),
    ),
    "a transparent colour": (
        png(8, 2, b"\1\2\3\4\5\6", 2, (b"tRNS", deep(1, 2, 3))),
        [[[255, 255, 255], [4, 5, 6]]],
    ),
    "WebP with alpha": (
        saved(array(INK), "webp", lossless=True, exact=True),
        grey([255, 0]),
    ),
}
DRAWN_IN_THE_BACKGROUND = {"a transparent grey of 4 bits", "a transparent grey of 1 bit"}
BLANK = [[[255, 255, 255, 0], [255, 255, 255, 255]]]
FRAMES = [Image.new("L", (2, 2), level) for level in (0, 99, 200)]
SEVERAL = {"save_all": True, "append_images": FRAMES[1:]}

REFUSED = {
    "32 bits": (saved(Image.new("I", (2, 2), 70000), "tiff"), "kind 'I', integers of 32"),
    "16 bits with a sign": (tiff(deep(1, 2, order="<"), 2, t258=16, t339=2), "kind 'I', integers"),
    "8 bits with a sign": (tiff(b"\1\xff", 2, t339=2), "has signed pixels"),
    "floating point": (saved(Image.new("F", (2, 2), 0.5), "tiff"), "kind 'F', floating point"),
    "floating point, PFM": (b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5), "kind 'F'"),
    "LAB": (saved(array([[[1, 2, 3]]], "LAB"), "tiff"), "kind 'LAB'"),
    "white ink in the alpha channel": (saved(array(BLANK)), "is blank over a background of grey"),
    "colours that alpha hides": (
        saved(array([[[1, 2, 3, 0], [4, 5, 6, 0]]])),
        "is blank over a background",
    ),
    "grey that its transparent level hides": (
        png(16, 0, deep(7, 65535), 2, (b"tRNS", deep(7))),
        "is blank over a background",
    ),
    "a transparent colour of 16 bits": (
        png(16, 2, deep(1, 2, 3), 1, (b"tRNS", deep(1, 2, 3))),
        "has 16 bits for each colour and a transparent one",
    ),
    "an animated GIF": (saved(FRAMES[0], "gif", **SEVERAL), "holds 3 pictures"),
    "an animated PNG": (saved(FRAMES[0], "png", **SEVERAL), "holds 3 pictures"),
    "an animated WebP": (saved(FRAMES[0], "webp", **SEVERAL), "holds 3 pictures"),
    "a TIFF of several pages": (saved(FRAMES[0], "tiff", **SEVERAL), "holds 3 pictures"),
    "text": (b"not a picture", r"\(of no format that Pillow knows\)"),
    "nothing": (b"", r"\(of no format that Pillow knows\)"),
    "a huge scan": (png(1, 0, b"", 200_000_000), "is not a readable image .*decompression bomb"),
    "a large scan": (png(1, 0, b"", 100_000_000), "is not a readable image .*decompression bomb"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_pixels_are_what_the_file_says(case):
    content, expected = READ[case]
    if case in DRAWN_IN_THE_BACKGROUND:  # so that another background shows what is transparent
        pixels = Decoder("pets", background=0)("a.png", content)
        assert pixels[..., 0].tolist() == [[0, 255]]
        return
    assert Decoder("pets")("a.png", content).tolist() == expected
    one = Decoder("pets", grey=True)("a.png", content)
    luminance = np.asarray(Image.fromarray(np.asarray(expected, np.uint8)).convert("L"))
    assert np.abs(one[..., 0].astype(int) - luminance).max() <= 1


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_no_picture_of_8_bits_are_refused_by_name(case):
    content, said = REFUSED[case]
    with pytest.raises(PruningError, match=rf"^Data set 'pets': pets/a\.png .*{said}") as error:
        Decoder("pets")("pets/a.png", content)
    assert " at 0x" not in str(error.value)
    assert "\n" not in str(error.value)


def test_every_format_cut_short_is_refused_by_name():
    picture = array(np.random.default_rng(0).integers(0, 256, (40, 40, 3)))
    for kind in ("png", "jpeg", "bmp", "ppm", "webp", "gif", "tiff"):
        whole = saved(picture, kind)
        for part in (0.01, 0.1, 0.5, 0.9):
            with pytest.raises(PruningError, match=r"a\.png is not a readable image"):
                Decoder("pets")("a.png", whole[: int(part * len(whole))])


@pytest.mark.parametrize(
    "error",
    [struct.error("x"), OverflowError(), MemoryError(), KeyError("<y at 0x7fff>"), TypeError()],
)
def test_whatever_pillow_fails_with_names_the_file(monkeypatch, error):
    def broken(_):
        raise error

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(PruningError, match=r"a\.png is not a readable image \(.+\)") as told:
        Decoder("pets")("a.png", b"")
    assert "0x" not in str(told.value)


def test_a_background_shows_what_is_drawn_in_white():
    decode = Decoder("pets", background=0)
    assert decode("a.png", saved(array(BLANK))).tolist() == grey([0, 255])
    half = saved(array([[[200, 100, 0, 128], [200, 100, 0, 255]]]))
    assert decode("a.png", half).tolist() == [[[100, 50, 0], [200, 100, 0]]]
    assert decode.notes == {"images with transparency, laid over grey level 0": 2}
    with pytest.raises(PruningError, match="blank over a background of grey level 0"):
        decode("a.png", saved(array(INK)))


def test_16_bits_of_which_few_are_used_are_counted():
    decode = Decoder("pets", grey=True)
    for brightest in (65535, 4095, 4096):
        decode("a.png", png(16, 0, deep(0, brightest), 2))
    assert decode.notes == {
        "images of 16 bits, scaled to 8": 3,
        "images that use less than a sixteenth of their 16 bits": 1,
    }


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_data_say(kind, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # a corner
    upright[8:, :8] = 128  # so that no two of the eight are alike
    turns = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x.swapaxes(0, 1), 2),
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpeg": {"quality": 95}}.get(kind, {})
    stored = np.ascontiguousarray(turns[orientation](upright))
    pixels = Decoder("pets")("a", saved(Image.fromarray(stored), kind, exif=exif, **options))
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() < 40


def test_of_cameras_files_the_first_picture_is_taken_and_said():
    decode = Decoder("pets", grey=True)
    pixels = decode("a.jpg", saved(FRAMES[1], "mpo", save_all=True, append_images=FRAMES[2:]))
    assert (pixels == 99).all()
    assert decode.notes == {"files with several pictures, of which the first was taken": 1}
