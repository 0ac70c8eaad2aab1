"""Pictures too many for memory: listed once, and read by worker processes while training."""

import io
import math
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pruning.data import loader, splits
from pruning.data.batches import Normalizer, TrainingStream
from pruning.data.batching import Batching, ResizedCrop
from pruning.data.cut import Cut
from pruning.data.known import KNOWN, known_facts, stand_in
from pruning.data.picture_files import PictureFiles
from pruning.data.prepare import prepare, prepare_file
from pruning.data.resized_crop import TRIES, box_of
from pruning.data.sources import count_changes, find_source
from pruning.errors import PruningError
from pruning.share import Share
from tests.conftest import small_task

SIZE, RESIZE = 12, 16
CROP = ResizedCrop((0.2, 1.0), (0.75, 4 / 3))
OPTIONS = {"path": "tree", "size": SIZE, "resize": RESIZE}


def picture(number, mode="RGB"):
    """A picture of a size of its own."""
    draws = np.random.default_rng(number)
    height, width = (int(side) for side in draws.integers(20, 33, 2))
    levels = draws.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels).convert(mode)


def encoded(found, kind="jpeg", **how):
    buffer = io.BytesIO()
    found.save(buffer, kind, **how)
    return buffer.getvalue()


def make_tree(folder, train=10, test=6, kind="jpeg"):
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            file = folder / split / "ab"[number % 2] / f"{number:03}.{kind}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(picture(number + 100 * (split == "test")), kind))


@pytest.fixture
def tree(tmp_path):
    make_tree(tmp_path / "tree")
    return tmp_path


def listed(root, name="files", **options):
    path = root / f"{name}.safetensors"
    prepare_file(name, "image_files", root, {**OPTIONS, **options}, path)
    return path


def loaded(root, **options):
    return splits.load(listed(root, **options), splits.Validation("test", 0.0))


def stream(data, batching, workers=0, monkeypatch=None, seed=0, purpose=("dense",)):
    if monkeypatch is not None:
        monkeypatch.setenv(loader.WORKERS, str(workers))
    return TrainingStream(data.train, lambda images: images, batching, seed, purpose)


def batches(source, indices, share=None):
    given = () if share is None else (share,)
    return [[part.clone() for part in source.batch(index, *given)] for index in indices]


