"""The claims of Ding et al. (2019), on made-up tables."""

import math

import pandas as pd
import pytest

from pruning.analysis.claims import COLUMNS
from pruning.analysis.claims_page import claims_page, write_claims
from pruning.analysis.tidy import COLUMNS as TIDY
from pruning.analysis.tidy import read_table
from pruning.errors import PruningError
from pruning.stages.claims import claims as claims_stage
from pruning.systems.gsm.claims import CLAIMS
from pruning.systems.gsm.evidence import DIFFERENCES, GSM2019, differences, evidence
from tests.conftest import REPOSITORY
from tests.twins import twins

PUBLISHED = REPOSITORY / "resources" / "published"
NAMES = ["8a", "8b", "9a", "9b", "9c", "9d", "9e", "10a", "10b", "13a"]
DENY = ["8a", "9a", "9b", "9c", "9d", "9e", "13a"]  # claims that deny a difference
DENSITIES = (0.5, 1 / 60, 1 / 125, 1 / 300)


def rows(method, *scores, variant="unmodified", level=1, metric="accuracy", **more):
    """Rows of one cell: test accuracies in percent, a replicate each."""
    row = {
        "study": "s",
        "network": "net",
        "dataset": "digits",
        "method": method,
        "variant": variant,
        "level": level,
        "density": DENSITIES[level - 1],
        "split": "test",
        "metric": metric,
    }
    return [row | {"seed": k, "value": s / 100} | more for k, s in enumerate(scores)]


def dense(*scores, **more):
    return rows("dense", *scores, **({"variant": "", "level": 0, "density": 1.0} | more))


def before(*scores, method="gsm", **more):
    return rows(method, *scores, metric="accuracy_before_zeroing", **more)


def table(*cells):
    return pd.DataFrame([row for rows in cells for row in rows], columns=list(TIDY))


def found(*cells):
    return evidence(table(*cells), PUBLISHED)


def count(name, *cells):
    (claim,) = (c for c in CLAIMS if c.name == name)
    return GSM2019.count(claim, evidence(twins(table(*cells)), PUBLISHED))


def zeroed(*gaps, **more):
    return [rows("gsm", *(90 + g for g in gaps), **more), before(*(90 for g in gaps), **more)]


def straight(*gaps, **more):
    other = "magnitude_without_retraining"
    return [rows("gsm", *(90 + g for g in gaps), **more), rows(other, *(90 for g in gaps), **more)]


def tickets(*gaps, **more):
    better = rows("gsm_ticket", *(90 + g for g in gaps), **more)
    return [better, rows("magnitude_ticket", *(90 for g in gaps), **more)]


def growing(*gaps, level=2, **more):
    """The lead over magnitude rises by so much from 3 pp."""
    denser = tickets(*(3 for g in gaps), level=level - 1, **more)
    return [*denser, *tickets(*(3 + g for g in gaps), level=level, **more)]


def reselected(*gaps, **more):
    anew = rows("gsm", *(90 + g for g in gaps), **more)
    return [anew, rows("gsm", *(90 for g in gaps), **(more | {"variant": "frozen"}))]


def against_dense(network, dataset, density):
    def make(*gaps, **more):
        of = {"network": network, "dataset": dataset}
        pruned = rows("gsm", *(90 + g for g in gaps), **(of | {"density": density} | more))
        return [dense(*(90 for g in gaps), **(of | {k: more[k] for k in ("study",) if k in more})),
                pruned]  # fmt: skip

    return make


