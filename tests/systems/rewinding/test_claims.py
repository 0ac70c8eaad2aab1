"""The claims of Renda et al. (2020): counts on the authors' cells, and signs on made-up ones."""

import math

import pandas as pd
import pytest

from pruning.analysis.cells import COLUMNS as CELL_COLUMNS
from pruning.analysis.claims import COLUMNS
from pruning.analysis.claims_page import claims_page, write_claims
from pruning.analysis.published import LITERATURE, read_cells, read_literature
from pruning.analysis.tidy import read_table
from pruning.systems.rewinding.claims import CLAIMS
from pruning.systems.rewinding.evidence import LAYOUTS, RENDA2020, Evidence
from tests.conftest import REPOSITORY

CIFAR = ("resnet20", "resnet56", "resnet110")
LAST_DROP = {f"renda2020_{n}": 46 for n in CIFAR} | {
    f"renda2020_{n}": 10 for n in ("resnet34", "resnet50")
}
PUBLISHED = REPOSITORY / "resources" / "published"


def claims(cells, literature=None, last_drop=None):
    return RENDA2020.counts(Evidence.of(cells, literature, last_drop))


def margins(cells, literature=None, last_drop=None):
    return RENDA2020.margins(Evidence.of(cells, literature, last_drop))


# ----- on the published cells


@pytest.fixture(scope="module")
def cells():
    return read_cells("renda2020", folder=PUBLISHED)


@pytest.fixture(scope="module")
def literature():
    return read_literature("renda2020", folder=PUBLISHED)


@pytest.fixture(scope="module")
def counted(cells, literature):
    return claims(cells, literature, LAST_DROP).set_index("claim")


@pytest.fixture(scope="module")
def found(cells, literature):
    return margins(cells, literature, LAST_DROP)


# claim: satisfied, cells, worst margin, verdict (reference, section 7)
COUNTS = {
    "1a": (53, 55, -0.04, "holds within noise"),
    "1b": (19, 19, 1.375, "holds"),
    "1c": (30, 30, 0.01, "holds"),
    "2a": (54, 55, -0.09, "holds within noise"),
    "3a": (42, 47, -0.24, "holds within noise"),
    "3b": (19, 40, -0.42, "describes"),
    "3c": (87, 87, 0.5 - 0.42, "holds"),
    "3d": (30, 30, 0.0, "holds"),
    "4a": (277, 300, -0.375, "mostly"),
    "4b": (278, 300, -2.45, "mostly"),
    "4c": (182, 300, -5.14, "describes"),
    "4d": (26, 70, -0.79, "describes"),
    "5a": (48, 48, 0.0, "holds"),
    "5b": (12, 12, 0.03, "holds"),
    "5c": (47, 48, 0.51 - 3.99, "mostly"),
    "5d": (12, 12, 0.0, "holds"),
    "6a": (50, 50, 0.34, "holds"),
    "6b": (12, 12, 1.4, "holds"),
    "6c": (87, 87, 0.01, "holds"),
    "6d": (30, 30, 0.025, "holds"),
    "7a": (24, 24, 0.35, "holds"),
    "7b": (24, 24, 0.13, "holds"),
    "7c": (17, 18, -0.81, "mostly"),
    "8a": (3, 3, 0.05, "holds"),
    "8b": (3, 3, 0.01, "holds"),
    "9a": (8, 8, 0.06, "holds"),
    "9b": (8, 8, 0.07, "holds"),
    "10a": (40, 40, 0.21, "holds"),
    "10b": (40, 40, 0.3, "holds"),
    "10c": (11, 11, 0.14, "holds"),
    "10d": (26, 30, -0.35, "mostly"),
    "10e": (17, 18, -0.01, "holds within noise"),
    "10f": (18, 18, 0.0, "holds"),
    "10g": (5, 18, -0.65, "describes"),
    "11a": (5, 5, 0.35 - 0.28, "holds"),
    "11b": (3, 3, 0.35 - 0.01, "holds"),
}


def test_every_claim_has_a_row_and_its_own_name(counted):
    assert list(counted.index) == list(COUNTS) == [claim.name for claim in CLAIMS]
    assert ["claim", *counted.columns] == list(COLUMNS)
    assert counted["statement"].nunique() == len(counted)
    assert {claim.layout for claim in CLAIMS} == set(LAYOUTS)


@pytest.mark.parametrize("claim", COUNTS)
def test_published_cells_give_the_counts_of_the_reference(counted, claim):
    satisfied, number, worst, verdict = COUNTS[claim]
    row = counted.loc[claim]
    assert (row["satisfied"], row["cells"]) == (satisfied, number)
    assert row["worst_margin"] == pytest.approx(worst, abs=0.006)
    assert row["verdict"] == verdict