def same(one, other):
    return all(
        torch.equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


# Pixels.


def test_evaluation_sees_the_central_part(tree):
    """By Pillow alone, on the squares of section 3.3 of the reference."""
    data = loaded(tree)
    images = data.test.take(torch.arange(6))
    files = sorted((tree / "tree" / "test").rglob("*.jpeg"))
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    for image, file in zip(images, files, strict=True):
        whole = Image.open(file)
        side = int(SIZE / RESIZE * min(whole.size))
        left, top = ((length - side + 1) // 2 for length in whole.size)
        square = whole.crop((left, top, left + side, top + side))
        expected = square.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        assert np.array_equal(image.numpy(), np.asarray(expected))


def test_training_sees_random_crops_and_half_of_them_mirrored(tree):
    data = loaded(tree, interpolation="bilinear")
    files = sorted((tree / "tree" / "train").rglob("*.jpeg"))
    batching = Batching(10, flip=True, resized_crop=CROP)
    source, mirrored = stream(data, batching), 0
    for epoch in range(30):
        images, labels = source.batch(epoch)
        rows = source.images.order.images((epoch, 0, 10))
        assert labels.tolist() == [int(row >= 5) for row in rows]
        for image, row in list(zip(images, rows.tolist(), strict=True))[:2]:
            whole = Image.open(files[row])
            key = splits_key(0, ("dense",), epoch)
            draws = np.random.Generator(np.random.Philox(key=key, counter=row << 64))
            flip, _, _, *boxes = draws.random(3 + 4 * TRIES)
            uniform = torch.tensor(boxes).view(TRIES, 4)
            top, left, height, width = box_of(whole.height, whole.width, CROP, uniform).tolist()
            crop = whole.crop((left, top, left + width, top + height))
            expected = np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
            expected = expected[:, ::-1] if flip < 0.5 else expected
            assert np.array_equal(image.numpy(), expected)
            mirrored += flip < 0.5
    assert 15 <= mirrored <= 45  # of 60


def splits_key(seed, purpose, epoch):
    from pruning.seeds import derive

    return derive(seed, *purpose, "augmentation", epoch)


def test_boxes_are_those_of_the_published_rule():
    """Area uniform, ratio uniform in its logarithm, the first of ten that fits."""
    draws = torch.rand(4000, TRIES, 4, dtype=torch.float64, generator=torch.Generator())
    wide = ResizedCrop((0.25, 0.5), (0.5, 2.0))
    boxes = torch.stack([box_of(400, 400, wide, one) for one in draws]).double()
    top, left, height, width = boxes.unbind(1)
    assert bool(((top >= 0) & (left >= 0) & (top + height <= 400) & (left + width <= 400)).all())
    share, ratio = height * width / 400**2, (width / height).log() / math.log(2)
    assert float(share.mean()) == pytest.approx(0.375, abs=0.01)
    assert float(share.var()) == pytest.approx(0.25**2 / 12, rel=0.1)
    assert float(ratio.mean()) == pytest.approx(0, abs=0.05)
    assert float(ratio.var()) == pytest.approx(2**2 / 12, rel=0.1)
    assert float((top / (400 - height).clamp_min(1)).mean()) == pytest.approx(0.5, abs=0.03)
    first = draws[:, 0]
    area = (0.25 + 0.25 * first[:, 0]) * 400**2
    assert torch.equal(boxes[:, 2] * 0 + 1, torch.ones(4000).double())
    assert float((height * width - area).abs().max()) < 700  # the first fits, but for rounding
    none = ResizedCrop((1.0, 1.0), (2.0, 2.0))  # fits nowhere in a square: the largest central one
    assert box_of(100, 100, none, draws[0]).tolist() == [25, 0, 50, 100]


# The same bytes, whoever reads.


@pytest.mark.parametrize("boundary", ["straddle", "keep", "drop"])
def test_workers_prefetch_and_where_one_begins_change_no_bit(tree, monkeypatch, boundary):
    data = loaded(tree)
    batching = Batching(4, boundary, flip=True, resized_crop=CROP)
    expected = batches(stream(data, batching), range(8))
    for workers in (1, 2):
        source = stream(data, batching, workers, monkeypatch)
        assert same(batches(source, range(8)), expected)
        assert same(batches(source, (5, 6, 2)), [expected[i] for i in (5, 6, 2)])
    again = stream(data, batching, 2, monkeypatch)
    assert same(batches(again, range(3, 8)), expected[3:])
    for other in ({"seed": 1}, {"purpose": ("retrain",)}):
        assert not same(batches(stream(data, batching, **other), [0]), expected[:1])
    assert not torch.equal(expected[0][0], expected[-1][0])


def test_reading_draws_nothing_that_a_network_draws_from(tree, monkeypatch):
    """Or dropout would be another with workers, and in a training that was resumed."""
    before = torch.get_rng_state()
    source = stream(loaded(tree), Batching(4, resized_crop=CROP), 1, monkeypatch)
    source.batch(0)
    source.batch(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_images_are_drawn_on_by_epoch_and_image_not_by_place(tree):
    data = loaded(tree)
    seen = {}
    for size in (3, 10):
        source = stream(data, Batching(size, "drop", flip=True, resized_crop=CROP))
        images, _ = source.batch(0)
        rows = source.images.order.images((0, 0, size)).tolist()
        seen[size] = dict(zip(rows, images, strict=True))
    for row, image in seen[3].items():
        assert torch.equal(image, seen[10][row])
    source = stream(data, Batching(10, flip=True, resized_crop=CROP))
    first, second = (
        dict(zip(source.images.order.images((e, 0, 10)).tolist(), source.batch(e)[0], strict=True))
        for e in (0, 1)
    )
    assert sum(torch.equal(first[row], second[row]) for row in first) < 3


@pytest.mark.parametrize("boundary", ["straddle", "keep", "drop"])
def test_a_share_reads_its_own_pictures_alone(tree, monkeypatch, boundary):
    data = loaded(tree)
    batching = Batching(6, boundary, flip=True, resized_crop=CROP)
    read = []
    real = PictureFiles._picture
    monkeypatch.setattr(PictureFiles, "_picture", lambda s, row: read.append(row) or real(s, row))
    whole = batches(stream(data, batching), range(4))
    assert len(read) == (20 if boundary == "keep" else 24)
    total = len(read)
    for count in (2, 4, 7):  # of 7, one has nothing
        read.clear()
        parts = [batches(stream(data, batching), range(4), Share(r, count)) for r in range(count)]
        assert len(read) == total  # together
        for index, (images, labels) in enumerate(whole):
            assert torch.equal(torch.cat([part[index][0] for part in parts]), images)
            assert torch.equal(torch.cat([part[index][1] for part in parts]), labels)


def test_a_network_trains_and_is_scored_alike_with_any_number_of_workers(tree, monkeypatch):
    from pruning.training.dense import train_dense

    data = splits.load(listed(tree), splits.Validation("test", 0.3))
    mean = {"normalization": "given", "mean": (0.5,) * 3, "std": (0.25,) * 3}
    batching = Batching(4, flip=True, resized_crop=CROP, **mean)
    found = []
    for workers in (0, 2):
        monkeypatch.setenv(loader.WORKERS, str(workers))
        task = small_task(data, "small_cnn", epochs=2, batches=batching, milestones=())
        done = train_dense(task, 0)
        scored = task.scoring_batches(0, images_per_class=2)
        found.append((done.final.weights, done.trained.metrics, [b[0] for b in scored]))
    (weights, metrics, scored), (other, others, also) = found
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    assert metrics == others
    assert math.isfinite(metrics[-1]["test_loss"])
    assert all(torch.equal(a, b) for a, b in zip(scored, also, strict=True))
    assert not multiprocessing.active_children()


# What is wrong with files.


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["gone", "longer", "edited", "folder"])
def test_files_that_changed_are_named(tree, monkeypatch, workers, how):
    data = loaded(tree)
    file = sorted((tree / "tree" / "train").rglob("*.jpeg"))[3]
    content = file.read_bytes()
    file.unlink()
    if how == "longer":
        file.write_bytes(content + b"x")
    elif how == "edited":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "folder":
        file.mkdir()
    source = stream(data, Batching(10, resized_crop=CROP), workers, monkeypatch)
    with pytest.raises(PruningError, match=r"003|006") as told:
        source.batch(0)
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)
    assert "files.safetensors" in str(told.value)


def test_damaged_pictures_are_refused_when_they_are_listed(tree):
    file = sorted((tree / "tree" / "train").rglob("*.jpeg"))[0]
    file.write_bytes(b"no picture")
    with pytest.raises(PruningError, match=str(file)):
        listed(tree)


def test_pictures_that_end_early_are_refused_when_they_are_read(tree):
    """Their headers are whole, and decoding 1.28 million files would take an hour."""
    file = sorted((tree / "tree" / "train").rglob("*.jpeg"))[0]
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(PruningError, match=str(file)):
        stream(loaded(tree), Batching(10)).batch(0)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_other_kinds_of_pictures_become_rgb_as_everywhere(tree, mode):
    """As :mod:`pruning.data.pictures` makes them, which keeps all images in memory."""
    for number, split in enumerate(("train", "test")):
        kind = "tiff" if mode == "1" else "jpeg"
        for file in sorted((tree / "tree" / split).rglob("*.jpeg")):
            whole = picture(number, mode).resize((SIZE, SIZE))
            file.with_suffix(f".{kind}").write_bytes(encoded(whole, kind))
            if kind != "jpeg":
                file.unlink()
    files = loaded(tree, resize=SIZE)
    held = prepare("held", "image_folder", tree, {"path": "tree"})
    shown = files.train.take(torch.arange(len(files.train))).numpy()
    held_images = held.train_images
    if held_images.shape[-1] == 1:
        held_images = np.repeat(held_images, 3, -1)
    assert np.array_equal(shown, held_images)
    assert files.train.labels.tolist() == held.train_labels.tolist()
    assert files.classes == held.classes


def test_a_worker_that_dies_ends_the_training_with_one_paragraph(tree, monkeypatch):
    make_tree(tree / "tree", train=60)
    source = stream(loaded(tree), Batching(20, resized_crop=CROP), 1, monkeypatch)
    source.batch(0)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(PruningError, match="reads pictures ended unexpectedly"):
        for index in range(1, 100):
            source.batch(index)
    del source
    assert not multiprocessing.active_children()


def test_workers_end_with_what_they_work_for(tree, monkeypatch):
    monkeypatch.setenv(loader.WORKERS, "2")
    data = loaded(tree)
    ours, theirs = multiprocessing.Pipe()

    def train():
        source = stream(data, Batching(5, resized_crop=CROP))
        source.batch(0)
        theirs.send([child.pid for child in multiprocessing.active_children()])
        time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    workers = ours.recv()
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# Lists.


def test_a_list_repeats_and_says_what_it_is_of(tree):
    first = listed(tree).read_bytes()
    assert listed(tree).read_bytes() == first
    data = loaded(tree)
    assert (len(data.train), len(data.test), data.shape) == (10, 6, (3, SIZE, SIZE))
    assert data.classes == ("a", "b")
    assert data.record["images"] == {"train": 10, "validation": 0, "test": 6}
    assert len(first) < 6000


def test_validation_images_are_part_of_the_split_they_are_from(tree):
    data = splits.load(listed(tree), splits.Validation("train", 0.2))
    assert (len(data.train), len(data.validation)) == (8, 2)
    parts = [data.train.take(torch.arange(8)), data.validation.take(torch.arange(2))]
    whole = loaded(tree).train.take(torch.arange(10))
    found = sorted(image.numpy().tobytes() for image in torch.cat(parts))
    assert found == sorted(image.numpy().tobytes() for image in whole)
    held_out = splits.validation_indices("files", 10, splits.Validation("train", 0.2))[1]
    assert torch.equal(parts[1], whole[held_out])


def test_damaged_lists_are_refused(tree):
    path = listed(tree)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(PruningError, match=r"files\.safetensors"):
        len(splits.load(path).train.labels)


def test_touching_and_copying_is_nothing_and_an_edit_is_seen(tree):
    path = listed(tree)
    find = lambda: find_source("files", "image_files", tree, OPTIONS)  # noqa: E731
    assert count_changes(path, find()) == 0
    file = sorted((tree / "tree" / "train").rglob("*.jpeg"))[0]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    assert count_changes(path, find()) == 0
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long as before
    assert count_changes(path, find()) == 1
    file.write_bytes(content)
    (tree / "tree" / "test" / "a" / "new.jpeg").write_bytes(content)
    assert count_changes(path, find()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "nowhere"}, "there is no folder .*nowhere"),
        ({"resize": 8}, "`resize` is 8 and `size` 12"),
        ({"interpolation": "nearest"}, "nearest"),
        ({"size": 0}, "size"),
        ({"sise": 3}, "sise"),
    ],
)
def test_wrong_options_are_said(tree, change, message):
    with pytest.raises(PruningError, match=message):
        listed(tree, **change)


