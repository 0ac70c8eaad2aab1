"""Make a small tree of JPEGs of many sizes, to try what is otherwise for ImageNet.

    python resources/make_jpeg_tree.py

The pictures are those of CIFAR-10, from ``cifar10/cifar10-jpeg.tar.xz`` in the data folder
($PRUNING_DATA, or resources/data), enlarged to 96 x 96 pixels and cut to between 80 x 60 and all of
it. ``jpeg_tree/`` there gets train/<class>/ and test/<class>/, which config/config.yaml calls
``jpeg_tree``. The same pictures are made every time.
"""

import argparse
import io
import shutil
import sys
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from pruning.study.study import data_root

ENLARGED, LEAST_WIDTH, LEAST_HEIGHT = 96, 80, 60
QUALITY = 90


def make(archive: Path, tree: Path, counts: dict[str, int]) -> int:
    """Write the tree; how many pictures it has.

    Args:
        archive: ``train/<class>/*.jpg`` and ``test/<class>/*.jpg``.
        tree: the folder to make.
        counts: pictures of each class, by split.
    """
    done: Counter[tuple[str, str]] = Counter()
    with tarfile.open(archive) as tar:
        for member in sorted(filter(tarfile.TarInfo.isfile, tar), key=lambda found: found.name):
            split, label, name = PurePosixPath(member.name).parts[-3:]
            if done[split, label] == counts[split]:
                continue
            content = tar.extractfile(member).read()
            file = tree / split / label / f"{PurePosixPath(name).stem}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            draws = np.random.default_rng([*member.name.encode()])
            larger(Image.open(io.BytesIO(content)), draws).save(file, "JPEG", quality=QUALITY)
            done[split, label] += 1
    return done.total()


def larger(picture: Image.Image, draws: np.random.Generator) -> Image.Image:
    """A picture enlarged and cut to a size of its own."""
    whole = picture.convert("RGB").resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC)
    width = int(draws.integers(LEAST_WIDTH, ENLARGED + 1))
    height = int(draws.integers(LEAST_HEIGHT, ENLARGED + 1))
    left, top = (int(draws.integers(ENLARGED - side + 1)) for side in (width, height))
    return whole.crop((left, top, left + width, top + height))


def main() -> None:
    """Make it in the data folder, in place of an older one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=int, default=300, help="training pictures of each class")
    parser.add_argument("--test", type=int, default=100, help="test pictures of each class")
    arguments = parser.parse_args()
    archive = data_root() / "cifar10" / "cifar10-jpeg.tar.xz"
    if not archive.exists():
        sys.exit(f"There is no {archive}. Set PRUNING_DATA to the folder that has it.")
    tree = data_root() / "jpeg_tree"
    part = tree.with_name("jpeg_tree.part")
    for folder in (part, tree):
        shutil.rmtree(folder, ignore_errors=True)
    count = make(archive, part, {"train": arguments.train, "test": arguments.test})
    part.rename(tree)
    print(f"{count} pictures in {tree}")


if __name__ == "__main__":
    main()