def test_published_cells_have_three_replicates(counted):
    assert set(counted["replicates"]) == set(counted["most_replicates"]) == {3}


@pytest.mark.parametrize("name", ["1a", "8b", "9a", "11a"])
def test_a_cell_with_fewer_replicates_is_seen_in_every_layout(cells, literature, name):
    some = cells.assign(n=cells["n"].where(cells["study"] != "renda2020_resnet56", 2))
    counted = claims(some, literature, LAST_DROP).set_index("claim")
    assert list(counted.loc[name, ["replicates", "most_replicates"]]) == [2, 3]


def test_statements_quote_the_shares_that_the_published_cells_have(counted):
    shares = {"4a": "92 %", "4b": "93 %", "4c": "61 %", "4d": "37 %", "10g": "28 %"}
    for claim, share in shares.items():
        row = counted.loc[claim]
        assert f"{100 * row['satisfied'] / row['cells']:.0f} %" == share
        assert share in row["statement"]
    assert [c for c, row in counted.iterrows() if "%" in row["statement"]] == list(shares)


def test_rows_that_describe_are_those_the_published_cells_are_divided_about(counted):
    described = counted[counted["verdict"] == "describes"]
    assert list(described.index) == ["3b", "4c", "4d", "10g"]
    assert (described["satisfied"] / described["cells"] < 0.65).all()
    assert "fails" not in set(counted["verdict"])


def test_limits_that_are_tolerances_are_granted_no_other(counted):
    exact = ["3c", "3d", "5c", "5d", "6c", "6d", "9a", "9b", "10f", "11a", "11b"]
    assert list(counted.index[counted["tolerance"] == 0]) == exact
    assert (counted.loc[exact, "within_tolerance"] == counted.loc[exact, "satisfied"]).all()
    assert set(counted["tolerance"].drop(exact)) == {0.3}


def by_network(found, claim, column="margin"):
    return found[found["claim"] == claim].groupby("network")[column]


def rounded(series, places=2):
    return {key: round(value, places) for key, value in series.items()}


def test_claim_1_by_network(found):
    smallest = by_network(found, "1b").min()
    assert smallest.to_dict() == pytest.approx(
        {"resnet20": 1.69, "resnet56": 1.38, "resnet110": 1.76, "resnet50": 1.46}, abs=0.0051
    )
    misses = found[(found["claim"] == "1a") & (found["margin"] < 0)]
    assert set(misses["network"]) == {"resnet110"}
    assert set(misses["variant"]) == {"one_shot"}


def test_claim_3_by_network(found):
    wins = by_network(found, "3a").agg(lambda margin: f"{(margin >= 0).sum()}/{len(margin)}")
    assert wins.to_dict() == {
        "resnet20": "10/10",
        "resnet56": "13/17",
        "resnet110": "9/10",
        "resnet50": "10/10",
    }
    for claim, low, high in (("3a", 0.11, 0.24), ("3b", -0.04, 0.09)):
        medians = by_network(found, claim, "value").median()
        assert medians.min() == pytest.approx(low, abs=0.006)
        assert medians.max() == pytest.approx(high, abs=0.006)


def test_claim_4_mean_difference(found):
    assert found.loc[found["claim"] == "4c", "value"].mean() == pytest.approx(0.04, abs=0.005)


def test_claim_5_changes_of_learning_rate_rewinding(found):
    changes = found[found["claim"].isin(["5c", "5d"])].sort_values("value")
    *rest, outlier = changes["value"]
    assert [rest[0], rest[-1]] == pytest.approx([-0.46, 0.51], abs=0.005)
    assert outlier == pytest.approx(3.99, abs=0.005)
    last = changes.iloc[-1]
    assert (last["network"], last["variant"], last["level"]) == ("resnet50", "one_shot", 10)


def test_claim_7_medians(found):
    medians = by_network(found, "7a").median()
    assert [medians.min(), medians.max()] == pytest.approx([0.7, 1.2], abs=0.05)
    assert set(by_network(found, "7c").size().index) == set(CIFAR)


def test_claim_8_rank_correlations(found):
    value = found.set_index(["claim", "network"])["value"]
    assert value["8a"].median() == pytest.approx(0.7, abs=0.06)
    assert [value["8b"].min(), value["8b"].max()] == pytest.approx([-0.6, 0.1], abs=0.01)


