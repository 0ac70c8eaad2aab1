"""The published numbers of GSM, against facts that are not in the file."""

import math
import re
from types import SimpleNamespace

import pytest

from pruning.analysis.claims_catalog import entry
from pruning.errors import PruningError
from pruning.registry import NETWORKS
from pruning.systems import joined
from pruning.systems.gsm.published import (
    PUBLISHED,
    check_reference,
    published,
    published_for,
    same_density,
)
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "resources" / "published"
# Weights of convolution and linear layers, summed over shapes.
KERNELS = {
    "lenet_300_100": 784 * 300 + 300 * 100 + 100 * 10,
    "lenet_5": 20 * 25 + 50 * 20 * 25 + 800 * 500 + 500 * 10,
    "resnet56": 851_504,
    "densenet40": 1_001_616,
    "resnet50": 25_502_912,
}
UNITS = {"K": 1e3, "M": 1e6}


@pytest.fixture(scope="module")
def table():
    return published("gsm2019", FOLDER)


def accuracy(table, network, method, density):
    rows = table[(table["network"] == network) & (table["method"] == method)]
    (found,) = rows.loc[same_density(rows["density"], density), "accuracy"]
    return found


def test_every_row_of_the_four_tables_is_there(table):
    assert tuple(table.columns) == PUBLISHED
    assert set(table["source"]) == {"gsm2019"}
    pruned = table[table["density"] < 1]
    # As printed: 12 rows, 5 rows, 4 rows, and 3 rows of two methods each.
    assert pruned["table"].value_counts().to_dict() == {1: 12, 2: 5, 3: 4, 4: 6}
    gsm = pruned[pruned["method"] == "gsm"]
    assert gsm["table"].value_counts().to_dict() == {1: 3, 2: 5, 3: 2}
    key = ["network", "dataset", "method", "density"]
    assert not table.duplicated(key).any()
    by_network = dict(zip(table["network"], table["dataset"], strict=True))
    assert by_network == {
        "lenet_300_100": "mnist",
        "lenet_5": "mnist",
        "resnet56": "cifar10",
        "densenet40": "cifar10",
        "resnet50": "imagenet",
    }
    assert set(by_network) - {"densenet40"} <= set(NETWORKS)
    ours = {"dense", "gsm", "gsm_ticket", "magnitude_ticket"}
    theirs = {"Han et al.", "L-OBS", "Zhang et al.", "DNS", "Srinivas et al."}
    assert set(table["method"]) == ours | theirs
    assert (pruned["variant"] == "unmodified").eq(pruned["method"].isin(ours)).all()
    assert set(table.loc[table["density"] == 1, "variant"]) == {""}


def test_everything_pruned_has_its_dense_network(table):
    dense = table[table["density"] == 1]
    found = set(zip(dense["network"], dense["method"], strict=True))
    pruned = table[(table["density"] < 1) & ~table["method"].str.endswith("_ticket")]
    own = pruned["method"].where(pruned["method"] != "gsm", "dense")
    assert found == set(zip(pruned["network"], own, strict=True))


@pytest.mark.parametrize(
    ("network", "ratio", "change"),
    [
        ("lenet_300_100", 60, -0.01),
        ("lenet_5", 125, 0.01),
        ("lenet_5", 300, -0.15),
        ("resnet56", 1 / 0.15, 0.05),
        ("resnet56", 10, -0.25),
        ("densenet40", 1 / 0.15, 0.21),
        ("densenet40", 8, 0.16),
        ("densenet40", 10, 0.04),
        ("resnet50", 4, -0.39),
        ("resnet50", 5, -1.42),
    ],
)
def test_changes_by_gsm(table, network, ratio, change):
    base = accuracy(table, network, "dense", 1)
    assert accuracy(table, network, "gsm", 1 / ratio) - base == pytest.approx(change)


@pytest.mark.parametrize(
    ("network", "method", "ratio", "change"),
    [
        ("lenet_300_100", "Han et al.", 12.1, 0.05),
        ("lenet_300_100", "L-OBS", 14.2, -0.06),
        ("lenet_300_100", "Zhang et al.", 23, 0),
        ("lenet_300_100", "DNS", 55.6, 0.29),
        ("lenet_5", "Han et al.", 11.9, 0.03),
        ("lenet_5", "L-OBS", 14.1, 0),
        ("lenet_5", "Srinivas et al.", 19.5, -0.01),
        ("lenet_5", "Zhang et al.", 71.2, 0),
        ("lenet_5", "DNS", 107.7, 0),
    ],
)
def test_changes_by_others(table, network, method, ratio, change):
    base = accuracy(table, network, method, 1)
    found = accuracy(table, network, method, 1 / ratio)
    assert found - base == pytest.approx(change, abs=1e-9)
    assert 97.7 <= base <= 99.3


@pytest.mark.parametrize(
    ("network", "ratio", "gap"),
    [("lenet_300_100", 60, 0.83), ("lenet_5", 125, 1.44), ("lenet_5", 300, 87.53)],
)
def test_gaps_of_tickets(table, network, ratio, gap):
    tickets = [
        accuracy(table, network, f"{kind}_ticket", 1 / ratio) for kind in ("gsm", "magnitude")
    ]
    assert tickets[0] - tickets[1] == pytest.approx(gap)