# claim, a function from the gaps of replicates to the cells, the smallest gap that satisfies it
PRUNED = [
    ("9a", against_dense("lenet_300_100", "mnist", 1 / 60), -0.2),
    ("9b", against_dense("lenet_5", "mnist", 1 / 125), -0.2),
    ("9c", against_dense("lenet_5", "mnist", 1 / 300), -0.35),
    ("9d", against_dense("resnet56", "cifar10", 0.1), -0.45),
    ("9e", against_dense("resnet56", "cifar10", 0.15), -0.2),
]
GAPS = [
    ("8a", zeroed, -0.1),
    ("8b", straight, 0.1),
    *PRUNED,
    ("10a", tickets, 0.1),
    ("10b", growing, 0.1),
    ("13a", reselected, -0.1),
]
MAKE = {name: make for name, make, _ in GAPS}
every_claim = pytest.mark.parametrize(("name", "make", "least"), GAPS, ids=NAMES)


def test_every_claim_has_a_name_a_source_and_a_test():
    assert [claim.name for claim in CLAIMS] == NAMES == [name for name, *_ in GAPS]
    assert len({claim.statement for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.first for claim in CLAIMS} == {*DIFFERENCES, "growth"}
    sources = ("(Second-hand.)", "(Not confirmed.)", "(Table 1.)", "(Table 2.)", "(Table 4.)")
    assert all(claim.statement.endswith(sources) for claim in CLAIMS)
    assert [claim.name for claim in CLAIMS if claim.denies] == DENY
    statements = {claim.name: claim.statement for claim in CLAIMS}
    for name, _, least in PRUNED:  # the limit that is said is the one that is used
        published = {"9c": "about 0.15 pp", "9d": "about 0.25 pp"}.get(name, "about 0 pp")
        assert f"at most {-least:g} pp worse" in statements[name]
        assert f"{published} is published" in statements[name]


@every_claim
def test_the_better_side_has_the_positive_margin(name, make, least):
    gaps = (least, least - 0.01, least - 5) + (() if name == "8a" else (least + 5,))
    for gap in gaps:
        got = count(name, *make(gap))
        assert got["worst_margin"] == pytest.approx(gap - least)
        assert (got["satisfied"], got["cells"]) == (int(gap >= least), 1)
        assert got["verdict"] == ("holds" if gap >= least else "fails")


def test_zeroing_may_change_accuracy_to_neither_side():
    for gap, margin in ((0.0, 0.1), (0.1, 0.0), (-0.1, 0.0), (0.3, -0.2), (-0.3, -0.2)):
        got = count("8a", *zeroed(gap))
        assert got["worst_margin"] == pytest.approx(margin, abs=1e-9)
        assert got["satisfied"] == int(margin >= 0)


@every_claim
def test_noise_is_two_standard_errors_of_the_difference(name, make, least):
    spread = math.sqrt(3)  # of three differences: a standard error of 1
    for beyond, inside in ((1.99, True), (2.01, False)):
        middle = least - beyond
        got = count(name, *make(middle - spread, middle, middle + spread))
        assert got["worst_margin"] == pytest.approx(-beyond)
        granted = inside and name in DENY
        assert (got["satisfied"], got["within_tolerance"]) == (0, int(granted))
        assert got["verdict"] == ("holds within noise" if granted else "fails")
    # One replicate has no scatter.
    assert count(name, *make(least - 0.01))["within_tolerance"] == 0


def test_replicates_are_compared_with_themselves():
    """Dense networks scatter by 10 pp, GSM loses 1 pp of each: that is no noise."""
    make = dict(network="lenet_5", dataset="mnist")
    cells = [dense(80, 90, 100, **make), rows("gsm", 79, 89, 99, level=3, **make)]
    got = count("9b", *cells)
    assert got["worst_margin"] == pytest.approx(-0.8)
    assert got["verdict"] == "fails"
    # A replicate without its other half is left out.
    unpaired = [dense(80, 90, **make), rows("gsm", 79, 89, 0, level=3, **make)]
    assert count("9b", *unpaired)["worst_margin"] == pytest.approx(-0.8)
    reordered = [dense(80, 90, **make), rows("gsm", 89, 79, level=3, **make)[::-1]]
    error = differences(found(*reordered))["pruning error"].iloc[0]
    assert error == pytest.approx(10)  # differences of 9 and -11


@every_claim
def test_no_cells(name, make, least):
    cells = make(least)
    kept = [rows("gsm", 90, variant="momentum_90"), rows("gsm_ticket", 90, study="t")]
    for k in range(len(cells)):
        one_missing = [rows for i, rows in enumerate(cells) if i != k]
        got = count(name, *one_missing, *kept)
        assert (got["verdict"], got["cells"]) == ("no cells", 0)
        assert math.isnan(got["worst_margin"])


@every_claim
def test_studies_and_densities_are_never_compared_with_each_other(name, make, least):
    *cells, last = make(least)
    assert count(name, *cells, last)["cells"] == 1
    assert count(name, *cells, [row | {"study": "t"} for row in last])["cells"] == 0
    if not name.startswith("9"):  # dense networks have no density to be at
        moved = [row | {"level": 4, "density": DENSITIES[3]} for row in last]
        assert count(name, *cells, moved)["cells"] == 0


@pytest.mark.parametrize("name", ["8a", "8b", "9b", "10a"])
def test_ablations_speak_for_no_claim_about_gsm(name):
    cells = MAKE[name](5)
    as_ablation = [[row | {"variant": row["variant"] and "momentum_90"} for row in c]
                   for c in cells]  # fmt: skip
    padding = rows("gsm_ticket", 1, study="other")
    assert count(name, *cells, padding)["cells"] == 1
    assert count(name, *as_ablation, padding)["cells"] == 0


@pytest.mark.parametrize("name", ["8a", "8b", "9b", "10a", "13a"])
def test_only_test_accuracies_count(name):
    cells = MAKE[name](0.0)
    others = [
        [row | more | {"value": 0.3} for row in rows]
        for rows in cells
        for more in ({"split": "validation"}, {"metric": "loss"})
    ]
    assert count(name, *others, *cells) == count(name, *cells)
    with pytest.raises(PruningError, match=r"pruned by GSM.*`gsm` section"):
        count(name, *others)


@pytest.mark.parametrize(("name", "make", "least"), PRUNED, ids=[name for name, *_ in PRUNED])
def test_each_published_change_is_of_one_network_and_density(name, make, least):
    about = make(least)
    kept = about[1][0]["density"]
    same = [[row | {"density": row["density"] * (1.019 if row["level"] else 1)} for row in rows]
            for rows in about]  # fmt: skip
    assert count(name, *same)["cells"] == 1
    for more in (
        {"network": "resnet20"},
        {"dataset": "fashion_mnist"},
        {"density": 1.021 * kept},
        {"density": 0.979 * kept},
    ):
        other = [[row | more for row in rows] for rows in about]
        assert count(name, *other)["cells"] == 0
    counted = GSM2019.counts(found(*about)).set_index("claim")["cells"]
    assert list(counted.index[counted > 0]) == [name]


def test_the_lead_grows_from_each_density_to_the_next():
    def leads(*gaps, **more):
        return [c for k, gap in enumerate(gaps, 1) for c in tickets(gap, level=k, **more)]

    got = count("10b", *leads(1, 2, 4))
    assert (got["cells"], got["worst_margin"]) == (2, pytest.approx(0.9))
    got = count("10b", *leads(1, 2, 1.5)[::-1])  # in whatever order the rows are
    assert (got["cells"], got["satisfied"]) == (2, 1)
    assert got["worst_margin"] == pytest.approx(-0.6)
    assert count("10b", *leads(1, 2), *leads(0, 1, study="t"))["cells"] == 2
    # A density without tickets is passed over.
    skipped = [*tickets(1, level=1), rows("gsm", 90, level=2), *tickets(3, level=3)]
    got = count("10b", *skipped)
    assert (got["cells"], got["worst_margin"]) == (1, pytest.approx(1.9))
    # The other replicate's tickets are no predecessors.
    cells = [
        *tickets(1, level=1),
        [row | {"seed": 1} for rows in tickets(3, level=2) for row in rows],
    ]
    assert count("10b", *cells)["cells"] == 0


def test_differences_are_means_in_percentage_points():
    cells = [*straight(2, 4, level=2), *zeroed(1, level=3)]
    first, second = differences(found(*cells)).to_dict("records")
    assert (first["level"], first["density"], first["unit"]) == (2, 1 / 60, "pp")
    assert (first["direct"], first["direct error"]) == (pytest.approx(3), pytest.approx(1))
    assert math.isnan(first["zeroing"])
    assert (second["level"], second["zeroing"]) == (3, pytest.approx(1))
    assert math.isnan(second["zeroing error"])


# ----- the page


LENET = {"network": "lenet_5", "dataset": "mnist"}


def lenet():
    """A study of LeNet-5, two replicates, at 2x, 125x and 300x, with a frozen one at 125x."""
    cells = [dense(99.0, 99.2, **LENET)]
    for level, pruned, direct in ((1, 99.1, 99.1), (3, 99.0, 40.0), (4, 98.65, 11.35)):
        more = {"level": level} | LENET
        cells += [
            rows("gsm", pruned, pruned + 0.1, **more),
            before(pruned + 0.05, pruned + 0.15, **more),
            rows("magnitude_without_retraining", direct, direct, **more),
            before(99.0, 99.2, method="magnitude_without_retraining", **more),
        ]
    for level, ours, other in ((3, 98.9, 97.0), (4, 98.0, 20.0)):
        more = {"level": level} | LENET
        cells += [rows("gsm_ticket", ours, ours + 0.2, **more)]
        cells += [rows("magnitude_ticket", other, other + 0.4, **more)]
    cells.append(rows("gsm", 90, 91, variant="frozen", level=3, **LENET))
    return cells


def test_the_page(tmp_path):
    csv, page = tmp_path / "gsm_claims.csv", tmp_path / "gsm_claims.md"
    write_claims(GSM2019, found(*lenet()), "LeNet-5, MNIST", csv=csv, page=page)
    counted = read_table(csv, COLUMNS)
    assert list(counted["claim"]) == NAMES
    verdicts = counted.set_index("claim")["verdict"].to_dict()
    assert verdicts == {
        "8a": "holds",
        "8b": "fails",  # at 2x there is nothing to lose
        "9a": "no cells",
        "9b": "holds",
        "9c": "holds within noise",
        "9d": "no cells",
        "9e": "no cells",
        "10a": "holds",
        "10b": "holds",
        "13a": "holds",
    }
    text = page.read_text()
    start, end, untested = claims_page(GSM2019, counted, "LeNet-5, MNIST").partition(
        "\nWithout cells"
    )
    assert text.startswith(start)
    assert text.endswith(end + untested)
    assert "{" not in text
    lines = text.splitlines()
    assert lines[0] == "# LeNet-5, MNIST"
    # What misses within noise does not speak against a claim.
    assert [line for line in lines if " | s | " in line and " pp)" in line] == [
        "| 8b | s | 2x (-0.05 pp) |"
    ]
    for word in ("*Table*", "*Second-hand*", "*Not confirmed*", "80 %", "0.1 pp", "0.2 pp"):
        assert word in text.partition("## How to read this")[2]
    appendix = text.partition("## Published beside ours")[2]
    for word in ("share of the kernels", "biases", "6.6x is 15 %", "is not known"):
        assert word in appendix
    at = "s | lenet_5, mnist"
    networks = [
        f"| {at} | 2x | 50 % | 99.21 | 99.10 ± 0.14 | - | 99.15 ± 0.07 | 99.20 ± 0.07 | 2 |",
        f"| {at} | 125x | 0.8 % | 99.21 | 99.10 ± 0.14 | 99.22 | 99.05 ± 0.07 | 99.10 ± 0.07 | 2 |",
        f"| {at} | 300x | 0.3333 % | 99.21 | 99.10 ± 0.14 | 99.06 | 98.70 ± 0.07 | 98.75 ± 0.07 "
        "| 2 |",
    ]
    tickets = [
        f"| {at} | 125x | 99.04 | 99.00 ± 0.14 | 97.60 | 97.20 ± 0.28 | 1.44 | 1.80 ± 0.14 | 2 |",
        f"| {at} | 300x | 98.88 | 98.10 ± 0.14 | 11.35 | 20.20 ± 0.28 | 87.53 | 77.90 ± 0.14 | 2 |",
    ]
    assert [line for line in appendix.splitlines() if line.startswith("| s |")] == [
        *networks,
        *tickets,
    ]


def page_of(tmp_path, *cells):
    path = tmp_path / "page.md"
    write_claims(GSM2019, found(*cells), "T", csv=tmp_path / "t.csv", page=path)
    return path.read_text()


def test_what_was_not_published_is_a_dash(tmp_path):
    cells = [dense(97), rows("gsm", 96, level=2), before(95.5, level=2), *tickets(2, level=2)]
    page = page_of(tmp_path, *cells)
    assert "| s | net, digits | 60x | 1.667 % | - | 97.00 | - | 96.00 | 95.50 | 1 |" in page
    assert "| s | net, digits | 60x | - | 92.00 | - | 90.00 | - | 2.00 | 1 |" in page
    # The same network on other data is no counterpart, nor is another density.
    for more in ({"network": "lenet_5"}, {"dataset": "mnist"}):
        page = page_of(tmp_path, *([row | more for row in rows] for rows in cells))
        assert "| 60x | 1.667 % | - | 97.00 | - |" in page
    page = page_of(tmp_path, *([row | LENET for row in rows] for rows in cells))
    assert "| 60x | 1.667 % | 99.21 | 97.00 | - |" in page
    assert "| 60x | - | 92.00 | - | 90.00 | - | 2.00 | 1 |" in page


def test_a_study_of_gsm_alone_has_no_tickets(tmp_path):
    page = page_of(tmp_path, rows("gsm", 96))
    assert "| s | net, digits | 2x | 50 % | - | - | - | 96.00 | - | 1 |" in page
    assert f"\n{'| - ' * 10}|" in page
    assert "| none | - | - |" in page


def test_densities_of_ours_match_published_ones_within_two_percent(tmp_path):
    for factor, accuracy in ((1.019, "93.80"), (0.981, "93.80"), (1.021, "-"), (0.979, "-")):
        of = {"network": "resnet56", "dataset": "cifar10"}
        pruned = rows("gsm", 90, density=0.1 * factor, **of)
        (line,) = (
            line
            for line in page_of(tmp_path, dense(91, **of), pruned).splitlines()
            if line.startswith("| s | resnet56")
        )
        assert line.split(" | ")[4:8] == ["94.05", "91.00", accuracy, "90.00"]


def test_the_stage_takes_a_table_from_disk(tmp_path):
    path, csv, page = (tmp_path / name for name in ("gsm.csv", "claims.csv", "claims.md"))
    table(*lenet()).to_csv(path, index=False)
    claims_stage(
        path,
        claims="pruning.systems.gsm.evidence:GSM2019",
        title="LeNet-5",
        options={},
        resources=PUBLISHED,
        csv=csv,
        page=page,
    )
    fresh = GSM2019.counts(found(*lenet()))
    pd.testing.assert_frame_equal(read_table(csv, COLUMNS), fresh, check_dtype=False)
    assert "| 125x | 99.04 |" in page.read_text()
    with pytest.raises(PruningError, match="does not exist"):
        evidence(table(*lenet()), tmp_path / "nowhere")


def test_replicates_that_have_both_sides_are_counted():
    counted = GSM2019.counts(found(*lenet())).set_index("claim")
    assert set(counted.loc[counted["cells"] > 0, "replicates"]) == {2}
    got = count("8a", rows("gsm", 90, 91, 92), before(90))
    assert (got["cells"], got["replicates"], got["verdict"]) == (1, 1, "one replicate")