def test_claim_9_means_over_the_cells_of_a_data_set(found):
    numbers = {"resnet20": 20, "resnet56": 30, "resnet110": 30, "resnet34": 10, "resnet50": 20}
    early = found[found["claim"] == "9a"]
    early = early.assign(cells=early["network"].map(numbers))
    sums = (early["value"] * early["cells"]).groupby(early["retrain_time"]).sum()
    means = sums / early.groupby("retrain_time")["cells"].sum()
    assert rounded(means) == {9.0: 0.01, 10.0: 0.04, 30.0: -0.05}


def test_claim_11_by_point(found):
    values = found[found["claim"].isin(["11a", "11b"])]
    expected = [0.22, -0.19, -0.13, -0.28, 0.05, 0.07, 0.22, -0.01]
    assert list(values["value"].round(2)) == expected


# ----- on made-up cells


def cell(method, median, time=100, level=5, variant="iterative", **more):
    row = {
        "study": "s",
        "network": "net",
        "dataset": "digits",
        "variant": variant,
        "method": method,
        "level": level,
        "density": 0.8**level,
        "compression_ratio": 0.8**-level,
        "retrain_time": time,
        "training_time": 100.0,
        "unit": "pp",
        "metric": "bleu" if more.get("unit") == "BLEU" else "accuracy",
        "n": 3,
        "median": median,
        "validation": 0.5,
        "n_macs": 0,
    }
    return row | more


def table(*rows):
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def points(rows, variant="iterative", dataset="digits"):
    """Results of other papers."""
    found = pd.DataFrame(rows, columns=["network", "density", "change", "unit"])
    return found.assign(variant=variant, dataset=dataset).reindex(columns=list(LITERATURE))


def row(claim, rows, literature=None, last_drop=None):
    """The claim's row, of it alone: all of them take a third of a second."""
    (one,) = (c for c in CLAIMS if c.name == claim)
    return RENDA2020.count(one, Evidence.of(table(*rows), literature, last_drop))


def pair(better, worse, gap, **where):
    """Two methods, the first ``gap`` above the second."""
    times = {"weight_rewind": 90}
    return [
        cell(better, 1.5, **{"time": times.get(better, 100), **where}),
        cell(worse, 1.5 - gap, **{"time": times.get(worse, 100), **where}),
    ]


def times(method, early, late, gap, **where):
    """One method at two retrain times, the late one ``gap`` above the early one."""
    return [cell(method, 0.5, time=early, **where), cell(method, 0.5 + gap, time=late, **where)]


def trend(variant, *medians, **more):
    return [
        cell("fine_tune", median, time=10 * (k + 1), variant=variant, **more)
        for k, median in enumerate(medians)
    ]


LR, WEIGHT, TUNE, LOW, REINIT = (
    "lr_rewind",
    "weight_rewind",
    "fine_tune",
    "low_lr_weight_rewind",
    "reinit",
)
BLEU = {"unit": "BLEU"}
IMAGENET = {"dataset": "imagenet"}
WHOLE = {"variant": "structured_b"}
ONE = {"variant": "one_shot"}


def modes(method, gap, **more):
    """The method after iterative pruning ``gap`` above itself after one-shot pruning."""
    return [cell(method, gap, **more), cell(method, 0, variant="one_shot", **more)]


# claim, a function from the gap to the cells, the margin less the gap
GAPS = [
    ("1a", lambda gap: pair(LR, TUNE, gap), 0),
    ("1b", lambda gap: pair(LR, TUNE, gap, level=8), 0),
    ("1c", lambda gap: pair(LR, TUNE, gap, level=1, **WHOLE), 0),
    ("2a", lambda gap: pair(WEIGHT, TUNE, gap), 0),
    ("3a", lambda gap: pair(LR, WEIGHT, gap, level=1), 0),
    ("3b", lambda gap: pair(LR, WEIGHT, gap, level=1, **ONE), 0),
    ("3c", lambda gap: pair(LR, WEIGHT, gap, level=1, **ONE), 0.5),
    ("3d", lambda gap: pair(LR, WEIGHT, gap, level=1, **WHOLE), 0.7),
    ("4a", lambda gap: pair(WEIGHT, TUNE, gap, time=25), 0),
    ("4b", lambda gap: pair(LR, TUNE, gap, time=90), 0),
    ("4c", lambda gap: pair(LR, WEIGHT, gap, time=50), 0),
    ("4d", lambda gap: pair(LR, WEIGHT, gap, time=50, level=1, **IMAGENET), 0),
    ("5a", lambda gap: times(WEIGHT, 100, 90, gap), -0.7),
    ("5b", lambda gap: times(WEIGHT, 100, 90, gap, **BLEU), -1.5),
    ("6a", lambda gap: times(LR, 10, 100, gap, **WHOLE), 0),
    ("6b", lambda gap: times(LR, 10, 100, gap, **BLEU), 0),
    ("7a", lambda gap: modes(LR, gap), 0),
    ("7b", lambda gap: modes(WEIGHT, gap, time=90), 0),
    ("7c", lambda gap: modes(TUNE, -gap), 0),
    ("10a", lambda gap: pair(TUNE, REINIT, gap, level=1, **ONE), 0),
    ("10b", lambda gap: pair(LR, REINIT, gap, level=1, **ONE), 0),
    ("10c", lambda gap: pair(TUNE, REINIT, gap, level=11, **ONE, **BLEU), 0),
    ("10d", lambda gap: pair(REINIT, TUNE, gap, level=1, **WHOLE), 0),
    ("10e", lambda gap: pair(REINIT, TUNE, gap, level=3, **WHOLE), 0),
    ("10g", lambda gap: pair(REINIT, LR, gap, level=3, **WHOLE), 0),
]


