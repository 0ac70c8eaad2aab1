"""A language that a tiny network learns in seconds: words turned into others."""

import numpy as np

from pruning.data import store
from pruning.data.pieces import SPECIAL
from pruning.data.sentence_batching import SentenceBatching
from pruning.data.text_store import TextData, TextSide, TextSplit
from pruning.models.config import NetworkConfig
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.schedules import Pieces

WORDS = 6
PIECES = (*SPECIAL, *(f"▁w{word}" for word in range(WORDS)))
TARGETS = (*SPECIAL, *(f"▁v{word}" for word in range(WORDS)))
BIASES = ("encoder.*.bias_ih_l0*", "decoder.*.bias_ih*", "attention.query.bias")
NETWORK = NetworkConfig(
    "gnmt",
    "uniform_02",
    {"hidden": 16, "layers": 2, "dropout": 0.0, "forget_bias": 1.0, "attention_scale": 2.0},
)
RECIPE = Recipe(
    epochs=6,
    batches=SentenceBatching(16),
    schedule=Pieces(0.04, ((60, 0.5),), climb_steps=5),
    optimizer=OptimizerConfig("adam"),
    clip=5.0,
    label_smoothing=0.1,
)


def _split(count, seed, references=True):
    draws = np.random.default_rng(seed)
    rows = [draws.integers(3, 3 + WORDS, draws.integers(1, 6)) for _ in range(count)]
    sides = (rows, [row for row in rows])
    source, target = (TextSide.of([row.tolist() for row in side]) for side in sides)
    texts = tuple(" ".join(f"v{piece - 3}" for piece in row) for row in sides[1])
    return TextSplit(source, target, texts if references else ())


def text_file(path, train=240):
    """A prepared data set of it."""
    data = TextData(
        name="renamed",
        languages=("w", "v"),
        source_pieces=PIECES,
        target_pieces=TARGETS,
        train=_split(train, 0, references=False),
        validation=_split(30, 1),
        test=_split(40, 2),
        joining="sentencepiece",
        source="made up",
    )
    store.save(data, path)
    return path
