"""The claims of Frankle et al. (2021), on made-up tidy tables."""

import math

import pandas as pd
import pytest

from pruning.analysis.claims import COLUMNS
from pruning.analysis.claims_page import claims_page, write_claims
from pruning.analysis.tidy import COLUMNS as TIDY
from pruning.analysis.tidy import read_table
from pruning.errors import PruningError
from pruning.systems.at_init.claims import CLAIMS, READING
from pruning.systems.at_init.evidence import FRANKLE2021, LAYOUTS, evidence
from tests.twins import twins

MAG, SNIP, GRASP, SYN = FOUR = ("magnitude", "snip", "grasp", "synflow")
AFTER, TICKET = "magnitude_after_training", "lottery_ticket"
EPOCHS = 20
DENSITIES = (0.3, 0.1, 0.03)
ORDER = (
    "4a 5a 8a 8b 8c 8d 8e 8f 8g 8h 8i 8j 9a 9b 9c 9d 9e 9f 9g 9h 9i 9j 9k 9l "
    "10a 10b 10c 10d 11a 11b 11c 11d 11e 11f 11g 11h 12a 12b"
)
NAMES = ORDER.split()
DENYING = "8a 8b 8c 8d 8e 8f 8g 8h 9e 9f 9g 9h 9i 9j 9k 9l 10d 11e 11f 11g 11h"
DENY = DENYING.split()  # claims that deny a difference


def cell(method, *scores, variant="unmodified", at=None, level=2, **more):
    """Tidy rows of one cell: test accuracies in percent, a replicate each."""
    if at is None:
        at = EPOCHS if method in (AFTER, TICKET) else 0
    row = {
        "study": "s",
        "network": "net",
        "dataset": "digits",
        "method": method,
        "variant": variant,
        "level": level,
        "density": DENSITIES[level - 1],
        "pruned_at": at,
        "training_time": EPOCHS,
        "split": "test",
        "metric": "accuracy",
    }
    return [row | {"seed": k, "value": s / 100} | more for k, s in enumerate(scores)]


def table(*cells):
    return pd.DataFrame([row for rows in cells for row in rows], columns=list(TIDY))


def count(name, *cells):
    (claim,) = (c for c in CLAIMS if c.name == name)
    return FRANKLE2021.count(claim, evidence(twins(table(*cells))))


def variants(method, one, other, gap, **more):
    """A variant of a method ``gap`` above another one."""
    return [cell(method, 50 + gap, variant=one, **more), cell(method, 50, variant=other, **more)]


def methods(one, other, gap, **more):
    return [cell(one, 50 + gap, **more), cell(other, 50, **more)]


def later(method, gap):
    """Lottery tickets ``gap`` above a method that prunes at epoch 5."""
    return [cell(TICKET, 50 + gap), cell(method, 50, at=5)]


def leader(method, gap, **more):
    """A method ``gap`` above the best of the other three."""
    rivals = [cell(m, 50 - 10 * k) for k, m in enumerate(m for m in FOUR if m != method)]
    cells = [cell(method, 50 + gap), *rivals]
    return [[row | more for row in rows] for rows in cells]


def each(number, letters):
    return [(number + letter, method) for letter, method in zip(letters, FOUR, strict=True)]


U, S, R, INV = "unmodified", "shuffled", "reinitialized", "inverted"

# claim, a function from the gap to the cells, the smallest gap that satisfies it
GAPS = [
    ("4a", lambda gap: methods("grasp_abs", GRASP, gap), 0.5),
    ("5a", lambda gap: variants(SYN, S, U, gap), 0.5),
    *((name, lambda gap, m=m: variants(m, S, U, gap), -0.5) for name, m in each("8", "abcd")),
    *((name, lambda gap, m=m: variants(m, R, U, gap), -0.5) for name, m in each("8", "efgh")),
    ("8i", lambda gap: variants(AFTER, U, S, gap), 0.5),
    ("8j", lambda gap: variants(AFTER, U, R, gap), 0.5),
    *((name, lambda gap, m=m: methods(m, "random", gap), 0.5) for name, m in each("9", "abcd")),
    *((name, lambda gap, m=m: methods(AFTER, m, gap), -0.5) for name, m in each("9", "efgh")),
    *((name, lambda gap, m=m: methods(TICKET, m, gap), -0.5) for name, m in each("9", "ijkl")),
    ("10a", lambda gap: variants(MAG, U, INV, gap), 0.5),
    ("10b", lambda gap: variants(SNIP, U, INV, gap), 0.5),
    ("10c", lambda gap: variants(SYN, U, INV, gap), 0.5),
    ("10d", lambda gap: variants(GRASP, INV, U, gap), -2.0),
    *((name, lambda gap, m=m: later(m, gap), -0.5) for name, m in each("11", "efgh")),
    ("12a", lambda gap: leader(SYN, gap), 0.0),
    ("12b", lambda gap: leader(SNIP, gap, network="vgg16"), 0.0),
]  # fmt: skip