@pytest.mark.parametrize(("claim", "make", "offset"), GAPS, ids=[gap[0] for gap in GAPS])
def test_the_better_side_has_the_positive_margin(claim, make, offset):
    for gap in (2.0, -2.0, -offset):
        got = row(claim, make(gap))
        assert got["worst_margin"] == pytest.approx(gap + offset)
        assert (got["satisfied"], got["cells"]) == (int(gap + offset >= 0), 1)


# claim, a function from the difference to the cells, the limit either way
DISTANCES = [
    ("5c", lambda gap: times(LR, 90, 100, gap), 0.51),
    ("5d", lambda gap: times(LR, 90, 100, gap, **BLEU), 0.51),
    ("9a", lambda gap: pair(LR, TUNE, gap, time=10), 0.2),
    ("9b", lambda gap: pair(WEIGHT, LOW, gap, time=10), 0.2),
    ("10f", lambda gap: pair(REINIT, LR, gap, level=3, **WHOLE), 0.65),
]


@pytest.mark.parametrize(("claim", "make", "limit"), DISTANCES, ids=[d[0] for d in DISTANCES])
def test_a_difference_may_not_be_large_either_way(claim, make, limit):
    for gap in (0.1, -0.1, limit, -limit, 1.0, -1.0):
        got = row(claim, make(gap), last_drop={"s": 10})
        assert got["worst_margin"] == pytest.approx(limit - abs(gap))
        assert got["satisfied"] == (abs(gap) <= limit)


@pytest.mark.parametrize(
    ("claim", "variant", "limit"), [("6c", "one_shot", 0.3), ("6d", *WHOLE.values(), 0.5)]
)
def test_the_default_time_is_held_against_the_best_validated_one(claim, variant, limit):
    where = {"variant": variant, "level": 1}
    rows = [
        cell(LR, 1.0, time=100, **where, validation=0.7),
        cell(LR, 1.8, time=50, **where, validation=0.8),
        cell(LR, 9.0, time=10, **where, validation=0.6),
    ]
    assert row(claim, rows)["worst_margin"] == pytest.approx(limit - 0.8)
    best = [rows[0] | {"validation": 0.9}, *rows[1:]]
    assert row(claim, best)["worst_margin"] == pytest.approx(limit)
    assert row(claim, rows[:1])["verdict"] == "no cells"  # it would be compared with itself
    assert row(claim, [r | {"validation": math.nan} for r in rows])["verdict"] == "no cells"


def test_methods_are_compared_at_their_best_validated_times():
    where = {"variant": "one_shot", "level": 1}
    rows = [
        cell(TUNE, 3.0, time=10, validation=0.4, **where),
        cell(TUNE, 1.0, time=50, validation=0.6, **where),
        cell(REINIT, 0.5, time=90, validation=0.3, **where),
        cell(REINIT, 5.0, time=10, validation=0.2, **where),
    ]
    assert row("10a", rows)["worst_margin"] == pytest.approx(0.5)
    unknown = [r | {"validation": math.nan} for r in rows]
    assert row("10a", unknown)["verdict"] == "no cells"


