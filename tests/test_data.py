import dataclasses
import hashlib
import io
import os
import shutil
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pruning.data import store
from pruning.data.augmentation import Crops
from pruning.data.batches import Batching, Normalizer, TrainingStream
from pruning.data.batching import ResizedCrop
from pruning.data.prepare import prepare
from pruning.data.resized_crop import draw_boxes, resized_crops
from pruning.data.splits import Split, load, validation_indices
from pruning.data.validation import Validation
from pruning.errors import PruningError
from pruning.share import Share

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def stream(count, batching, seed=0, purpose=("dense",), images=None):
    if images is None:
        images = torch.zeros(count, 4, 4, 1, dtype=torch.uint8)
    return TrainingStream(
        Split(images, torch.arange(len(images))), lambda x: x, batching, seed, purpose
    )


def labels(source, batches):
    return torch.cat([source.batch(i)[1] for i in range(batches)]).tolist()


def test_digits(digits):
    assert digits.shape == (1, 8, 8)
    assert len(digits.train) + len(digits.validation) + len(digits.test) == 1797
    assert digits.record["images"] == {"train": 1352, "validation": 89, "test": 356}
    assert len(digits.record["validation_indices_sha256"]) == 64


def test_the_validation_split_is_fixed_disjoint_and_from_where_it_was_asked(digits_file):
    first, second = load(digits_file), load(digits_file)
    assert torch.equal(first.validation.images, second.validation.images)
    rest, held_out = validation_indices("x", 10_000, Validation("test", 0.2))
    assert (len(rest), len(held_out)) == (8000, 2000)
    assert set(rest.tolist()).isdisjoint(held_out.tolist())
    from_train = load(digits_file, Validation("train", 0.1))
    assert (len(from_train.train), len(from_train.test)) == (1217, 445)
    assert len(load(digits_file, Validation("test", 0.0)).test) == 445


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 30))
def test_straddling_batches_visit_every_image_once_per_epoch(count, size, batches):
    seen = labels(stream(count, Batching(size)), batches)
    assert len(seen) == size * batches
    for start in range(0, len(seen) - count + 1, count):
        assert sorted(seen[start : start + count]) == list(range(count))


def test_epoch_boundaries():
    kept = stream(10, Batching(4, "keep"))
    assert [len(kept.batch(i)[1]) for i in range(6)] == [4, 4, 2, 4, 4, 2]
    assert sorted(labels(kept, 3)) == list(range(10))
    dropped = stream(10, Batching(4, "drop"))
    assert [len(dropped.batch(i)[1]) for i in range(4)] == [4, 4, 4, 4]
    assert Batching(128).steps_per_epoch(50_000) == Fraction(3125, 8)
    assert Batching(128, "keep").steps_per_epoch(50_000) == 391
    assert Batching(128, "drop").steps_per_epoch(50_000) == 390
    with pytest.raises(PruningError, match="larger than the 10 training images"):
        Batching(11, "drop").steps_per_epoch(10)


def test_unknown_ways_of_batching_are_refused():
    with pytest.raises(PruningError, match="Did you mean 'straddle'"):
        Batching(4, "stradle")
    with pytest.raises(PruningError, match="Did you mean 'per_image'"):
        Batching(4, normalization="per_imge")


def test_a_given_normalization_needs_its_numbers_and_no_other_takes_them():
    for numbers in ({}, {"mean": (0.5,)}, {"std": (0.5,)}, {"mean": (0.5,), "std": (0.2, 0.2)}):
        with pytest.raises(PruningError, match="needs `mean` and `std`, one number for each"):
            Batching(4, normalization="given", **numbers)
    with pytest.raises(PruningError, match="it is scale. Take them out"):
        Batching(4, normalization="scale", mean=(0.5,), std=(0.2,))
    for mean, std in (
        *((0.5, wrong) for wrong in (0, -1, float("nan"), 1e-300, 63.0)),
        *((wrong, 0.5) for wrong in (127.5, float("nan"), float("-inf"))),
    ):
        with pytest.raises(PruningError, match="a `mean` from -10 to 10 and a `std` from 0.0004"):
            Batching(4, normalization="given", mean=(mean,), std=(std,))