def test_every_claim_has_a_name_a_source_and_a_test():
    assert [claim.name for claim in CLAIMS] == NAMES
    assert len({claim.statement for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.layout for claim in CLAIMS} == set(LAYOUTS)
    sources = ("(Abstract.)", "(Second-hand.)", "(Not confirmed")
    assert all(any(source in claim.statement for source in sources) for claim in CLAIMS)
    assert {name for name, *_ in GAPS} | {f"11{a}" for a in "abcd"} == set(NAMES)
    assert [claim.name for claim in CLAIMS if claim.denies] == DENY


@pytest.mark.parametrize(("name", "make", "least"), GAPS, ids=[gap[0] for gap in GAPS])
def test_the_better_side_has_the_positive_margin(name, make, least):
    for gap in (least, least + 5.0, least - 0.01, least - 5.0):
        got = count(name, *make(gap))
        assert got["worst_margin"] == pytest.approx(gap - least)
        assert (got["satisfied"], got["cells"]) == (int(gap >= least), 1)
        verdict = "holds" if gap >= least else "fails"
        assert got["verdict"] == ("describes" if name.startswith("12") else verdict)


@pytest.mark.parametrize("name", NAMES)
def test_no_cells(name):
    for cells in ([cell("prune_only", 50)], [cell(m, 50) for m in FOUR[:1]]):
        got = count(name, *cells)
        assert (got["verdict"], got["cells"], got["satisfied"]) == ("no cells", 0, 0)
        assert math.isnan(got["worst_margin"])


def scattered(method, mean, spread, **more):
    """Three replicates with this mean and a standard error of ``spread`` / sqrt(3)."""
    return cell(method, mean - spread, mean, mean + spread, **more)


def test_noise_is_two_standard_errors_of_the_difference():
    spread = math.sqrt(3 / 2)  # of both sides: a standard error of 1
    for beyond, within, verdict in ((1.99, 1, "holds within noise"), (2.01, 0, "fails")):
        cells = [
            scattered(SNIP, 50, spread),
            scattered(SNIP, 49.5 - beyond, spread, variant=S),
        ]
        got = count("8b", *cells)
        assert got["worst_margin"] == pytest.approx(-beyond)
        assert (got["satisfied"], got["within_tolerance"], got["verdict"]) == (0, within, verdict)
    # One replicate has no scatter, of the other side or of both.
    assert count("8b", cells[0], cell(SNIP, 48.4, variant=S))["within_tolerance"] == 1
    assert count("8b", cells[0], cell(SNIP, 48.0, variant=S))["within_tolerance"] == 0
    assert count("8b", cell(SNIP, 50), cell(SNIP, 49.4, variant=S))["within_tolerance"] == 0


@pytest.mark.parametrize(("name", "make", "least"), GAPS, ids=[gap[0] for gap in GAPS])
def test_noise_speaks_for_no_claim_of_a_difference(name, make, least):
    scattered = [
        [row | {"seed": k, "value": row["value"] + step} for k, step in enumerate((-0.1, 0, 0.1))]
        for rows in make(least - 1.0)
        for row in rows
    ]
    got = count(name, *scattered)
    assert got["worst_margin"] == pytest.approx(-1.0)
    assert got["within_tolerance"] == int(name in DENY)


def test_verdicts():
    def verdict(*gaps):
        cells = [c for k, gap in enumerate(gaps) for c in variants(SNIP, S, U, gap, study=f"s{k}")]
        return count("8b", *cells)["verdict"]

    assert verdict(-0.5, 3) == "holds"
    assert verdict(-0.6, 0, 0, 0, 0) == "mostly"
    assert verdict(-0.6, -0.6, 0, 0, 0) == "fails"


@pytest.mark.parametrize("method", FOUR)
def test_rising_and_falling_with_the_epoch(method):
    name = f"11{'abcd'[FOUR.index(method)]}"

    def curve(*scores, **more):
        return [cell(method, s, at=5 * k, **more) for k, s in enumerate(scores)]

    assert count(name, *curve(1, 2, 3))["worst_margin"] == pytest.approx(0.5)
    assert count(name, *curve(3, 2, 1))["worst_margin"] == pytest.approx(-1.5)
    assert count(name, *curve(1, 3, 2))["verdict"] == "holds"  # 0.5
    assert count(name, *curve(2, 3, 1))["verdict"] == "fails"  # -0.5
    assert count(name, *curve(1, 2))["verdict"] == "no cells"
    assert count(name, *curve(1, 1, 1))["verdict"] == "no cells"
    assert count(name, *curve(1, 2, 3, variant=S))["verdict"] == "no cells"
    # Each density by itself: the only cell of another one is no point of the curve.
    got = count(name, *curve(1, 2, 3), cell(method, 0.5, level=1))
    assert (got["cells"], got["verdict"]) == (1, "holds")


@pytest.mark.parametrize(("name", "make", "least"), GAPS, ids=[gap[0] for gap in GAPS])
def test_which_cells_a_claim_is_about(name, make, least):
    cells = [
        [row | {"level": level, "density": density} for row in rows]
        for level, density in enumerate(DENSITIES, 1)
        for rows in make(least)
    ]
    fewer = {"9a": 2, "9b": 2, "9c": 2, "9d": 2, "12a": 1, "12b": 1}  # at high sparsities only
    assert count(name, *cells)["cells"] == fewer.get(name, 3)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (MAG, "8a 8e 9a 9e 9i 10a 11a 11e"),
        (SNIP, "8b 8f 9b 9f 9j 10b 11b 11f"),
        (GRASP, "8c 8g 9c 9g 9k 10d 11c 11g"),
        (SYN, "5a 8d 8h 9d 9h 9l 10c 11d 11h"),
        (AFTER, "8i 8j"),
        ("grasp_abs", ""),
    ],
)
def test_cells_of_a_method_belong_to_its_claims_alone(method, names):
    cells = [cell(method, 50, variant=variant) for variant in (U, S, R, INV)]
    cells += [cell(method, 50 + e, at=e) for e in (2, 5)]
    cells += [cell(other, 50) for other in ("random", AFTER, TICKET) if other != method]
    counted = FRANKLE2021.counts(evidence(table(*cells))).set_index("claim")["cells"]
    assert list(counted.index[counted > 0]) == names.split()