@pytest.mark.filterwarnings("error")  # scipy's of scores without an order
def test_rising_and_falling_with_the_retrain_time():
    assert row("8a", trend("one_shot", 1, 2, 3))["worst_margin"] == pytest.approx(0.5)
    assert row("8a", trend("one_shot", 3, 2, 1))["worst_margin"] == pytest.approx(-1.5)
    assert row("8b", trend("iterative", 1, 2, 3))["worst_margin"] == pytest.approx(-0.9)
    assert row("8b", trend("iterative", 3, 2, 1))["worst_margin"] == pytest.approx(1.1)
    levels = [
        r
        for level, values in enumerate([(1, 2, 3), (1, 3, 2), (3, 2, 1), (0, 0, 0)])
        for r in trend("one_shot", *values, level=level + 1)
    ]
    got = row("8a", levels)  # the median of 1, 0.5 and -1; the flat level has no order
    assert (got["cells"], got["worst_margin"]) == (1, pytest.approx(0.0))
    assert row("8a", trend("one_shot", 1, 2))["verdict"] == "no cells"
    assert row("8a", trend("one_shot", 1, 1, 1))["verdict"] == "no cells"
    assert row("8a", trend("one_shot", 1, 2, 3, **IMAGENET))["verdict"] == "no cells"
    assert row("8a", trend("one_shot", 1, 2, 3, unit="BLEU"))["verdict"] == "no cells"


def test_at_the_last_rate_cells_are_averaged_by_study_and_time():
    rows = [
        *pair(LR, TUNE, 0.5, time=10, level=1),
        *pair(LR, TUNE, -0.3, time=10, level=2),
        cell(LR, 9.0, time=10, level=3),  # nothing to compare with
        *pair(LR, TUNE, 9.0, time=10, level=12),  # beyond 9.3x
        *pair(LR, TUNE, 0.0, time=20, level=1),
        *pair(LR, TUNE, 9.0, time=21, level=1),  # rewinds over the drop
        *pair(LR, TUNE, 9.0, time=10, level=1, study="another"),  # of which no drop is known
    ]
    found = margins(table(*rows), last_drop={"s": 20})
    found = found[found["claim"] == "9a"].set_index("retrain_time")
    assert found["value"].to_dict() == pytest.approx({10: 0.1, 20: 0.0})
    assert row("9a", rows)["verdict"] == "no cells"


def test_literature_is_met_between_levels_in_the_logarithm_of_the_density():
    line = [cell(LR, median, level=level) for level, median in ((2, 1.0), (4, -1.0))]
    line += [
        cell(LR, 9.0, level=3, time=50),  # not by the single rule
        cell(TUNE, 9.0, level=3),
        cell(LR, 9.0, level=3, variant="one_shot"),
        cell(LR, 9.0, level=3, network="other"),
    ]

    def margin(density, change, **more):
        point = ("net", density, change, more.pop("unit", "pp"))
        return row("11a", line, literature=points([point], **more))["worst_margin"]

    assert margin(0.8**3, 0.0) == pytest.approx(0.35)
    assert margin(0.8**3, 1.0) == pytest.approx(-0.65)
    assert margin(0.8**2.5, 0.0) == pytest.approx(0.85)
    assert margin(0.8**2, 1.0) == pytest.approx(0.35)
    assert math.isnan(margin(0.8**4.1, 0.0))
    assert math.isnan(margin(0.8**1.9, 0.0))
    assert math.isnan(margin(0.8**3, 0.0, unit="BLEU"))
    assert math.isnan(margin(0.8**3, 0.0, variant="one_shot"))
    assert math.isnan(margin(0.8**3, 0.0, dataset="cifar10"))
    assert row("11a", line)["verdict"] == "no cells"
    bleu = [cell(LR, median, level=level, unit="BLEU") for level, median in ((2, 1.0), (4, 0.0))]
    against = points([("net", 0.8**3, 0.4, "BLEU")])
    assert row("11b", bleu, literature=against)["worst_margin"] == pytest.approx(0.45)
    assert row("11a", bleu, literature=against)["verdict"] == "no cells"
    other_unit = points([("net", 0.8**3, 0.4, "pp")])
    assert row("11a", bleu, literature=other_unit)["verdict"] == "no cells"