def test_archives_are_refused_with_what_to_do(tree):
    (tree / "tree.tar").write_bytes(b"")
    with pytest.raises(PruningError, match=r"tree\.tar is a file.*Unpack it.*image_folder"):
        listed(tree, path="tree.tar")


def test_statistics_of_all_pictures_are_not_known(tree):
    data = loaded(tree)
    with pytest.raises(PruningError, match="normalization: given"):
        Normalizer("per_channel", data)
    assert Normalizer("scale", data)(data.test.take(torch.arange(2))).shape == (2, 3, SIZE, SIZE)
    with pytest.raises(PruningError, match="crop_padding is 12"):
        stream(data, Batching(2, crop_padding=12))


def test_padded_crops_are_shifts_of_what_evaluation_sees(tree):
    data = loaded(tree)
    images, _ = stream(data, Batching(10, crop_padding=2)).batch(0)
    source = stream(data, Batching(10))
    plain, _ = source.batch(0)
    assert torch.equal(plain, data.train.take(source.images.order.images((0, 0, 10))))
    padded = torch.nn.functional.pad(plain, (0, 0, 2, 2, 2, 2))
    for image, around in zip(images, padded, strict=True):
        assert any(
            torch.equal(image, around[y : y + SIZE, x : x + SIZE])
            for y in range(5)
            for x in range(5)
        )


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 900), (900, 1), (5, 3)])
def test_pictures_of_any_shape_are_read(tree, height, width):
    odd = Image.fromarray(np.full((height, width, 3), 90, np.uint8))
    file = sorted((tree / "tree" / "train").rglob("*.jpeg"))[0]
    file.write_bytes(encoded(odd, "png"))
    data = loaded(tree)
    assert (data.train.take(torch.tensor([0])) == 90).all()
    source = stream(data, Batching(10, resized_crop=CROP))
    images, _ = source.batch(0)
    row = source.images.order.images((0, 0, 10)).tolist().index(0)
    assert (images[row] == 90).all()


