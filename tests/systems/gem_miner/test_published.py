"""The published numbers of searches, against the tables of the reference."""

import pandas as pd
import pytest

from pruning.errors import PruningError
from pruning.registry import NETWORKS
from pruning.systems import joined
from pruning.systems.gem_miner.published import (
    ACCURACIES,
    LAYERS,
    PUBLISHED,
    check_reference,
    layers_for,
    published_for,
)
from pruning.systems.gem_miner.rules import BASELINES, METHODS, VARIANTS
from pruning.systems.gem_miner.tables import IMP_COLD, IMP_WARM, LR_REWIND
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "resources" / "published"

# method, density: after training, with the mask shuffled, with weights drawn anew.
TABLE_2 = {
    ("ProsPr", 0.05): (82.67, 82.15, 81.64),
    ("gem_miner", 0.0372): (83.4, 78.73, 78.6),
}
# Before and after training, at 0.59 %.
TABLE_3 = {
    "edge_popup": (19.57, 24.47),
    "global_edge_popup": (22.22, 34.42),
    "global_edge_popup_gradual": (31.56, 63.54),
    "global_edge_popup_gradual_regularized": (19.67, 63.72),
    "gem_miner": (45.30, 66.15),
}
# After training, at 1.4 %; epochs.
TABLE_4 = {
    "gem_miner": (77.89, 300),
    "gem_miner_long": (79.50, 3000),
    "imp_warm": (74.52, 3000),
    "lr_rewind": (80.21, 3000),
}
# Logs of development: method, density, before and after training.
LOGS = {
    ("edge_popup", 0.5): (87.42, 88.75),
    ("edge_popup", 0.018026): (26.38, 52.39),
    ("global_edge_popup", 0.5): (85.83, 89.49),
    ("global_edge_popup", 0.018): (10.0, 10.0),
    ("global_edge_popup_gradual", 0.0195): (61.34, 77.91),
    ("gem_miner", 0.017467): (74.0, 79.35),
    ("gem_miner_l1", 0.007211): (45.72, 70.58),
}
# Read from a picture: density, learning-rate rewinding, cold IMP.
PICTURE = [
    (0.0859, 90.4, 85.5), (0.0440, 87.6, 81.6), (0.0352, 86.7, 79.9), (0.0225, 84.3, 75.8),
    (0.0144, 79.7, 69.4), (0.0115, 77.4, 66.1), (0.0059, 65.7, 57.0), (0.0030, 54.6, 47.9),
]  # fmt: skip
# What layers of ResNet-20 keep, in percent, counted from 1.
HEADS = [
    ("gem_miner", 0.0372), ("gem_miner", 0.0144), ("gem_miner", 0.0059),
    ("imp_warm", 0.0352), ("imp_warm", 0.0144), ("imp_warm", 0.0059), ("smart_ratio", 0.0144),
]  # fmt: skip
KEPT = {
    1: (41.44, 34.49, 25.69, 54.40, 44.91, 33.33, 9.95),
    2: (16.97, 7.16, 3.39, 17.49, 10.59, 5.12, 9.11),
    4: (17.80, 8.68, 4.60, 13.80, 8.72, 3.86, 7.34),
    8: (10.57, 4.10, 1.54, 12.70, 6.18, 2.56, 4.36),
    13: (5.37, 1.83, 0.42, 4.92, 1.71, 0.64, 1.73),
    14: (3.33, 0.68, 0.22, 3.48, 1.18, 0.37, 1.34),
    16: (1.72, 0.37, 0.12, 1.36, 0.34, 0.05, 0.72),
    18: (0.94, 0.33, 0.07, 1.21, 0.31, 0.07, 0.29),
    19: (1.77, 0.70, 0.09, 0.65, 0.22, 0.06, 0.14),
    20: (54.69, 25.94, 23.91, 42.19, 26.88, 18.28, 30.00),
}


@pytest.fixture(scope="module")
def table():
    return ACCURACIES.read("raregems2022", FOLDER)


def values(rows, *keys, **wanted):
    """Accuracies of the rows with these texts in their columns, by ``keys``."""
    for column, value in wanted.items():
        rows = rows[rows[column].astype(str) == value]
    assert not rows.duplicated(list(keys)).any()
    return rows.set_index(list(keys))["accuracy"].to_dict()


def test_table_2_is_there(table):
    checks = ("unmodified", "shuffled", "reinitialized")
    wanted = {
        (*cell, variant): accuracy
        for cell, accuracies in TABLE_2.items()
        for variant, accuracy in zip(checks, accuracies, strict=True)
    }
    # Which of two ways weights were drawn anew in is not known.
    wanted["gem_miner", 0.0372, "reinitialized_kaiming"] = 78.6
    assert values(table, "method", "density", "variant", table="2", moment="after") == wanted
    notes = table[table["variant"].str.startswith("reinitialized") & (table["method"] != "ProsPr")]
    assert notes["note"].str.contains("code draws").all()
    assert (table["table"] == "2").sum() == len(wanted)


def test_table_3_is_there(table):
    wanted = {
        (method, moment): accuracy
        for method, accuracies in TABLE_3.items()
        for moment, accuracy in zip(("before", "after"), accuracies, strict=True)
    }
    assert values(table, "method", "moment", table="3", density="0.0059") == wanted
    assert (table["table"] == "3").sum() == len(wanted)


