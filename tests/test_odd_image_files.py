"""What people have in trees of pictures, where these stay in their files."""

import errno
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning.data import loader, splits
from pruning.data.batching import Batching, ResizedCrop
from pruning.data.notes import note_file
from pruning.data.prepare import prepare
from pruning.data.sources import count_changes, find_source
from pruning.errors import PruningError
from tests.test_image_files import OPTIONS, SIZE, encoded, listed, loaded, make_tree, stream

CROP = ResizedCrop((0.08, 1.0), (0.75, 4 / 3))
FIRST = Path("tree", "train", "a", "000.png")


def levels(number, *shape, kind=np.uint8):
    return np.random.default_rng(number).integers(0, np.iinfo(kind).max, shape, dtype=kind)


def square(number):
    return Image.fromarray(levels(number, SIZE, SIZE, 3))


@pytest.fixture
def tree(tmp_path):
    """One picture per class and split, of the size that networks see."""
    for number, split in enumerate(("train", "test")):
        for label in "ab":
            file = tmp_path / "tree" / split / label / "000.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(encoded(square(10 * number + ord(label)), "png"))
    return tmp_path


def all_of(split):
    return split.take(torch.arange(len(split))).numpy()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    return encoded(square(1), "png", exif=exif)


UNUSUAL = {
    "16 bits": encoded(Image.fromarray(levels(1, SIZE, SIZE, kind=np.uint16)), "png"),
    "alpha": encoded(Image.fromarray(levels(2, SIZE, SIZE, 4)), "png"),
    "grey and alpha": encoded(Image.fromarray(levels(3, SIZE, SIZE, 4)).convert("LA"), "png"),
    "a transparent colour": encoded(square(4).convert("P"), "png", transparency=3),
    "palette": encoded(square(5).convert("P"), "png"),
    "turned": turned(),
}


@pytest.mark.parametrize("what", UNUSUAL)
@pytest.mark.parametrize("options", [{}, {"grey": True, "background": 0}])
def test_unusual_pictures_are_what_they_are_in_memory_and_that_is_noted(
    tree, caplog, what, options
):
    """By the rules of :mod:`pruning.data.pictures`; and a record says what was done to them."""
    (tree / FIRST).write_bytes(UNUSUAL[what])
    held = prepare("held", "image_folder", tree, {"path": "tree", **options})
    with caplog.at_level(logging.WARNING, "pruning"):
        data = loaded(tree, resize=SIZE, **options)
    assert np.array_equal(all_of(data.train), held.train_images)
    assert data.record.get("converted", {}) == held.converted
    assert all(note in caplog.text for note in held.converted)
    assert bool(held.converted) == (what not in ("palette", "turned"))


def test_what_8_bits_do_not_hold_is_refused_by_name(tree):
    for kind, pixels in (("tiff", levels(1, 4, 4).astype(np.float32)), ("tiff", None)):
        pages = {"save_all": True, "append_images": [square(2)]} if pixels is None else {}
        found = square(1) if pixels is None else Image.fromarray(pixels)
        (tree / FIRST).with_suffix(".tiff").write_bytes(encoded(found, kind, **pages))
        with pytest.raises(PruningError, match=r"000\.tiff (has pixels of the kind|holds 2 pict)"):
            listed(tree)


@pytest.mark.parametrize("side", [10_000, 14_000])
def test_a_picture_that_is_suspiciously_large_is_refused_by_name(tree, side):
    """Pillow warns of the one and fails at the other; neither is left out or read in silence."""
    (tree / FIRST).write_bytes(encoded(Image.new("1", (side, side)), "png"))
    with pytest.raises(PruningError, match=r"000\.png .*bomb"):
        listed(tree)


def test_long_and_small_pictures_are_read_and_small_ones_are_enlarged(tree):
    for number, shape in enumerate([(1, 20_000, 3), (20_000, 1, 3), (1, 1, 3), (2, 3, 3)]):
        pixels = np.full(shape, 50 + number, np.uint8)
        file = (tree / FIRST).with_stem(f"x{number}")
        file.write_bytes(encoded(Image.fromarray(pixels), "png"))
    data = loaded(tree, size=64, resize=64)
    assert len(data.train) == 6
    source = stream(data, Batching(6, resized_crop=CROP))
    drawn, _ = source.batch(0)
    rows = source.images.order.images((0, 0, 6)).tolist()
    for number in range(4):
        assert (data.train.take(torch.tensor([1 + number])) == 50 + number).all()
        assert (drawn[rows.index(1 + number)] == 50 + number).all()