# claim, cells that count, cells that are just outside
EDGES = [
    ("1a", {"level": 5}, {"level": 4}),
    ("1a", {"density": 1 / 2.98}, {"density": 1 / 2.96}),
    ("1a", {"variant": "one_shot"}, {"variant": "structured_a"}),
    ("1a", {}, {"unit": "BLEU"}),
    ("1a", {"level": 20}, {"variant": "algorithm_1"}),
    ("1a", {"time": 100}, {"time": 99}),  # the rule needs T itself
    ("1b", {"level": 8}, {"level": 7}),
    ("1b", {"level": 8}, {"level": 8, "variant": "one_shot"}),
    ("1c", {"level": 1, **WHOLE}, {"level": 1}),
    ("3a", {}, {"variant": "one_shot"}),
    ("3b", {"variant": "one_shot"}, {}),
    ("3c", {"level": 1}, {"level": 1, **WHOLE}),
    ("4b", {"time": 25}, {"time": 24}),
    ("4b", {"time": 90}, {"time": 91}),
    ("4b", {"time": 50, "density": 0.1074}, {"time": 50, "level": 11}),
    ("4b", {"time": 50, "level": 5}, {"time": 50, "level": 4}),
    ("4b", {"time": 50, "variant": "one_shot"}, {"time": 50, **WHOLE}),
    ("4d", {"time": 50, **IMAGENET}, {"time": 50, "network": "resnet50"}),
    ("10a", {"variant": "one_shot"}, {}),
    ("10c", {**BLEU, **ONE}, BLEU),
    ("10c", {**BLEU, **ONE, "level": 11}, {**BLEU, **ONE, "level": 12}),
    ("10d", {"level": 1, **WHOLE}, {"level": 1}),
    ("10e", {"level": 3, **WHOLE}, {"level": 2, **WHOLE}),
    ("10f", {"level": 3, **WHOLE}, {"level": 2, **WHOLE}),
    ("10g", {"level": 3, **WHOLE}, {"level": 2, **WHOLE}),
]


@pytest.mark.parametrize(("claim", "inside", "outside"), EDGES)
def test_which_cells_a_claim_is_about(claim, inside, outside):
    def number(where):
        where = dict(where)
        if "density" in where:
            where["compression_ratio"] = 1 / where["density"]
        rows = [
            cell(m, 0.0, **{"time": 90 if m == WEIGHT else 100, **where})
            for m in (LR, WEIGHT, TUNE, REINIT)
        ]
        return row(claim, rows)["cells"]

    assert (number(inside), number(outside)) == (1, 0)


@pytest.mark.parametrize(
    ("claim", "inside", "outside"),
    [
        ("5a", {"level": 10}, {"level": 11}),
        ("5c", {"level": 5}, {"level": 4}),
        ("5c", {}, WHOLE),
        ("5b", BLEU, {**BLEU, **WHOLE}),
        ("5d", BLEU, {**BLEU, **WHOLE}),
        ("6a", {"level": 10}, {"level": 11}),
        ("6a", {"level": 5}, {"level": 4}),
        ("6a", {}, BLEU),
        ("6c", {"level": 20}, WHOLE),
    ],
)
def test_which_cells_a_claim_about_times_is_about(claim, inside, outside):
    def number(where):
        rows = [cell(m, 0.0, time=t, **where) for m in (LR, WEIGHT) for t in (10, 90, 100)]
        return row(claim, rows)["cells"]

    assert (number(inside), number(outside)) == (1, 0)


def test_times_that_a_claim_needs():
    for safe, counts in ((90, 1), (91, 0)):
        assert row("5a", times(WEIGHT, safe, 100, 1.0))["cells"] == counts
    assert row("5a", times(WEIGHT, 50, 95, 1.0))["cells"] == 0  # never back to the beginning
    longest = [cell(WEIGHT, 5.0, time=50), cell(WEIGHT, 2.0, time=90), cell(WEIGHT, 1.0)]
    assert row("5a", longest)["worst_margin"] == pytest.approx(0.3)
    assert row("6a", [cell(LR, 1.0)])["cells"] == 0  # T is the only time
    assert row("6a", times(LR, 10, 90, 1.0))["cells"] == 0
    shortest = [cell(LR, 1.0), cell(LR, 0.4, time=10), cell(LR, 0.9, time=50)]
    assert row("6a", shortest)["worst_margin"] == pytest.approx(0.6)


def test_modes_are_compared_at_the_same_level_and_time():
    assert row("7a", modes(LR, 1.0))["cells"] == 1
    apart = [cell(LR, 1.0, level=5), cell(LR, 0.0, level=6, variant="one_shot")]
    assert row("7a", apart)["cells"] == 0
    assert row("7b", modes(WEIGHT, 1.0, time=90))["cells"] == 1
    apart = [cell(WEIGHT, 1.0, time=90), cell(WEIGHT, 0.0, time=80, variant="one_shot")]
    assert row("7b", apart)["cells"] == 0
    assert row("7a", modes(LR, 1.0, level=4))["cells"] == 0
    assert row("7c", modes(TUNE, 1.0, **IMAGENET))["cells"] == 0
    assert row("7a", modes(LR, 1.0, **IMAGENET))["cells"] == 1
    # What is ImageNet is told by the data set, not by the network.
    assert row("7c", modes(TUNE, 1.0, network="resnet50"))["cells"] == 1