def test_a_training_set_that_is_no_batch_at_all_is_refused():
    for boundary in ("straddle", "keep", "drop"):
        with pytest.raises(PruningError, match="No training image is left"):
            Batching(4, boundary).steps_per_epoch(0)
    with pytest.raises(PruningError, match="each of the 1352 training images 739,644 times"):
        Batching(10**9).steps_per_epoch(1352)
    assert Batching(5000).steps_per_epoch(1352) < 1
    assert Batching(10**9, "keep").steps_per_epoch(1352) == 1


def test_a_validation_that_takes_every_image_of_its_split_is_refused(digits_file):
    for source, count in (("train", 1352), ("test", 445)):
        with pytest.raises(PruningError, match=f"0.99999 of the {count} {source} images leaves no"):
            load(digits_file, Validation(source, 0.99999))


def test_crops_of_nothing_but_padding_are_refused(digits_file):
    with pytest.raises(PruningError, match="crop_padding is 8, but images have 8 x 8 pixels"):
        stream(10, Batching(4, crop_padding=8), images=torch.zeros(10, 8, 8, 1, dtype=torch.uint8))


def test_batches_are_a_function_of_seed_stream_and_position():
    batching = Batching(4, crop_padding=1, flip=True)
    images = torch.randint(0, 256, (10, 4, 4, 1), dtype=torch.uint8)
    torch.manual_seed(0)
    a = stream(10, batching, images=images)
    torch.manual_seed(1)
    b = stream(10, batching, images=images)
    in_order = [a.batch(i) for i in range(7)]
    for i in (6, 0, 3):  # in any order, from any start
        assert torch.equal(b.batch(i)[0], in_order[i][0])
        assert torch.equal(b.batch(i)[1], in_order[i][1])
    assert labels(stream(10, batching), 5) != labels(stream(10, batching, seed=1), 5)
    assert labels(stream(10, batching), 5) != labels(stream(10, batching, purpose=("x",)), 5)
    # The order does not depend on what augmentation draws.
    assert labels(stream(10, batching), 5) == labels(stream(10, Batching(4)), 5)