@pytest.mark.parametrize("name", ["9a", "9b", "9c", "9d"])
def test_high_sparsity_begins_at_90_percent(name):
    make = {n: make for n, make, _ in GAPS}[name]
    for density, cells in ((0.1, 1), (1 - 0.9, 1), (0.03, 1), (0.107, 0), (0.3, 0)):
        rows = [[row | {"density": density} for row in rows] for rows in make(3)]
        assert count(name, *rows)["cells"] == cells


@pytest.mark.parametrize("name", [n for n in NAMES if n[0] in "4589"] + ["10a", "10d"])
def test_what_is_pruned_later_is_not_at_initialization(name):
    make = {n: make for n, make, _ in GAPS}[name]
    cells = [[row | {"pruned_at": 5} for row in rows] for rows in make(5)]
    ends = name in ("8i", "8j")  # these prune at the end, whenever that is
    assert count(name, *cells)["cells"] == int(ends)


def test_the_leader_at_the_highest_sparsity_of_a_study():
    ahead = leader(SYN, 3)
    assert count("12a", *ahead)["cells"] == 1
    assert count("12a", *ahead, cell("random", 10, level=3))["cells"] == 0
    assert count("12a", *ahead[:-1])["cells"] == 0  # the field is not complete
    sparser = [[row | {"level": 3} for row in rows] for rows in leader(SYN, -2)]
    got = count("12a", *ahead, *sparser)
    assert (got["cells"], got["worst_margin"]) == (1, pytest.approx(-2))
    others = [[row | {"study": "t"} for row in rows] for rows in ahead]
    assert count("12a", *others, *sparser)["cells"] == 2
    assert count("12b", *leader(SNIP, 3, network="resnet20"))["verdict"] == "no cells"


def test_studies_and_densities_are_never_compared_with_each_other():
    a, b = variants(SNIP, S, U, 3)
    assert count("8b", a, [row | {"study": "t"} for row in b])["cells"] == 0
    assert count("8b", a, [row | {"level": 3, "density": 0.03} for row in b])["cells"] == 0
    assert count("8b", a, [row | {"method": GRASP} for row in b])["cells"] == 0
    ticket, pruned = later(SNIP, 3)
    assert count("11f", ticket, [row | {"level": 1} for row in pruned])["cells"] == 0


# ----- cells