@pytest.mark.parametrize("factor", [1.004, 0.996, 1.006, 0.994])
@pytest.mark.parametrize(("claim", "method", "time"), [("7a", LR, 100), ("7b", WEIGHT, 90)])
def test_modes_are_compared_at_nearly_the_same_density(claim, method, time, factor):
    iterative, one_shot = modes(method, 1.0, time=time)
    density = iterative["density"] * factor
    one_shot |= {"density": density, "compression_ratio": 1 / density}
    got = row(claim, [iterative, one_shot, *modes(method, 2.0, time=time, level=6)])
    assert got["cells"] == (2 if abs(factor - 1) < 0.005 else 1)
    assert got["worst_margin"] == pytest.approx(1.0 if got["cells"] == 2 else 2.0)


def test_verdicts_and_the_tolerance():
    def verdict(*gaps):
        rows = [r for k, gap in enumerate(gaps) for r in pair(LR, TUNE, gap, level=5 + k)]
        got = row("1a", rows)
        assert got["cells"] == len(gaps)
        assert got["tolerance"] == 0.3
        assert got["satisfied"] == sum(gap >= 0 for gap in gaps)
        assert got["within_tolerance"] == sum(gap >= -0.3 for gap in gaps)
        assert got["worst_margin"] == pytest.approx(min(gaps))
        return got["verdict"]

    assert verdict(0.0, 1.0) == "holds"
    assert verdict(-0.3, -0.2) == "holds within noise"
    assert verdict(-0.31, 0, 0, 0, 0) == "mostly"
    assert verdict(-0.31, -0.1, 0, 0, 0) == "fails"
    assert verdict(-0.31) == "fails"
    assert row("1a", [])["verdict"] == "no cells"


def test_the_tolerance_of_imagenet_is_less():
    rows = [*pair(LR, TUNE, -0.25, **IMAGENET), *pair(LR, TUNE, -0.25, level=6)]
    got = row("1a", rows)
    assert (got["tolerance"], got["within_tolerance"], got["verdict"]) == (0.3, 1, "fails")
    got = row("1a", pair(LR, TUNE, -0.2, **IMAGENET))
    assert (got["within_tolerance"], got["verdict"]) == (1, "holds within noise")


def test_a_limit_that_is_a_tolerance_is_missed_by_any_excess():
    for dataset in ("digits", "imagenet"):
        got = row("3c", pair(LR, WEIGHT, -0.6, dataset=dataset))
        assert (got["tolerance"], got["within_tolerance"], got["verdict"]) == (0, 0, "fails")


@pytest.mark.parametrize("gap", [1.0, -0.1, -1.0])
def test_what_describes_has_no_other_verdict(gap):
    assert row("3b", pair(LR, WEIGHT, gap, **ONE))["verdict"] == "describes"
    assert row("3b", [])["verdict"] == "no cells"


def test_rounding_noise_does_not_decide_a_tie():
    rows = [cell(LR, 0.1 + 0.2), cell(TUNE, 0.3 + 1e-12)]
    assert row("1a", rows)["worst_margin"] == 0
    assert row("1a", rows)["satisfied"] == 1


def test_studies_are_pooled_but_never_compared_with_each_other():
    rows = [*pair(LR, TUNE, 1.0, study="a"), *pair(LR, TUNE, -2.0, study="b")]
    got = row("1a", rows)
    assert (got["satisfied"], got["cells"], got["worst_margin"]) == (1, 2, -2.0)
    assert row("1a", [cell(LR, 1.0, study="a"), cell(TUNE, 0.0, study="b")])["cells"] == 0
    # A study's grid decides about its own single rule only, whatever index the tables come with.
    longer = [r | {"retrain_time": 200.0, "training_time": 200.0} for r in pair(LR, TUNE, 3.0)]
    stacked = pd.concat([table(*pair(LR, TUNE, 1.0, study="a")), table(*longer)])
    assert claims(stacked).set_index("claim").loc["1a", "cells"] == 2