@given(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))
def test_crops_are_those_of_a_padded_image(padding, height, width, channels):
    images = torch.randint(1, 256, (6, height, width, channels), dtype=torch.uint8)
    order = torch.tensor([5, 0, 0, 3])
    offsets = torch.randint(0, 2 * padding + 1, (4, 2))
    cropped = Crops(images, padding)(order, offsets)
    padded = np.pad(images.numpy(), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    for crop, index, (dy, dx) in zip(cropped, order, offsets.tolist(), strict=True):
        expected = padded[index, dy : dy + height, dx : dx + width]
        assert np.array_equal(crop.numpy(), expected)


def test_augmentation_draws_every_offset_and_flips_half():
    image = torch.arange(16, dtype=torch.uint8).view(1, 4, 4, 1) + 1
    images = image.repeat(4000, 1, 1, 1)
    x, _ = stream(4000, Batching(4000, crop_padding=1, flip=True), images=images).batch(0)
    distinct, counts = x.flatten(1).unique(dim=0, return_counts=True)
    assert len(distinct) == 18  # 9 offsets, each mirrored or not
    assert counts.min() > 4000 / 18 * 0.6
    whole = torch.stack([image[0], image[0].flip(1)])
    assert all(any(torch.equal(d.view(4, 4, 1), w) for d in distinct) for w in whole)


@pytest.mark.parametrize(
    ("augmentation", "digest"),
    [
        ({}, "fc78c3358c667397"),
        ({"crop_padding": 2}, "b15c68ade9d790ca"),
        ({"flip": True}, "29145326d5468553"),
        ({"crop_padding": 2, "flip": True}, "9ead66755ae6e23c"),
    ],
)
def test_training_streams_give_the_bytes_they_have_always_given(augmentation, digest):
    images = (torch.arange(50 * 5 * 6 * 3) * 37 % 256).to(torch.uint8).view(50, 5, 6, 3)
    source = stream(50, Batching(8, **augmentation), seed=3, images=images)
    seen = hashlib.sha256()
    for index in range(15):
        for part in source.batch(index):
            seen.update(part.contiguous().numpy().tobytes())
    assert seen.hexdigest()[:16] == digest


@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.sampled_from(["straddle", "keep"]),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_shares_of_a_batch_make_up_the_batch(count, size, boundary, processes, group):
    source = stream(count, Batching(size, boundary, crop_padding=1, flip=True), images=None)
    for index in range(4):
        images, labels = source.batch(index)
        assert source.size(index) == len(labels)
        parts = [source.batch(index, Share(rank, processes, group)) for rank in range(processes)]
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        lengths = [len(part[1]) for part in parts]
        ends = np.cumsum(lengths)
        assert all(end % group == 0 or end == len(labels) for end in ends)
        groups = [-(-length // group) for length in lengths]
        assert groups == sorted(groups, reverse=True)
        assert groups[0] - groups[-1] <= 1
        if group == 1:
            split = torch.arange(len(labels)).tensor_split(processes)
            assert lengths == [len(part) for part in split]


TINY_IMAGENET = ResizedCrop((0.1, 1.0), (0.8, 1.25))


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (64, 64, TINY_IMAGENET),
        (32, 48, ResizedCrop((0.08, 1.0), (3 / 4, 4 / 3))),
        (24, 24, ResizedCrop((0.9, 1.0), (0.25, 4.0))),  # most tries do not fit
    ],
)
def test_boxes_are_distributed_as_torchvisions(height, width, crop):
    from torchvision.transforms import RandomResizedCrop

    count = 6000
    ours = draw_boxes(count, height, width, crop, torch.Generator().manual_seed(0)).double()
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    draw = RandomResizedCrop.get_params
    theirs = torch.tensor([draw(image, list(crop.scale), list(crop.ratio)) for _ in range(count)])
    # Two samples of one distribution: their distribution functions are less than 1.95 sqrt(2 / N)
    # apart in 999 of 1000 cases (Kolmogorov and Smirnov).
    margin = 1.95 * (2 / count) ** 0.5
    for values in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        *(lambda b, i=i: b[:, i] for i in range(4)),
    ):
        a, b = values(ours), values(theirs.double())
        points = torch.cat([a, b]).unique()
        below = [torch.searchsorted(v.sort().values, points, right=True) / count for v in (a, b)]
        assert float((below[0] - below[1]).abs().max()) < margin
    assert (ours >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()


@pytest.mark.parametrize(
    ("height", "width", "ratio"), [(100, 10, (0.8, 1.25)), (10, 100, (0.8, 1.25)), (8, 8, (1, 1))]
)
def test_what_fits_at_no_try_is_torchvisions_central_crop(height, width, ratio):
    from torchvision.transforms import RandomResizedCrop

    crop = ResizedCrop((1.0, 1.0), ratio)
    boxes = draw_boxes(5, height, width, crop, torch.Generator().manual_seed(0))
    image = torch.empty(1, height, width)
    expected = RandomResizedCrop.get_params(image, list(crop.scale), list(crop.ratio))
    assert boxes.tolist() == [list(expected)] * 5


@pytest.mark.parametrize(("height", "width", "channels"), [(64, 64, 3), (13, 9, 1)])
def test_resized_crops_are_each_crop_interpolated(height, width, channels):
    images = torch.randint(0, 256, (80, height, width, channels), dtype=torch.uint8)
    source = torch.Generator().manual_seed(1)
    boxes = draw_boxes(80, height, width, ResizedCrop((0.01, 1.0), (0.5, 2.0)), source)
    boxes[0] = torch.tensor([0, 0, height, width])
    boxes[1] = torch.tensor([height - 1, width - 1, 1, 1])
    resized = resized_crops(images, boxes)
    assert (resized.dtype, resized.shape) == (torch.uint8, images.shape)
    assert torch.equal(resized[0], images[0])
    assert (resized[1] == images[1, -1, -1]).all()
    for image, new, (top, left, rows, columns) in zip(images, resized, boxes.tolist(), strict=True):
        crop = image[top : top + rows, left : left + columns]
        expected = torch.nn.functional.interpolate(
            crop.permute(2, 0, 1)[None].float(),
            size=(height, width), mode="bilinear", align_corners=False,
        )[0].permute(1, 2, 0)  # fmt: skip
        # Rounding to a grey level, and a few units in the last place of the positions.
        assert (new - expected).abs().max() < 0.51
        picture = Image.fromarray(crop.squeeze(2).numpy())
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        by_pil = torch.tensor(np.asarray(picture)).view_as(new).int()
        assert (new.int() - by_pil).abs().max() <= 1  # PIL rounds after each of its two passes


def test_streams_of_resized_crops_are_a_function_of_position_and_keep_the_order():
    images = torch.randint(0, 256, (10, 16, 16, 3), dtype=torch.uint8)
    batching = Batching(4, flip=True, resized_crop=TINY_IMAGENET)
    a, b = (stream(10, batching, images=images) for _ in range(2))
    in_order = [a.batch(i) for i in range(7)]
    for i in (6, 0, 3):
        assert torch.equal(b.batch(i)[0], in_order[i][0])
    assert labels(a, 5) == labels(stream(10, Batching(4)), 5)
    other = stream(10, batching, seed=1, images=images)
    assert not torch.equal(other.batch(0)[0], in_order[0][0])
    # Two epochs see an image through different boxes.
    one = stream(1, Batching(1, resized_crop=TINY_IMAGENET), images=images[:1])
    assert not torch.equal(one.batch(0)[0], one.batch(1)[0])


def test_impossible_resized_crops_are_refused():
    with pytest.raises(PruningError, match="two ways to crop"):
        Batching(4, crop_padding=2, resized_crop=TINY_IMAGENET)
    for scale in ((0, 1), (0.5, 0.2), (0.5, 1.5), (0.5,)):
        with pytest.raises(PruningError, match="resized_crop: `scale` is a lowest and a highest"):
            ResizedCrop(scale, (1, 1))
    with pytest.raises(PruningError, match="resized_crop: `ratio`"):
        ResizedCrop((0.1, 1), (1.25, 0.8))
    plain = {"size": 4, "resized_crop": {"scale": [0.1, 1.0], "ratio": [0.8, 1.25]}}
    assert Batching.from_dict(plain) == Batching(4, resized_crop=TINY_IMAGENET)


def test_normalizations(digits):
    rgb = torch.randint(0, 256, (5, 6, 7, 3), dtype=torch.uint8)
    data = dataclasses.replace(
        digits, train=Split(rgb, torch.zeros(5)), mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0)
    )
    x = rgb.float()
    expected = (x - torch.tensor(data.mean)) / torch.tensor(data.std)
    per_channel = Normalizer("per_channel", data)(rgb)
    assert torch.allclose(per_channel, expected.permute(0, 3, 1, 2), atol=1e-4)
    assert per_channel.is_contiguous(memory_format=torch.channels_last)
    per_image = Normalizer("per_image", data)(rgb)
    flat = x.flatten(1)
    expected = (flat - flat.mean(1, True)) / flat.std(1, correction=0, keepdim=True)
    assert torch.allclose(
        per_image, expected.view(5, 6, 7, 3).permute(0, 3, 1, 2), atol=1e-5, rtol=1e-4
    )
    scaled = Normalizer("scale", data)(rgb)
    assert torch.allclose(scaled, x.permute(0, 3, 1, 2) / 255)
    constant = Normalizer("per_image", data)(torch.full((1, 6, 7, 3), 9, dtype=torch.uint8))
    assert torch.equal(constant, torch.zeros(1, 3, 6, 7))  # the floor, not a division by zero


