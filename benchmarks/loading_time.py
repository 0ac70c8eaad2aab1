"""Reading pictures for training beside torchvision's usual loader.

Images per second of CPU time on one core, and of wall time with one worker process: decoding a
JPEG of 500 x 375 pixels, a random crop resized to 224 x 224, a flip. torchvision's is an
`ImageFolder` with `RandomResizedCrop`, `RandomHorizontalFlip` and `ToTensor` behind a `DataLoader`;
its images are float32, ours uint8, as they go to the device. Both resize bilinearly by Pillow, and
ours bicubically too. They take turns in one process. The pictures are enlarged from real ones
(CIFAR-10 as JPEGs in the data folder, else the digits), with texture, as JPEGs of 35 to 95 KB;
files are in the page cache.
"""

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pruning.data.batches import TrainingStream
from pruning.data.batching import Batching, ResizedCrop
from pruning.data.loader import WORKERS
from pruning.data.prepare import prepare_file
from pruning.data.splits import load
from pruning.study.study import data_root

WIDTH, HEIGHT, QUALITY, TEXTURE = 500, 375, 85, 8
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
BATCH = 64
LEAST = 0.9  # of torchvision's images per second of CPU time; ours also compare checksums


def pictures() -> Iterator[Image.Image]:
    """Small real pictures."""
    archive = data_root() / "cifar10" / "cifar10-jpeg.tar.xz"
    if archive.exists():
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    yield Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
        return
    from sklearn.datasets import load_digits

    for image in load_digits().images:
        yield Image.fromarray((image * 255 / 16).astype(np.uint8)).convert("RGB")


def make_tree(folder: Path, count: int) -> list[int]:
    """Write two classes of large JPEGs, for both splits the same; sizes in bytes."""
    draws, sizes = np.random.default_rng(0), []
    for number, picture in enumerate(islice(pictures(), count)):
        large = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        texture = draws.normal(0, TEXTURE, (HEIGHT, WIDTH, 1))
        pixels = (np.asarray(large) + texture).clip(0, 255).astype(np.uint8)
        for split in ("train", "test"):
            file = folder / "tree" / split / f"class{number % 2}" / f"{number:05}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, quality=QUALITY)
        sizes.append(file.stat().st_size)
    return sizes


def ours(folder: Path, interpolation: str, workers: int) -> Iterator[int]:
    """Batch after batch; how many images each has."""
    prepared = folder / f"{interpolation}.safetensors"
    if not prepared.exists():
        options = {"path": "tree", "size": 224, "resize": 256, "interpolation": interpolation}
        prepare_file("bench", "image_files", folder, options, prepared)
    os.environ[WORKERS] = str(workers)
    batching = Batching(BATCH, flip=True, resized_crop=ResizedCrop(SCALE, RATIO))
    source = TrainingStream(load(prepared).train, lambda images: images, batching, 0, ("bench",))
    index = 0
    while True:
        yield len(source.batch(index)[1])
        index += 1


def usual(folder: Path, workers: int) -> Iterator[int]:
    """The same by torchvision's."""
    prepare = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, SCALE, RATIO),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    images = ImageFolder(folder / "tree" / "train", prepare)
    ahead = {"prefetch_factor": 4} if workers else {}
    while True:
        for _, labels in DataLoader(images, BATCH, shuffle=True, num_workers=workers, **ahead):
            yield len(labels)


def speed(batches: Iterator[int], count: int, clock: Callable[[], float]) -> float:
    """Images per second over about so many."""
    started, done = clock(), 0
    while done < count:
        done += next(batches)
    return done / (clock() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = make_tree(folder, arguments.images)
        print(f"{len(sizes)} JPEGs of {WIDTH} x {HEIGHT} pixels, {min(sizes) / 1e3:.0f} to "
              f"{max(sizes) / 1e3:.0f} KB")  # fmt: skip
        kinds = {
            "torchvision, bilinear": partial(usual, folder),
            "ours, bilinear": partial(ours, folder, "bilinear"),
            "ours, bicubic": partial(ours, folder, "bicubic"),
        }
        for where, workers, clock in (
            ("in the process itself, per second of CPU time", 0, time.process_time),
            ("with one worker process, per second", 1, time.perf_counter),
        ):
            print(where)
            running = {kind: make(workers) for kind, make in kinds.items()}
            count = arguments.images * (1 + 3 * workers)  # many more than what is read ahead
            told: dict[str, list[float]] = {kind: [] for kind in kinds}
            for turn in range(arguments.rounds + 1):
                for kind in kinds:
                    reached = speed(running[kind], count, clock)
                    if workers:  # none goes on reading ahead while it is the others' turn
                        running[kind] = kinds[kind](workers)
                    if turn:  # the first warms up
                        told[kind].append(reached)
            base = statistics.median(told["torchvision, bilinear"])
            for kind, values in told.items():
                factor = statistics.median(values) / base
                limit = ""
                if kind == "ours, bilinear" and not workers:
                    limit = f"  wanted: at least {LEAST}x"
                    limit += ", MISSED" if factor < LEAST else ""
                print(
                    f"  {kind:<22} {statistics.median(values):6.0f} images (min "
                    f"{min(values):.0f}, max {max(values):.0f})  {factor:5.2f}x{limit}"
                )
            running.clear()


if __name__ == "__main__":
    main()