def test_tables_may_be_stacked_with_an_index_that_repeats():
    def study(name, early, late):
        rows = [
            cell(LR, 3.0, time=10, study=name, validation=early, **ONE),
            cell(LR, 1.0, time=50, study=name, validation=late, **ONE),
            cell(REINIT, 0.0, study=name, **ONE),
        ]
        return table(*rows)

    stacked = pd.concat([study("a", 0.4, 0.6), study("b", 0.6, 0.4)])
    found = margins(stacked)
    assert found.loc[found["claim"] == "10b", "margin"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("method", "untestable"),
    [
        (LR, "1a 1b 1c 3a 3b 3c 3d 4b 4c 4d 5c 5d 6a 6b 6c 6d 7a 9a 10b 10f 10g 11a 11b"),
        (WEIGHT, "2a 3a 3b 3c 3d 4a 4c 4d 5a 5b 7b 9b"),
        (TUNE, "1a 1b 1c 2a 4a 4b 7c 8a 8b 9a 10a 10c 10d 10e"),
        (LOW, "9b"),
        (REINIT, "10a 10b 10c 10d 10e 10f 10g"),
    ],
)
def test_without_a_method_its_claims_have_no_cells(cells, literature, counted, method, untestable):
    got = claims(cells[cells["method"] != method], literature, LAST_DROP).set_index("claim")
    empty = got[got["verdict"] == "no cells"]
    assert list(empty.index) == untestable.split()
    assert (empty[["satisfied", "cells", "within_tolerance"]] == 0).all(axis=None)
    assert empty["worst_margin"].isna().all()
    rest = got.index.difference(empty.index)
    pd.testing.assert_frame_equal(got.loc[rest], counted.loc[rest])


def test_one_network_alone(cells):
    got = claims(cells[cells["network"] == "resnet34"]).set_index("claim")
    tested = got[got["cells"] > 0]
    assert list(tested.index) == ["1c", "3d", "6d", "10d", "10e", "10f", "10g"]
    assert (tested.loc[["1c", "3d", "6d", "10d"], "cells"] == 10).all()


def test_whatever_is_missing_every_claim_has_a_row(cells, literature):
    dense = cells[cells["method"] == "dense"]
    nothing = cells.iloc[:0]
    few = cells[cells["network"] == "resnet20"].iloc[:3]
    unknown = table(cell(LR, math.nan), cell(TUNE, 1.0), cell("prune_only", 1.0, math.nan))
    for some in (dense, nothing, few, unknown):
        got = claims(some, literature, LAST_DROP)
        assert list(got["claim"]) == list(COUNTS)
        assert set(got["verdict"]) == {"no cells"}
        assert list(margins(some).columns) == RENDA2020.margin_columns
    assert set(claims(cells).set_index("claim").loc[["9a", "9b", "11a", "11b"], "cells"]) == {0}


# ----- the page


def test_the_page():
    rows = [*pair(LR, TUNE, 1.25), *pair(LR, TUNE, -0.125, level=6)]
    counted = claims(table(*rows))
    page = claims_page(RENDA2020, counted, "Claims, digits")
    lines = page.splitlines()
    assert lines[0] == "# Claims, digits"
    reading = page.partition("## How to read this")[2]
    assert "0.3 pp, 0.3 BLEU, 0.3 rank correlation (imagenet: 0.2 pp)" in reading
    assert "A row that *describes* is a share to compare" in reading
    assert "80 %" in reading
    start = lines.index("| claim | statement | satisfied | worst margin | replicates | verdict |")
    body = [line for line in lines[start + 2 :] if line.startswith("|")]
    untested = counted.loc[counted["cells"] == 0, "claim"]
    assert len(body) == len(CLAIMS) - len(untested)
    assert lines[-1] == f"Without cells here: {', '.join(untested)}."
    assert body[0].startswith("| 1a | By the single rule, learning-rate rewinding is at least")
    assert body[0].endswith("| 1 of 2 | -0.12 pp | n=3 | holds within noise |")
    assert all(line.count("|") == 7 for line in body)
    better = claims_page(RENDA2020, claims(table(*rows[:2])), "t")
    assert "| 1 of 1 | +1.25 pp | n=3 | holds |" in better


def test_both_files_are_written(tmp_path):
    rows = [
        *pair(LR, TUNE, 1.0),
        *pair(LR, TUNE, 0.1, time=10),
        cell(LR, 1.0, level=6),
    ]
    csv, page = tmp_path / "out" / "claims.csv", tmp_path / "out" / "claims.md"
    literature = points([("net", 0.8**5.5, 1.0, "pp")])
    evidence = Evidence.of(table(*rows), literature, {"s": 10})
    write_claims(RENDA2020, evidence, "Title", csv=csv, page=page)
    expected = claims(table(*rows), literature, {"s": 10})
    got = read_table(csv, COLUMNS)
    pd.testing.assert_frame_equal(got, expected, check_dtype=False)
    assert list(got.loc[got["claim"].isin(["9a", "11a"]), "cells"]) == [1, 1]
    assert page.read_text() == claims_page(RENDA2020, expected, "Title")