def test_given_normalization_is_the_usual_formula_on_pixels_in_0_1(digits, make_task):
    rgb = torch.randint(0, 256, (5, 6, 7, 3), dtype=torch.uint8)
    data = dataclasses.replace(digits, train=Split(rgb, torch.zeros(5)))
    mean, std = (0.485, -0.456, 0.406), (0.229, 0.224, 1.25)
    expected = (rgb / 255 - torch.tensor(mean)) / torch.tensor(std)
    given = Normalizer("given", data, mean, std)(rgb)
    assert torch.allclose(given, expected.permute(0, 3, 1, 2), atol=1e-5)
    with pytest.raises(PruningError, match=r"1 numbers in `mean` and 1 in `std`.*3 channels"):
        Normalizer("given", data, (0.5,), (0.2,))
    batching = Batching.from_dict(
        {"size": 4, "normalization": "given", "mean": [0.5], "std": [0.25]}
    )
    assert (batching.mean, batching.std) == ((0.5,), (0.25,))
    task = make_task(batches=batching)
    images = task.data.train.images[:3]
    expected = (images / 255 - 0.5) / 0.25
    assert torch.allclose(task.normalize(images), expected.permute(0, 3, 1, 2), atol=1e-5)


def test_channel_statistics_match_numpy(digits_file, digits):
    x = digits.train.images.double()
    assert digits.mean[0] == pytest.approx(float(x.mean()))
    assert digits.std[0] == pytest.approx(float(x.std(correction=0)))