def test_table_4_is_there(table):
    wanted = {method: accuracy for method, (accuracy, _) in TABLE_4.items()}
    assert values(table, "method", table="4", density="0.014", moment="after") == wanted
    assert (table["table"] == "4").sum() == len(wanted)
    notes = table[table["table"] == "4"].set_index("method")["note"]
    for method, (_, epochs) in TABLE_4.items():
        assert str(epochs) in notes[method]


def test_what_the_text_says_of_figure_2_is_there(table):
    wanted = {"before": 84.62, "after": 87.37}
    found = values(table, "moment", table="Fig. 2", network="mobilenet_v2", method="gem_miner")
    assert found == wanted


def test_logs_and_pictures_are_there(table):
    wanted = {
        (*cell, moment): accuracy
        for cell, accuracies in LOGS.items()
        for moment, accuracy in zip(("before", "after"), accuracies, strict=True)
    }
    assert values(table, "method", "density", "moment", table="log") == wanted
    wanted = {}
    for density, rewound, cold in PICTURE:
        wanted |= {("lr_rewind", density): rewound, ("imp_cold", density): cold}
    assert values(table, "method", "density", table="notebook", moment="after") == wanted


def test_trust_goes_with_where_a_number_is_from(table):
    assert tuple(table.columns) == PUBLISHED
    assert set(table["source"]) == {"raregems2022"}
    by_place = table.groupby("table")["trust"].unique().map(list).to_dict()
    assert by_place == {
        "2": ["paper"], "3": ["paper"], "4": ["paper"], "Fig. 2": ["paper"],
        "log": ["development run"], "notebook": ["read from a picture"],
    }  # fmt: skip


def test_names_are_those_of_studies(table):
    known = {*METHODS, *BASELINES, IMP_COLD, IMP_WARM, LR_REWIND}
    assert set(table["method"]) - known == {"ProsPr"}
    assert set(table["variant"]) <= set(VARIANTS)
    assert set(table["moment"]) == {"before", "after"}
    assert set(table["dataset"]) == {"cifar10"}
    assert "resnet20" in NETWORKS
    assert set(table["network"]) == {"resnet20", "mobilenet_v2"}
    assert table["density"].between(0, 1, inclusive="neither").all()
    assert table["accuracy"].between(10, 100).all()


def test_layers_are_there():
    layers = pd.read_csv(FOLDER / "gem_miner_layers.csv")
    assert tuple(layers.columns) == LAYERS
    found = layers.set_index(["method", "density", "layer"])["kept"]
    assert found.index.is_unique
    wanted = {
        (*head, layer): kept
        for layer, row in KEPT.items()
        for head, kept in zip(HEADS, row, strict=True)
    }
    assert found.to_dict() == wanted
    for column, value in (
        ("source", "raregems2022"), ("network", "resnet20"), ("dataset", "cifar10"),
        ("trust", "authors' repository"),
    ):  # fmt: skip
        assert set(layers[column]) == {value}


def test_layers_of_a_network_at_a_density():
    found = layers_for("raregems2022", "resnet20", "cifar10", 0.0144, FOLDER)
    assert list(found.columns) == ["method", "density", "position", "mean"]
    assert set(found["method"]) == {"gem_miner", "imp_warm", "smart_ratio"}
    last = found[found["position"] == 19].set_index("method")["mean"]
    assert last.to_dict() == {"gem_miner": 25.94, "imp_warm": 26.88, "smart_ratio": 30.0}
    for density, count in ((0.0146, 30), (0.0142, 30), (0.0148, 0), (0.014, 0)):
        assert len(layers_for("raregems2022", "resnet20", "cifar10", density, FOLDER)) == count
    for other in (("vgg16", "cifar10"), ("resnet20", "digits")):
        assert layers_for("raregems2022", *other, 0.0144, FOLDER).empty
    assert layers_for("gsm2019", "resnet20", "cifar10", 0.0144, FOLDER).empty


def test_what_is_published_of_a_network():
    found = published_for("raregems2022", "mobilenet_v2", "cifar10", FOLDER)
    assert len(found) == 2
    named = published_for("raregems2022:mobilenet_v2:cifar10", "resnet20", "cifar10", FOLDER)
    pd.testing.assert_frame_equal(named, found)
    with pytest.raises(PruningError, match="Unknown network of raregems2022 'vgg16:cifar10'"):
        published_for("raregems2022", "vgg16", "cifar10", FOLDER)


def test_references_are_checked():
    check_reference("raregems2022", FOLDER)
    check_reference("raregems2022:resnet20:cifar10", FOLDER)
    with pytest.raises(PruningError, match="nowhere"):
        check_reference("nowhere", FOLDER)
    with pytest.raises(PruningError, match="vgg16"):
        check_reference("raregems2022:vgg16:cifar10", FOLDER)
    assert "gem_miner_published" in joined("overlays")


def test_the_readme_says_where_they_are_from():
    text = (FOLDER / "README.md").read_text()
    assert "`gem_miner.csv`, source `raregems2022`" in text
    assert "`gem_miner_layers.csv`, source `raregems2022`" in text
    for trust in ("paper", "development run", "read from a picture", "authors' repository"):
        assert f"`{trust}`" in text