def test_the_collapsed_ticket_says_one_to_everything(table):
    found = accuracy(table, "lenet_5", "magnitude_ticket", 1 / 300)
    assert found == pytest.approx(100 * 1135 / 10_000)  # test images of the digit 1


def test_levels_of_accuracy(table):
    """Sums tie the level, which differences leave open."""
    bases = table[table["method"] == "dense"].set_index("network")["accuracy"]
    assert bases.to_dict() == {
        "lenet_300_100": 98.19,
        "lenet_5": 99.21,
        "resnet56": 94.05,
        "densenet40": 93.86,
        "resnet50": 75.72,
    }
    tickets = table[table["method"] == "gsm_ticket"]["accuracy"]
    assert tickets.tolist() == [98.22, 99.04, 98.88]
    others = table[(table["density"] == 1) & (table["method"] != "dense")].dropna()
    assert others["accuracy"].sum() == pytest.approx(392.72 + 495.42)


def test_counts_ratios_and_densities_agree(table):
    """The counts in the notes are cut off to their last printed digit."""
    odd = []
    for row in table[(table["density"] < 1) & (table["table"] < 4)].to_dict("records"):
        told = re.match(r"([\d.]+)x; ([\d.]+)([KM]) of [\d.]+[KM] remain; ([\d.]+) %", row["note"])
        ratio, count, unit, share = told.groups()
        kept = row["density"] * KERNELS[row["network"]]
        remaining = float(count) * UNITS[unit]
        if row["method"] == "gsm":
            step = UNITS[unit] * (0.1 if "." in count else 1)
            assert math.floor(kept / step + 1e-3) * step == pytest.approx(remaining), row
        elif abs(remaining / kept - 1) > 0.05:
            odd.append((row["network"], row["method"], count))
        assert row["density"] == pytest.approx(0.15 if ratio == "6.6" else 1 / float(ratio), 1e-5)
        assert 100 * row["density"] == pytest.approx(float(share), rel=0.03)
    assert odd == [("lenet_5", "L-OBS", "3.0")]
    tickets = table[table["table"] == 4]
    ratios = tickets["note"].str.extract(r"^(\d+)x", expand=False).astype(int)
    assert (1 / tickets["density"]).tolist() == pytest.approx(ratios.tolist(), rel=1e-5)


def test_what_is_missing_is_said(table):
    missing = table[table["accuracy"].isna()]
    assert set(missing["method"]) == {"L-OBS"}
    assert set(missing["network"]) == {"resnet50"}
    assert missing["note"].str.contains("top-1 not given; top-5 about").all()
    notes = table[(table["network"] == "resnet50") & table["accuracy"].notna()]["note"]
    assert notes.str.extract(r"top-5 ([\d.]+)$", expand=False).tolist() == [
        "92.75", "92.47", "91.98"
    ]  # fmt: skip


def test_references():
    own = published_for("gsm2019", "lenet_5", "mnist", FOLDER)
    assert set(own["network"]) == {"lenet_5"}
    other = published_for("gsm2019:resnet56:cifar10", "lenet_5", "mnist", FOLDER)
    assert set(other["network"]) == {"resnet56"}
    for reference in ("gsm2019", "gsm2019:resnet56:cifar10"):
        check_reference(reference, FOLDER)
    with pytest.raises(PruningError, match="'gsm2091'. Did you mean 'gsm2019'"):
        check_reference("gsm2091", FOLDER)
    with pytest.raises(PruningError, match="'comp6258'"):
        published("comp6258", FOLDER)  # of another file
    with pytest.raises(PruningError, match="Unknown network of gsm2019 'lenet_5:cifar10'"):
        check_reference("gsm2019:lenet_5:cifar10", FOLDER)
    with pytest.raises(PruningError, match="Unknown network of gsm2019 'mlp:digits'"):
        published_for("gsm2019", "mlp", "digits", FOLDER)
    with pytest.raises(PruningError, match="does not exist"):
        published("gsm2019", FOLDER / "nowhere")


def test_overlays_are_checked_before_anything_is_drawn(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert joined("overlays")["gsm_published"]("gsm2019:lenet_5:mnist") == "gsm"
    with pytest.raises(PruningError, match="Did you mean 'gsm2019'"):
        joined("overlays")["gsm_published"]("gsm2018")


def test_densities_are_the_same_but_for_rounding():
    densities = published("gsm2019", FOLDER)["density"]
    assert set(densities[same_density(densities, 4437 / 266_200)]) == {0.0166667}
    for density, same in ((0.0981, True), (0.1019, True), (0.0979, False), (0.1021, False)):
        rows = densities.iloc[:1] * density
        assert same_density(rows, 0.1).tolist() == [same]


def test_studies_with_a_gsm_section_have_the_page():
    page = entry("gsm_claims")
    assert (page.table, page.published) == ("gsm", ("gsm.csv",))
    assert page.category == "Global sparse momentum SGD"
    assert page.needs(SimpleNamespace(parts={"gsm": object()}))
    assert not page.needs(SimpleNamespace(parts={}))
    assert all((FOLDER / file).exists() for file in page.published)