NAMES = ["a b", "new\nline", "'quoted\"", "ü中", "e\u0301", os.fsdecode(b"\xff"), "-rf", "%s{}"]


def test_any_name_is_listed_and_read(tree):
    for number, name in enumerate(NAMES):
        (tree / FIRST).with_stem(name).write_bytes(encoded(square(number), "png"))
    shutil.move(tree / "tree" / "train" / "b", tree / "tree" / "train" / "b \n ü")
    shutil.move(tree / "tree" / "test" / "b", tree / "tree" / "test" / "b \n ü")
    data = loaded(tree, resize=SIZE)
    held = prepare("held", "image_folder", tree, {"path": "tree"})
    assert len(data.train) == 2 + len(NAMES)
    assert np.array_equal(all_of(data.train), held.train_images)
    assert data.classes == held.classes == ("a", "b \n ü")


def test_hidden_files_and_links_are_as_of_trees_in_memory(tree):
    outside = tree / "elsewhere"
    make_tree(outside, train=4, test=2)
    top = tree / "tree"
    (top / "train" / "a" / "linked.png").symlink_to(top / "train" / "b" / "000.png")
    for split in ("train", "test"):
        (top / split / "c").symlink_to(outside / split / "a")
        (top / split / "a" / ".hidden.png").write_bytes(b"x")
        (top / split / "a" / "Thumbs.db").write_bytes(b"x")
        (top / split / "a" / "notes.txt").write_bytes(b"x")
        (top / split / "a" / "deeper").mkdir()
        (top / split / "a" / "deeper" / "d.png").write_bytes(encoded(square(9), "png"))
    data = loaded(tree)
    held = prepare("held", "image_folder", tree, {"path": "tree", "size": SIZE})
    for split in ("train", "test"):
        labels = getattr(held, f"{split}_labels").tolist()
        assert getattr(data, split).labels.tolist() == labels
        assert len(all_of(getattr(data, split))) == len(labels)
    assert data.classes == held.classes == ("a", "b", "c")
    assert data.record["skipped"] == held.skipped
    assert held.skipped == {"*.txt": 2, "hidden": 4}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_disk_that_fails_ends_the_training_with_the_file_s_name(tree, monkeypatch, workers):
    data = loaded(tree)
    file, real = tree / FIRST, Path.read_bytes

    def read(path):
        if path == file:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    source = stream(data, Batching(2), workers, monkeypatch)
    with pytest.raises(PruningError, match=r"000\.png cannot be read \(Input/output error\)"):
        source.batch(0)
    monkeypatch.setattr(Path, "read_bytes", real)
    assert source.batch(0)[0].shape == (2, SIZE, SIZE, 3)  # gone on with, once it is back


def test_trees_move_and_lists_do_not(tree):
    """A list is of its place, as every file of results; it knows where its pictures went."""
    path = listed(tree)
    expected = all_of(splits.load(path).train)
    shutil.move(tree / "tree", tree / "moved")
    with pytest.raises(PruningError, match=r"000\.png cannot be read"):
        all_of(splits.load(path).train)
    moved = find_source("files", "image_files", tree, {**OPTIONS, "path": "moved"})
    assert count_changes(path, moved) == 0  # as Snakemake asks when it starts
    assert np.array_equal(all_of(splits.load(path).train), expected)
    note_file(path).unlink()
    with pytest.raises(PruningError, match=r"files\.source\.json, .* missing or damaged") as told:
        all_of(splits.load(path).train)
    assert f"Delete {path}" in str(told.value)


def test_a_list_of_another_place_is_refused(tree):
    folder = tree / "results" / "data"
    folder.mkdir(parents=True)
    path = listed(tree, name="results/data/files")
    other = folder / "other.safetensors"
    shutil.copy(path, other)
    with pytest.raises(PruningError, match=r"other\.safetensors"):
        splits.load(other)


def test_images_of_another_size_are_another_list(tree):
    """Sizes are options of the data set: a study never reads a list that was made with others."""
    small, large = loaded(tree), loaded(tree, name="large", size=24, resize=24)
    assert small.train.shape == (SIZE, SIZE, 3)
    assert large.train.shape == (24, 24, 3)
    assert small.record["source_sha256"] == large.record["source_sha256"]


def test_the_library_reads_such_trees_too(tree, monkeypatch):
    import pruning

    monkeypatch.setenv(loader.WORKERS, "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree / "cache"))
    data = pruning.load_data("image_files", root=tree, **OPTIONS)
    assert len(data.train) == 2
    assert all_of(data.train).shape == (2, SIZE, SIZE, 3)
