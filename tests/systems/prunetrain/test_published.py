"""The published numbers of PruneTrain, against the reference and against each other."""

import pandas as pd
import pytest

from pruning.errors import PruningError
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.vgg import LAYERS, POOL, VGG
from pruning.registry import NETWORKS
from pruning.systems.prunetrain.cost import totals
from pruning.systems.prunetrain.published import (
    ABSTRACTS,
    COSTS,
    INTERVALS,
    PUBLISHED,
    SOURCE,
    abstracts,
    check_reference,
    intervals_for,
    published,
    published_for,
)
from pruning.training.classification import one_image
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "resources" / "published"
README, LOG, SHAPES = "authors' README", "authors' log", "computed from authors' shapes"
# Reference, section 5.1: removed of training and of inference, accuracy, after fine-tuning.
TABLE = {
    ("resnet32", "cifar10"): [(53, 66, 91.8, None)],
    ("resnet50_bottleneck", "cifar10"): [(50, 70, 93.1, None)],
    ("resnet32", "cifar100"): [(32, 46, 69.5, None)],
    ("resnet50_bottleneck", "cifar100"): [(53, 69, 72.4, None)],
    ("resnet50", "imagenet"): [(37, 53, 74.4, 74.6), (29, 43, 74.7, 75.2)],
}
# Reference, section 5.2, by ratio: accuracy; removed of training; left of batch norms; removed of
# inference.
LOGS = {
    0.1: (75.81, 10.6, 88.5, 15.5),
    0.2: (74.698, 30.8, 71.0, 42.1),
    0.3: (72.484, 55.0, 48.1, 69.3),
}
# Reference, section 5.4: removed.
HEADLINES = {
    ("arXiv v1", "training_time"): (20, 30),
    ("arXiv v1", "macs"): (30, 50),
    ("SC 2019", "training_time"): (31, 31),
    ("SC 2019", "macs"): (37, 37),
    ("SC 2019", "memory_accesses"): (35, 35),
    ("SC 2019", "communication"): (54, 54),
    ("arXiv final", "training_time"): (39, 39),
    ("arXiv final", "macs"): (40, 40),
    ("arXiv final", "memory_accesses"): (37, 37),
    ("arXiv final", "communication"): (55, 55),
}


@pytest.fixture(scope="module")
def table():
    return published(SOURCE, FOLDER)


def test_every_row_is_there(table):
    assert tuple(table.columns) == PUBLISHED
    assert table["trust"].value_counts().to_dict() == {SHAPES: 13, README: 8, LOG: 3}
    assert set(table["method"]) == {"prunetrain"}
    assert set(table["variant"]) == {"unmodified", "fine_tuned"}
    assert set(table["network"]) <= set(NETWORKS)
    assert set(table["dataset"]) == {"cifar10", "cifar100", "imagenet"}
    key = ["network", "dataset", "variant", "ratio", "trust", "accuracy"]
    assert not table.duplicated(key).any()
    assert table["accuracy"].dropna().between(50, 100).all()
    costs = table[list(COSTS)]
    assert ((costs > 0) & (costs < 100) | costs.isna()).all(axis=None)


def test_the_table_of_the_readme_is_there(table):
    rows = table[table["trust"] == README]
    assert rows["ratio"].isna().all()
    found = {}
    for place, group in rows.groupby(["network", "dataset"]):
        found[place] = []
        for row in group[group["variant"] == "unmodified"].to_dict("records"):
            after = group[
                (group["variant"] == "fine_tuned")
                & (group["inference_macs"] == row["inference_macs"])
            ]
            tuned = None if after.empty else after["accuracy"].item()
            removed = (100 - row["training_macs"], 100 - row["inference_macs"])
            found[place].append((*removed, row["accuracy"], tuned))
            told = f"removed: {removed[0]:.0f} % of training and {removed[1]:.0f} % of inference"
            assert row["note"].startswith(told)
    assert found == TABLE


def test_logs_are_there(table):
    rows = table[table["trust"] == LOG].set_index("ratio")
    assert set(rows.index) == set(LOGS)
    for ratio, (accuracy, training, norm, inference) in LOGS.items():
        row = rows.loc[ratio]
        assert row["accuracy"] == accuracy
        assert row["training_macs"] == pytest.approx(100 - training)
        assert row["norm_traffic"] == norm
        assert row["inference_macs"] == pytest.approx(100 - inference)
    end = rows.loc[0.3]
    assert (end["activations"], end["model_elements"]) == (33.6, 46.5)
    assert end["out_channels"] == pytest.approx(100 * 10_851 / 26_560, abs=0.05)


@pytest.mark.parametrize("ratio", LOGS)
def test_intervals_make_up_the_training(table, ratio):
    rows = intervals_for(SOURCE, "resnet50", "imagenet", FOLDER)
    assert tuple(rows.columns) == INTERVALS
    rows = rows[rows["ratio"] == ratio]
    assert rows["first_epoch"].tolist() == list(range(1, 90, 10))
    assert rows["last_epoch"].tolist() == list(range(10, 91, 10))
    assert rows["training_macs"].iloc[0] == 100
    assert rows["training_macs"].is_monotonic_decreasing
    whole = table[(table["trust"] == LOG) & (table["ratio"] == ratio)]["training_macs"].item()
    assert rows["training_macs"].mean() == pytest.approx(whole, abs=0.05)