def test_a_cell_is_the_mean_of_its_replicates_in_percent():
    cells = evidence(table(cell(SNIP, 50, 60), cell(SNIP, 40, variant=S)))
    first, second = cells.to_dict("records")
    assert (first["n"], first["mean"]) == (2, 55)
    assert first["error"] == pytest.approx(5)
    assert (second["n"], second["mean"], second["variant"]) == (1, 40, "shuffled")
    assert math.isnan(second["error"])


def test_only_test_accuracies_of_networks_pruned_once_count():
    rows = [
        cell(SNIP, 50),
        cell(SNIP, 90, split="validation"),
        cell(SNIP, 90, metric="loss"),
        cell("dense", 90, variant=None, at=math.nan),
        cell("lr_rewind", 90, variant="iterative", at=math.nan),
    ]
    assert list(evidence(table(*rows))["mean"]) == [50]
    with pytest.raises(PruningError, match="at initialization"):
        evidence(table(*rows[1:]))


# ----- the page


def everything():
    """The digits-like table: all methods, variants and epochs, each a little apart."""
    cells = [cell("random", 20, 21, level=k) for k in (1, 2, 3)]
    for k in (1, 2, 3):
        for m, method in enumerate((*FOUR, "grasp_abs", AFTER, TICKET)):
            for v, variant in enumerate((U, S, R, INV)):
                score = 90 - 10 * k + m - 4 * (variant == INV) + 0.1 * v
                cells.append(cell(method, score, score + 0.2, variant=variant, level=k))
    cells += [cell(m, 70 + e, 70.2 + e, at=e) for m in FOUR for e in (2, 5, 10)]
    return table(*cells)


def test_the_page(tmp_path):
    csv, page = tmp_path / "at_init_claims.csv", tmp_path / "at_init_claims.md"
    cells = evidence(everything())
    write_claims(FRANKLE2021, cells, "Net, digits", csv=csv, page=page)
    counted = read_table(csv, COLUMNS)
    assert list(counted["claim"]) == NAMES
    verdicts = counted.set_index("claim")["verdict"]
    assert list(verdicts[verdicts == "no cells"].index) == ["12b"]
    text = page.read_text()
    start, end, untested = claims_page(FRANKLE2021, counted, "Net, digits").partition(
        "\nWithout cells"
    )
    assert text.startswith(start)
    assert text.endswith(end + untested)
    lines = text.splitlines()
    assert lines[0] == "# Net, digits"
    for word in ("*Abstract*", "*Second-hand*", "*Not confirmed*", "80 %", "0.5 pp"):
        assert word in text.partition("## How to read this")[2]
    assert "{" not in text
    head = "| claim | statement | satisfied | within noise | worst margin | replicates | verdict |"
    assert lines.count(head) == 1
    row = next(line for line in lines if line.startswith("| 10d |"))
    assert row.endswith("| 0 of 3 | 0 of 3 | -1.70 pp | n=2 | fails |")
    assert "| 10d | s | 70 % (-1.70 pp), 90 % (-1.70 pp), 97 % (-1.70 pp) |" in lines
    assert not any(line.startswith("| 12b | s") for line in lines)
    missed = [line for line in lines if line.startswith("| 11e | s |")]
    assert missed == ["| 11e | s | 90 % at epoch 10 (-3.50 pp) |"]
    assert "| s | 97 % | SynFlow | 63.10 % | +1.00 pp over GraSP, clearly |" in lines
    assert READING.count("\n\n") == 2


def test_nothing_is_clear_of_one_replicate_and_nobody_leads_half_a_field(tmp_path):
    def page(*cells):
        path = tmp_path / "page.md"
        found = evidence(table(*cells))
        write_claims(FRANKLE2021, found, "T", csv=tmp_path / "t.csv", page=path)
        return path.read_text()

    alone = leader(SYN, 3)
    assert "| s | 90 % | SynFlow | 53.00 % | +3.00 pp over magnitude pruning |" in page(*alone)
    half = page(*alone[:-1])
    assert "| - | - | - | - | - |" in half
    assert "| none | - | - |" in half


def test_replicates_are_those_of_the_side_that_has_fewer():
    for few, verdict in (((40, 41), "holds"), ((40,), "one replicate")):
        got = count("9a", cell(MAG, 50, 51, 52, level=2), cell("random", *few, level=2))
        assert (got["replicates"], got["verdict"]) == (len(few), verdict)
    got = count(
        "12a", cell(SYN, 50, 51), cell(MAG, 40, 41, 42), cell(SNIP, 30), cell(GRASP, 20, 21)
    )
    assert got["replicates"] == 1  # any rival might lead with more
    got = count("11a", *(cell(MAG, *(k + s for s in range(3 - k)), at=5 * k) for k in range(3)))
    assert got["replicates"] == 1