def test_damaged_and_foreign_prepared_files_are_named(tmp_path, digits_file):
    with pytest.raises(PruningError, match="none.safetensors does not exist"):
        load(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(digits_file.read_bytes()[:5000])
    with pytest.raises(PruningError, match=r"cut.safetensors is damaged.*Delete it"):
        load(cut)
    foreign = tmp_path / "foreign.safetensors"
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(PruningError, match="not a prepared data set"):
        load(foreign)


def test_preparation_repeats_byte_for_byte(tmp_path, digits_file):
    from pruning.stages.prepare_data import prepare_data

    prepare_data("digits", {"kind": "digits"}, tmp_path, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == digits_file.read_bytes()


def make_tree(root, size=(5, 4)):
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for i in range(3):
                pixels = random.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
    return root


def test_image_folder_and_archive_give_the_same(tmp_path):
    tree = make_tree(tmp_path / "tree")
    with tarfile.open(tmp_path / "tree.tar.xz", "w:xz") as archive:
        archive.add(tree, arcname="anything")
    a = prepare("pets", "image_folder", tmp_path, {"path": "tree"})
    b = prepare("pets", "image_folder", tmp_path, {"path": "tree.tar.xz"})
    assert a.classes == b.classes == ("cat", "dog")
    assert a.train_images.shape == (6, 4, 5, 3)
    assert np.array_equal(a.train_images, b.train_images)
    assert a.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    first = np.asarray(Image.open(tree / "train" / "cat" / "0.png"))
    assert np.array_equal(a.train_images[0], first)
    small = prepare("pets", "image_folder", tmp_path, {"path": "tree", "size": 2, "grey": True})
    assert small.train_images.shape == (6, 2, 2, 1)


def test_image_folder_errors_name_the_file(tmp_path):
    def refused(**options):
        with pytest.raises(PruningError) as error:
            prepare("pets", "image_folder", tmp_path, {"path": "tree", **options})
        return str(error.value)

    assert "PRUNING_DATA" in refused()
    tree = make_tree(tmp_path / "tree")
    bad = tree / "train" / "dog" / "bad.png"
    bad.write_bytes(b"not a picture")
    assert str(bad) in refused()
    whole = (tree / "train" / "dog" / "0.png").read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    assert str(bad) in refused()
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "png")
    bad.write_bytes(buffer.getvalue())
    assert "9x9, others are 5x4" in refused()
    bad.unlink()
    (tree / "test" / "bird").mkdir()
    Image.new("RGB", (5, 4)).save(tree / "test" / "bird" / "0.png")
    assert "same class folders" in refused()
    assert "'sizes'" in refused(sizes=3)
    assert "whole number" in refused(size="big")
    with tarfile.open(tmp_path / "cut.tar.xz", "w:xz") as archive:
        archive.add(tree)
    whole = (tmp_path / "cut.tar.xz").read_bytes()
    for length in range(100, len(whole) - 40, len(whole) // 9):
        (tmp_path / "cut.tar.xz").write_bytes(whole[:length])
        with pytest.raises(PruningError, match=r"cut\.tar\.xz"):
            prepare("pets", "image_folder", tmp_path, {"path": "cut.tar.xz"})
    (tmp_path / "bad.tar").write_bytes(b"\0" * 100 + b"x" * 1000)
    with pytest.raises(PruningError, match=r"bad\.tar is damaged"):
        prepare("pets", "image_folder", tmp_path, {"path": "bad.tar"})


WNIDS = ("n02", "n01", "n10")


def make_tiny_imagenet(root):
    """The tree that the archive unpacks to, with three classes and 6x6 images, some grey."""
    random = np.random.default_rng(0)

    def picture(file, mode="RGB"):
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (6, 6, 3) if mode == "RGB" else (6, 6)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(file)

    for wnid in WNIDS:
        for i in range(2):
            picture(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", "L" if i else "RGB")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
    lines = []
    for i, wnid in enumerate(("n10", "n01", "n02", "n01")):
        picture(root / "val" / "images" / f"val_{i}.JPEG")
        lines.append(f"val_{i}.JPEG\t{wnid}\t0\t1\t5\t5\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    picture(root / "test" / "images" / "test_0.JPEG")
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    return root


def test_tiny_imagenet_from_its_tree(tmp_path):
    tree = make_tiny_imagenet(tmp_path / "tiny-imagenet-200")
    data = prepare("tiny", "tiny_imagenet", tmp_path, {})
    data.check()
    assert data.classes == ("n01", "n02", "n10")
    assert data.train_images.shape == (6, 6, 6, 3)
    assert data.train_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test_labels.tolist() == [2, 0, 1, 0]
    for image, file in (
        (data.train_images[3], "train/n02/images/n02_1.JPEG"),
        (data.test_images[1], "val/images/val_1.JPEG"),
    ):
        assert np.array_equal(image, np.asarray(Image.open(tree / file).convert("RGB")))
    (tree / "wnids.txt").unlink()
    again = prepare("tiny", "tiny_imagenet", tmp_path, {"path": str(tree)})
    assert again.classes == data.classes
    assert np.array_equal(again.train_images, data.train_images)
    small = prepare("tiny", "tiny_imagenet", tmp_path, {"size": 4})
    assert small.test_images.shape == (4, 4, 4, 3)


def test_tiny_imagenet_passes_over_what_image_folders_do_and_counts_it(tmp_path):
    tree = make_tiny_imagenet(tmp_path / "tiny-imagenet-200")
    whole = prepare("tiny", "tiny_imagenet", tmp_path, {})
    assert whole.skipped == {}
    images = tree / "train" / "n01" / "images"
    for file in (images / "._n01_0.JPEG", images / "Thumbs.db", tree / "val/images/.x.JPEG"):
        file.write_bytes(b"x")
    for file in (images / "a.jfif", tree / "val/images/list.txt", tree / "train/notes"):
        file.write_bytes(b"x")
    (tree / "train" / ".ipynb_checkpoints").mkdir()
    data = prepare("tiny", "tiny_imagenet", tmp_path, {})
    assert data.skipped == {"*.jfif": 1, "*.txt": 1, "hidden": 4, "in no class folder": 1}
    assert np.array_equal(data.train_images, whole.train_images)
    assert np.array_equal(data.test_images, whole.test_images)
    for file in images.glob("*.JPEG"):
        file.unlink()
    with pytest.raises(PruningError, match=r"n01/images holds no image .*\(1 \*\.jfif\)"):
        prepare("tiny", "tiny_imagenet", tmp_path, {})


def test_tiny_imagenet_reads_deep_and_transparent_images_as_image_folders_do(tmp_path):
    tree = make_tiny_imagenet(tmp_path / "tiny-imagenet-200")
    file = tree / "train" / "n01" / "images" / "n01_0.JPEG"
    Image.fromarray(np.full((6, 6), 40000, np.uint16)).save(file, "png")
    data = prepare("tiny", "tiny_imagenet", tmp_path, {})
    assert (data.train_images[0] == 156).all()
    assert data.converted == {"images of 16 bits, scaled to 8": 1}
    Image.new("F", (6, 6), 0.5).save(file, "tiff")
    with pytest.raises(PruningError, match=r"n01_0\.JPEG has pixels of the kind 'F'"):
        prepare("tiny", "tiny_imagenet", tmp_path, {})
    (tree / "wnids.txt").write_text("n01")
    for wnid in ("n02", "n10"):
        shutil.rmtree(tree / "train" / wnid)
    with pytest.raises(PruningError, match="holds one class, 'n01'"):
        prepare("tiny", "tiny_imagenet", tmp_path, {})


def test_tiny_imagenet_errors_name_the_file(tmp_path):
    def refused(**options):
        with pytest.raises(PruningError) as error:
            prepare("tiny", "tiny_imagenet", tmp_path, options)
        return str(error.value)

    assert "val_annotations.txt, as the archive" in refused()
    assert "whole number" in refused(size=0)
    assert "a text" in refused(path=3)
    assert "'grey'" in refused(grey=True)
    tree = make_tiny_imagenet(tmp_path / "tiny-imagenet-200")
    annotations = tree / "val" / "val_annotations.txt"
    lines = annotations.read_text()
    annotations.write_text(lines + "val_9.JPEG\tn01\t0\t1\t5\t5\n")
    assert "val_9.JPEG has a label but is missing" in refused()
    annotations.write_text(lines.splitlines()[0])
    assert "val_1.JPEG has no label (val_annotations.txt lists 1 images)" in refused()
    annotations.write_text(lines + "val_9.JPEG\tn77\t0\t1\t5\t5\n")
    assert f"line 5 of {annotations} gives 'val_9.JPEG' the class 'n77'" in refused()
    annotations.write_text(lines + "\n")
    assert "line 5" in refused()
    annotations.write_text("")
    assert "lists no images" in refused()
    annotations.write_text(lines)
    bad = tree / "train" / "n10" / "images" / "n10_0.JPEG"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    assert f"{bad} is not a readable image" in refused()
    Image.new("RGB", (9, 9)).save(bad)
    assert f"{bad} is 9x9, others are 6x6" in refused()
    bad.write_bytes(whole)
    (tree / "train" / "n99").mkdir()
    assert "n99 is of no class in" in refused()
    (tree / "train" / "n99").rmdir()
    (tree / "wnids.txt").write_text("n01 n02 n10 n11")
    assert "class n11 has no images in" in refused()
    annotations.unlink()
    assert "must be a folder with train/<class>" in refused()


def test_channel_statistics_do_not_depend_on_the_parts_they_are_taken_in(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)
    zeros = np.zeros(7, dtype=np.int64)
    data = store.ImageData("x", images, zeros, images, zeros, ("a",), "")
    whole = data.channel_statistics()
    monkeypatch.setattr(store, "PART", 33)
    assert data.channel_statistics() == whole
    assert whole[0] == pytest.approx(images.mean((0, 1, 2)))
    assert whole[1] == pytest.approx(images.std((0, 1, 2)))


def test_unknown_kind_and_missing_source_files(tmp_path):
    with pytest.raises(PruningError, match="Did you mean 'cifar10'"):
        prepare("x", "cifar_10", tmp_path, {})
    if os.geteuid() == 0:
        pytest.skip("root can write to a read-only folder")
    tmp_path.chmod(0o500)
    with pytest.raises(PruningError, match="read-only"):
        prepare("mnist", "mnist", tmp_path, {})


def test_a_failed_download_is_one_paragraph_and_leaves_nothing(tmp_path, monkeypatch):
    import torchvision

    def broken(self):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", broken)
    output = tmp_path / "mnist.safetensors"
    from pruning.stages.prepare_data import prepare_data

    with pytest.raises(PruningError, match=r"'mnist'.*no network.*PRUNING_DATA"):
        prepare_data("mnist", {"kind": "mnist"}, tmp_path / "root", output)
    assert not output.exists()


@pytest.mark.skipif(
    not (SHARED_DATA / "MNIST").exists(), reason="no real MNIST beside the checkout"
)
def test_real_mnist_from_files_on_disk(tmp_path):
    data = prepare("mnist", "mnist", SHARED_DATA, {})
    assert data.train_images.shape == (60_000, 28, 28, 1)
    assert np.bincount(data.test_labels).tolist()[:3] == [980, 1135, 1032]
    assert data.channel_statistics()[0][0] / 255 == pytest.approx(0.1307, abs=1e-4)


@pytest.mark.skipif(
    not (SHARED_DATA / "cifar10").exists(), reason="no CIFAR-10 images beside the checkout"
)
def test_real_cifar10_from_the_archive():
    data = prepare(
        "cifar10_jpeg", "image_folder", SHARED_DATA, {"path": "cifar10/cifar10-jpeg.tar.xz"}
    )
    assert data.train_images.shape == (50_000, 32, 32, 3)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert data.classes[:3] == ("airplane", "automobile", "bird")