# ImageNet.


def imagenet_tree(root, train=("n01", "n02"), val=("n01", "n02")):
    for split, classes in (("train", train), ("val", val)):
        for number, wnid in enumerate(classes):
            file = root / "imagenet" / split / wnid / f"{wnid}_{number}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(picture(number)))


def test_imagenet_is_whole_or_refused(tmp_path, monkeypatch):
    imagenet_tree(tmp_path)
    with pytest.raises(PruningError, match=r"holds 2 training and 2 validation .*1,281,167"):
        prepare("imagenet", "imagenet", tmp_path, {})
    known = KNOWN["imagenet"]
    monkeypatch.setitem(KNOWN, "imagenet", type(known)(2, 2, (3, 224, 224), 2, 1))
    found = prepare("imagenet", "imagenet", tmp_path, {})
    assert (len(found.train), len(found.test), found.classes) == (2, 2, ("n01", "n02"))
    assert found.cut == Cut(224, 256)
    assert prepare("imagenet", "imagenet", tmp_path, {"size": 112}).cut == Cut(112, 128)


@pytest.mark.parametrize("below", ["", "ILSVRC/Data/CLS-LOC"])  # the latter as Kaggle has it
def test_imagenet_as_its_archives_unpack_is_refused_with_what_to_do(tmp_path, below):
    imagenet_tree(tmp_path)
    if below:
        where = tmp_path / "whole" / below
        where.parent.mkdir(parents=True)
        (tmp_path / "imagenet").rename(where)
        (tmp_path / "whole").rename(tmp_path / "imagenet")
    flat = tmp_path / "imagenet" / below / "val"
    for folder in list(flat.iterdir()):
        for file in folder.iterdir():
            file.rename(flat / file.name)
        folder.rmdir()
    for look in (prepare, find_source):  # the latter when Snakemake starts
        with pytest.raises(PruningError, match="in no class folder.*val/<wnid>"):
            look("imagenet", "imagenet", tmp_path, {})
    (tmp_path / "imagenet" / below / "train" / "n03.tar").write_bytes(b"")
    for look in (prepare, find_source):
        with pytest.raises(PruningError, match="archives of classes"):
            look("imagenet", "imagenet", tmp_path, {})


def test_what_stands_in_for_imagenet_is_small_and_as_large(tmp_path):
    facts = known_facts({"kind": "imagenet"})
    assert (facts.train, facts.test, facts.classes) == (1_281_167, 50_000, 1000)
    path = tmp_path / "in.safetensors"
    assert stand_in(facts, path, "imagenet")
    data = splits.load(path, splits.Validation("test", 0.2))
    assert (len(data.train), len(data.validation), len(data.test)) == (1_281_167, 10_000, 40_000)
    assert int(torch.bincount(data.train.labels).min()) == facts.fewest
    images, _ = stream(data, Batching(3, resized_crop=CROP)).batch(0)
    assert images.shape == (3, 224, 224, 3)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 60e6