def test_there_are_no_intervals_of_other_networks():
    for reference, network, dataset in (
        (SOURCE, "resnet50", "cifar10"),
        (SOURCE, "resnet32", "imagenet"),
        ("gsm2019", "resnet50", "imagenet"),
    ):
        assert intervals_for(reference, network, dataset, FOLDER).empty
    named = intervals_for(f"{SOURCE}:resnet50:imagenet", "resnet50", "imagenet", FOLDER)
    assert len(named) == 27


def test_shapes_cost_what_stands_beside_them(table):
    """To the digit that is printed, or the one beside it."""
    example = one_image((3, 32, 32))
    rows = table[table["channels"] != ""]
    assert len(rows) == 7
    for row in rows.to_dict("records"):
        classes = int(row["dataset"].removeprefix("cifar"))
        left = map(int, row["channels"].split("-"))
        depth = int(row["network"].removeprefix("vgg"))
        layers = [POOL if layer == POOL else next(left) for layer in LAYERS[depth]]
        cut = totals(VGG((3, 32, 32), classes, layers, 1.0, False, "max", {}), example)
        dense = totals(build(NetworkConfig(row["network"]), (3, 32, 32), classes, None), example)
        for column, attribute in (
            ("step_macs", "training_macs"),
            ("inference_macs", "inference_macs"),
            ("norm_traffic", "norm_traffic"),
            ("parameters", "parameters"),
        ):
            share = 100 * getattr(cut, attribute) / getattr(dense, attribute)
            assert share == pytest.approx(row[column], abs=0.1), (row, column)


def test_a_larger_ratio_leaves_less(table):
    computed = table[table["trust"] != README]
    for _, rows in computed.groupby(["network", "dataset"]):
        rows = rows.sort_values("ratio")
        for column in (
            "training_macs",
            "step_macs",
            "inference_macs",
            "norm_traffic",
            "parameters",
        ):
            assert rows[column].dropna().is_monotonic_decreasing
    by_network = computed.groupby(["network", "dataset"])["ratio"].apply(sorted).to_dict()
    assert by_network == {
        ("resnet50", "imagenet"): [0.1, 0.2, 0.3],
        ("vgg11", "cifar10"): [0.1, 0.2, 0.3, 0.4],
        ("vgg11", "cifar100"): [0.3],
        ("vgg13", "cifar10"): [0.1, 0.2, 0.3, 0.4],
        ("vgg8", "cifar10"): [0.1, 0.2, 0.3, 0.4],
    }


def test_networks_without_printed_shapes(table):
    """Reference, section 5.3: training step, inference, batch norms, parameters."""
    rows = table[(table["trust"] == SHAPES) & (table["channels"] == "")]
    columns = ["step_macs", "inference_macs", "norm_traffic", "parameters"]
    found = {
        (row["network"], row["ratio"]): tuple(row[column] for column in columns)
        for row in rows.to_dict("records")
    }
    assert found == {
        ("vgg13", 0.1): (57.1, 61.5, 76.4, 26.4),
        ("vgg13", 0.3): (32.4, 36.0, 60.2, 9.5),
        ("vgg13", 0.4): (20.8, 23.3, 49.4, 5.3),
        ("vgg8", 0.1): (58.9, 61.8, 71.3, 40.9),
        ("vgg8", 0.3): (15.8, 17.2, 40.0, 8.2),
        ("vgg8", 0.4): (8.7, 9.7, 31.0, 4.0),
    }


def test_abstracts_are_there():
    table = abstracts(SOURCE, FOLDER)
    assert tuple(table.columns) == ABSTRACTS
    found = {
        (row["text"], row["quantity"]): (100 - row["most"], 100 - row["least"])
        for row in table.to_dict("records")
    }
    assert found == HEADLINES
    assert len(table) == len(HEADLINES)
    of = table.groupby("text")["network"].unique().map(list).to_dict()
    assert of == {"arXiv v1": [""], "SC 2019": [""], "arXiv final": ["resnet50"]}
    with pytest.raises(PruningError, match="'prunetrain2018'. Did you mean 'prunetrain2019'"):
        abstracts("prunetrain2018", FOLDER)


def test_what_is_published_of_a_network():
    found = published_for(SOURCE, "resnet32", "cifar100", FOLDER)
    assert found["accuracy"].tolist() == [69.5]
    assert found["channels"].tolist() == [""]
    named = published_for(f"{SOURCE}:resnet32:cifar100", "vgg11", "cifar10", FOLDER)
    pd.testing.assert_frame_equal(named, found)
    with pytest.raises(PruningError, match="Unknown network of prunetrain2019 'vgg16:cifar10'"):
        published_for(SOURCE, "vgg16", "cifar10", FOLDER)


def test_references_are_checked():
    check_reference(SOURCE, FOLDER)
    check_reference(f"{SOURCE}:vgg11:cifar100", FOLDER)
    with pytest.raises(PruningError, match="'prunetrain2018'. Did you mean 'prunetrain2019'"):
        check_reference("prunetrain2018", FOLDER)
    with pytest.raises(PruningError, match="Unknown network of prunetrain2019 'vgg8:cifar100'"):
        check_reference(f"{SOURCE}:vgg8:cifar100", FOLDER)
    with pytest.raises(PruningError, match="does not exist"):
        published(SOURCE, FOLDER / "nowhere")


def test_the_readme_says_where_they_are_from():
    text = (FOLDER / "README.md").read_text()
    for file in ("prunetrain", "prunetrain_intervals", "prunetrain_abstracts"):
        assert f"`{file}.csv`, source `{SOURCE}`" in text
    for trust in (README, LOG, SHAPES):
        assert f"`{trust}`" in text
