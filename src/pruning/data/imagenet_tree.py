"""ImageNet's tree, whole or as its archives unpack at first.

No numpy here: Snakemake walks the trees of its data sets each time it starts, and what is wrong
with one is said there first.
"""

from pathlib import Path

from pruning.data.trees import (
    EXTENSIONS,
    FILE,
    FOLDER,
    IMAGENET,
    ImageTree,
    Tree,
    Walk,
    find_images,
    nearest_splits,
)


def find_imagenet(name: str, tree: Tree) -> ImageTree:
    """As :func:`pruning.data.trees.find_images` in ``train`` and ``val``.

    Raises:
        PruningError: as there; says what to do where archives have only been unpacked once.
    """
    _refuse_packed(Walk(name, tree, IMAGENET))
    return find_images(name, tree, IMAGENET)


def _refuse_packed(walk: Walk) -> None:
    """Refuse what the archives unpack to at first: archives of classes, and images of none."""
    for names, splits in nearest_splits(walk):
        train, val = (
            walk.visible(splits[folder], (*names, folder)) if folder in splits else []
            for folder in IMAGENET
        )
        if any(entry.name.endswith(".tar") for entry in train):
            raise walk.refusal(
                (*names, "train"),
                "holds archives of classes (<wnid>.tar), as ILSVRC2012_img_train.tar unpacks to. "
                "Unpack each into a folder of its name, and remove the archives: `for f in *.tar; "
                'do mkdir "${f%.tar}" && tar xf "$f" -C "${f%.tar}" && rm "$f"; done`',
            )
        flat = any(Path(e.name).suffix.lower() in EXTENSIONS for e in val if e.kind == FILE)
        if flat and not any(entry.kind == FOLDER for entry in val):
            raise walk.refusal(
                (*names, "val"),
                "holds images in no class folder, as ILSVRC2012_img_val.tar unpacks to. Move each "
                "into val/<wnid>: their classes are in the development kit "
                "(data/ILSVRC2012_validation_ground_truth.txt by number, data/meta.mat for the "
                "names), or in Kaggle's LOC_val_solution.csv. torchvision.datasets.ImageNet("
                "folder, split='val') does it, from both archives",
            )
