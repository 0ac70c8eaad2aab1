"""The claims of Lym et al. (2019), on made-up tables."""

import math

import pandas as pd
import pytest

from pruning.analysis.claims import COLUMNS
from pruning.analysis.claims_page import claims_page, write_claims
from pruning.analysis.tidy import COLUMNS as TIDY
from pruning.analysis.tidy import read_table
from pruning.errors import PruningError
from pruning.models.vgg import LAYERS as VGG_LAYERS
from pruning.models.vgg import POOL
from pruning.stages.claims import claims as claims_stage
from pruning.study.study import load_study
from pruning.systems.prunetrain import tables
from pruning.systems.prunetrain.catalog import CLAIMS as PAGES
from pruning.systems.prunetrain.claims import CLAIMS
from pruning.systems.prunetrain.evidence import LAYOUTS, LYM2019, evidence
from pruning.systems.prunetrain.published import SOURCE, intervals_for, published
from tests.conftest import REPOSITORY, SCHEMAS
from tests.other_scores import restated, told
from tests.twins import twins

PUBLISHED = REPOSITORY / "resources" / "published"
NAMES = ["1a", "1b", "2", "3", "4a", "4b", "5", "6a", "6b", "7"]
DENY = ["1b", "5"]  # claims that something is no better
RATIOS = (0.1, 0.2, 0.3, 0.4)
BESIDE = ("epochs", "layers", "seconds", "channels")
SHAPE = {
    "prunetrain": TIDY,
    **{f"prunetrain_{name}": getattr(tables, name.upper()) for name in BESIDE},
}
LAYER = 1000  # MACs of the one layer as built
STEP = 3000  # of a training step
CHANNELS = 1000  # of a convolution as built


def cell(
    left=50.0,
    epochs=(100.0, 100.0, 100.0),
    *,
    method="prunetrain",
    level=1,
    seed=0,
    score=90.0,
    tuned=None,
    convolutions=None,
    records=None,
    rate=0.1,
    ends=None,
    **of,
):
    """Rows of one training, by table.

    ``left`` is in percent of the inference MACs, ``epochs`` in percent of a training step, of each
    epoch; ``convolutions`` are their channels after training, or (before, after); ``records`` the
    sizes of channels at every fifth epoch, against a threshold of 1; the bound of ``rate`` is 1.
    """
    row = {
        "study": "s",
        "network": "net",
        "dataset": "digits",
        "seed": seed,
        "method": method,
        "variant": "unmodified",
        "level": level,
        "density": 0.5,
        "metric": "accuracy",
        "ratio": RATIOS[level - 1],
    } | of
    scores = [row | {"split": "test", "value": score / 100}]
    if tuned is not None:
        scores.append(scores[0] | {"variant": "fine_tuned", "value": tuned / 100})
    ends = ends or range(1, len(epochs) + 1)
    return {
        "prunetrain": scores,
        "prunetrain_epochs": [
            row
            | {"epoch": end, "training_macs": STEP * cost / 100}
            | {"rate_times_strength": rate, "bound": 1.0}
            for end, cost in zip(ends, epochs, strict=True)
        ],
        "prunetrain_layers": [row | layer for layer in _layers(left, convolutions)],
        "prunetrain_seconds": [
            row | {"epoch": end, "seconds": cost / 100}
            for end, cost in zip(ends, epochs, strict=True)
        ],
        "prunetrain_channels": [
            row
            | {"epoch": 5 * (place + 1), "layer": "conv", "position": 0, "channel": channel}
            | {"size": size, "threshold": 1.0}
            for place, sizes in enumerate(records or ())
            for channel, size in enumerate(sizes)
        ],
    }


def _layers(left, convolutions):
    if convolutions is None:
        yield _layer(0, 10, 10, LAYER, left / 100)
        return
    widths = [c if isinstance(c, tuple) else (CHANNELS, c) for c in convolutions]
    inputs = (3, *(before for before, _ in widths))
    for position, (before, after) in enumerate(widths):
        macs = 36 * inputs[position] * before
        yield _layer(position, inputs[position], before, macs, 1.0, after)
    # The classifier loses nothing that counts.
    yield _layer(len(widths), inputs[-1], 10, 10 * inputs[-1], 1.0, 10)


def _layer(position, inputs, outputs, macs, left, after=None):
    return {
        "layer": f"layer{position}",
        "position": position,
        "inputs_before": inputs,
        "outputs_before": outputs,
        "inputs": inputs,
        "outputs": outputs if after is None else after,
        "inference_macs_before": macs,
        "training_macs_before": STEP / LAYER * macs,
        "inference_macs": left * macs,
        "training_macs": left * STEP / LAYER * macs,
    }


def dense(score=92.0, seed=0, **of):
    (row,) = cell(method="dense", seed=seed, score=score, **of)["prunetrain"]
    return {"prunetrain": [row | {"level": 0, "variant": math.nan, "density": 1.0}]}


def gathered(*cells):
    return {
        name: pd.DataFrame(
            [row for rows in cells for row in rows.get(name, ())], columns=list(columns)
        )
        for name, columns in SHAPE.items()
    }


def found(*cells, channels=True, resources=PUBLISHED, as_it_is=True):
    made = gathered(*cells)
    if not channels:
        del made["prunetrain_channels"]
    if not as_it_is:
        made = {name: twins(table) for name, table in made.items()}
    return evidence(made.pop("prunetrain"), resources, **made)


def claim(name):
    (chosen,) = (c for c in CLAIMS if c.name == name)
    return chosen


def count(name, *cells, **more):
    return LYM2019.count(claim(name), found(*cells, as_it_is=False, **more))


def replicated(make):
    """A function from one gap to cells as one from the gaps of replicates."""
    return lambda *gaps, **of: [c for k, gap in enumerate(gaps) for c in make(gap, seed=k, **of)]


def cheaper(gap, **of):
    return [cell(60, level=1, **of), cell(60 - gap, level=2, **of)]


def worse(gap, **of):
    return [cell(score=90, level=1, **of), cell(score=90 - gap, level=2, **of)]


def early(gap, **of):
    """A third is three epochs; of 40 % in the end, so many percent are saved then."""
    return [cell(epochs=(100, 100, 100, 100 - 0.4 * gap, *5 * (60,)), **of)]


def inference(gap, **of):
    return [cell(80 - gap, 3 * (80,), **of)]


def depth(gap, **of):
    middle = round(10 * (20 + gap), 6)
    return [cell(convolutions=(500, middle, middle, 300, 100), network="vgg8", **of)]


def classes(gap, **of):
    late = round(10 * (20 + gap), 6)
    of = {"network": "vgg8"} | of
    name = of.pop("study", "s")
    widths = (500, 900, 900)
    return [
        cell(convolutions=(*widths, 300, 100), **of, study=name, dataset="cifar10"),
        cell(convolutions=(*widths, late, late), **of, study=f"{name}00", dataset="cifar100"),
    ]


def gated(gap, **of):
    return [cell(50 + gap, **of), cell(50, method="prunetrain_gating", **of)]


def once(gap, **of):
    return [cell(epochs=3 * (100 + gap,), method="prunetrain_one_time", **of)]


def dearer(gap, **of):
    ours = cell(epochs=3 * (50,), **of)
    return [ours, cell(epochs=3 * (50 + gap,), method="prunetrain_one_time", **of)]


def staying(gap, **of):
    """So many percent of 1000 channels stay below the threshold; some others never are."""
    lost = round(10 * (100 - gap))
    sizes = [(2, *1000 * (0.5,)), (2, *lost * (3,), *(1000 - lost) * (0.5,))]
    return [cell(records=sizes, method="prunetrain_one_time", **of)]


# claim, a function from the gaps of replicates to cells, the smallest gap that satisfies it
GAPS = [
    ("1a", replicated(cheaper), 0.1),
    ("1b", replicated(worse), 0.0),
    ("2", replicated(early), 50.0),
    ("3", replicated(inference), 0.1),
    ("4a", replicated(depth), 0.1),
    ("4b", replicated(classes), 0.1),
    ("5", replicated(gated), 0.0),
    ("6a", replicated(once), 0.0),
    ("6b", replicated(dearer), 0.1),
    ("7", replicated(staying), 99.0),
]
MAKE = {name: make for name, make, _ in GAPS}
every_claim = pytest.mark.parametrize(("name", "make", "least"), GAPS, ids=NAMES)


def test_every_claim_has_a_name_a_source_and_a_test():
    assert [c.name for c in CLAIMS] == NAMES == [name for name, *_ in GAPS]
    assert {c.layout for c in CLAIMS} == set(LAYOUTS)
    sources = ("README", "log", "shapes")
    endings = (*(f"(Authors' {s}.)" for s in sources), "(Abstract.)", "(Derived.)")
    for c in CLAIMS:
        assert c.statement.endswith(endings)
        assert ("at least 0.1 %" in c.statement) == (c.least == 0.1)
    assert [c.name for c in CLAIMS if c.denies] == DENY
    assert (claim("7").least, claim("2").least) == (99, 50)
    assert LYM2019.tolerance == {"pp": 0.3, "%": 0.0}


@every_claim
def test_the_better_side_has_the_positive_margin(name, make, least):
    for offset in (0.0, -0.4, -5.0) + (() if name in ("6a", "7") else (5.0,)):
        got = count(name, *make(least + offset))
        assert got["worst_margin"] == pytest.approx(offset)
        assert (got["satisfied"], got["cells"]) == (int(offset >= 0), 1)
        assert got["verdict"] == ("holds" if offset >= 0 else "fails")


def test_cutting_once_costs_neither_more_nor_less():
    for gap in (-0.2, 0.2):
        got = count("6a", *once(gap))
        assert got["worst_margin"] == pytest.approx(-0.2)
        assert got["verdict"] == "fails"


def test_what_is_on_the_limit_is_less_by_something():
    for name in ("1a", "3", "4a", "4b", "6b"):
        assert count(name, *MAKE[name](0.0))["verdict"] == "fails"  # no cost is less than itself


@every_claim
def test_noise_is_two_standard_errors_of_the_difference(name, make, least):
    if name in ("6a", "7"):
        return
    spread = math.sqrt(3)  # of three differences: a standard error of 1
    for beyond, inside in ((1.99, True), (2.01, False)):
        middle = least - beyond
        got = count(name, *make(middle - spread, middle, middle + spread))
        assert got["worst_margin"] == pytest.approx(-beyond, abs=0.011)
        granted = inside and name in DENY
        assert (got["satisfied"], got["within_tolerance"]) == (0, int(granted))
        assert got["verdict"] == ("holds within noise" if granted else "fails")


def test_a_single_replicate_is_granted_something_by_score_and_nothing_by_cost():
    for gap, verdict in ((-0.3, "holds within noise"), (-0.31, "fails")):
        assert count("1b", *worse(gap))["verdict"] == verdict
    assert count("5", *gated(-0.01))["verdict"] == "fails"


def test_replicates_are_compared_with_themselves():
    """Scores scatter by 10 pp, each rises by 1 pp: that is no noise."""
    cells = [
        cell(score=score + level, level=level, seed=seed)
        for seed, score in enumerate((80, 90, 70))
        for level in (1, 2)
    ]
    got = count("1b", *cells)
    assert (got["worst_margin"], got["verdict"]) == (pytest.approx(-1), "fails")
    # Costs scatter as well, gating is 1 % dearer in each.
    lefts = ((seed, method, 50 + 10 * seed) for seed in (0, 1, 2) for method in ("", "_gating"))
    cells = [cell(c + bool(m), method=f"prunetrain{m}", seed=k) for k, m, c in lefts]
    assert count("5", *cells)["verdict"] == "fails"
    # A replicate without its other half is left out.
    assert count("5", *gated(1), cell(1, seed=1))["satisfied"] == 1


def test_ratios_are_compared_with_the_next_smaller_one_that_there_is():
    cells = [cell(left, level=level, score=score) for level, left, score in
             ((1, 70, 91), (3, 40, 90), (4, 45, 92))]  # fmt: skip
    table = LYM2019.margins_of(claim("1a"), found(*reversed(cells)))
    assert table[["level", "ratio"]].to_numpy().tolist() == [[3, 0.3], [4, 0.4]]
    assert table["value"].tolist() == pytest.approx([30, -5])
    assert LYM2019.margins_of(claim("1b"), found(*cells))["value"].tolist() == [1, -2]
    assert count("1a", *cells)["verdict"] == "fails"
    # Studies are not compared with each other.
    assert count("1a", cell(level=1), cell(level=2, study="t"))["verdict"] == "no cells"


def test_the_order_of_rows_does_not_matter():
    cells = [*resnet(), *classes(5.0, study="v"), *depth(0.1, study="t")]
    made = {name: rows[::-1] for name, rows in gathered(*cells).items()}
    turned = evidence(made.pop("prunetrain"), PUBLISHED, **made)
    pd.testing.assert_frame_equal(LYM2019.counts(turned), LYM2019.counts(found(*cells)))


def test_other_methods_do_not_speak_for_it():
    for name in ("1a", "1b", "2", "3", "4a"):
        make = MAKE[name]
        assert count(name, *make(60.0, method="prunetrain_proximal"))["verdict"] == "no cells"
        both = [*make(60.0), *make(-60.0, method="prunetrain_gating")]
        assert count(name, *both)["verdict"] == "holds"


def test_a_third_is_what_trains_after_a_third_of_the_training():
    """Of nine epochs, what is cut after the third counts, what is cut after the fourth does not."""
    at = {3: "holds", 4: "fails"}
    for last, verdict in at.items():
        course = (*last * (100,), *(9 - last) * (60,))
        assert count("2", cell(epochs=course))["verdict"] == verdict
    # Seven epochs, the last a part of one: a third is in the third epoch.
    ends = (1, 2, 3, 4, 5, 6, 6.5)
    for last, verdict in ((2, "holds"), (3, "fails")):
        course = (*last * (100,), *(7 - last) * (60,))
        assert count("2", cell(epochs=course, ends=ends))["verdict"] == verdict


def test_of_no_saving_there_is_no_share():
    assert count("2", cell(100))["verdict"] == "no cells"
    assert count("3", cell(100))["verdict"] == "fails"
    # What is cut after the last epoch saves inference alone.
    assert count("3", cell(99))["verdict"] == "holds"
    # The share is that of the mean, which replicates that save nothing do not blow up.
    saving = cell(epochs=(100, 60, 20))
    both = count("2", saving, cell(seed=1))
    assert both["worst_margin"] == count("2", saving)["worst_margin"] == 0


def test_training_costs_what_each_epoch_trained():
    table = found(cell(epochs=(100, 100, 50, 40), ends=(1, 2, 3, 3.5))).trainings
    assert table["training"].item() == pytest.approx((100 + 100 + 50 + 0.5 * 40) / 3.5)
    assert table[["inference", "step"]].to_numpy().tolist() == [[50, 50]]


def test_only_vggs_have_late_layers():
    other = depth(-60.0)
    for rows in other[0].values():
        for row in rows:
            row["network"] = "resnet32"
    for cells in (other, [cell()]):
        assert count("4a", *cells)["verdict"] == count("4b", *cells)["verdict"] == "no cells"
    assert count("4a", *other, *depth(60.0, study="t"))["verdict"] == "holds"
    # The first convolution and the classifier belong to neither.
    table = found(*depth(30.0)).trainings
    assert table[["middle", "late"]].to_numpy().tolist() == [[50, 20]]


def test_data_sets_are_compared_of_the_same_network_and_ratio():
    assert count("4b", *classes(5.0))["cells"] == 1
    ten, hundred = classes(5.0)
    assert count("4b", ten)["verdict"] == count("4b", hundred)["verdict"] == "no cells"
    for changed in ({"network": "vgg11"}, {"level": 2}):
        cells = [classes(5.0)[0], classes(5.0, **changed)[1]]
        assert count("4b", *cells)["verdict"] == "no cells"
    page = LYM2019.margins_of(claim("4b"), found(*classes(5.0)))
    assert page[["study", "dataset"]].to_numpy().tolist() == [["s", "cifar10"]]


def test_methods_are_compared_at_the_same_ratio():
    union, gating = gated(5.0)
    assert count("5", union)["verdict"] == count("5", gating)["verdict"] == "no cells"
    assert count("5", gated(5.0)[0], gated(5.0, level=2)[1])["verdict"] == "no cells"
    assert count("6b", *once(0.0))["verdict"] == "no cells"
    assert count("6a", *once(0.0))["verdict"] == "holds"
    assert count("6b", cell(), *once(0.0, level=2))["verdict"] == "no cells"
    assert count("6a", cell())["verdict"] == "no cells"


def settled(*records, **of):
    of = {"method": "prunetrain_one_time"} | of
    return count("7", cell(records=records, **of))


def test_channels_that_come_back_do_not_stay():
    below, above = (0.5,), (2.0,)
    assert settled(below, below, below)["verdict"] == "holds"
    assert settled(above, below, below)["verdict"] == "holds"
    for records in ((below, above, above), (below, above, below), (above, below, above)):
        got = settled(*records)
        assert (got["worst_margin"], got["verdict"]) == (-99, "fails")
    # At the threshold a channel is not below it.
    assert settled(below, (1.0,))["verdict"] == "fails"
    # Of what is first below at the last record, nothing is known.
    assert settled(above, above, below)["verdict"] == settled(above)["verdict"] == "no cells"
    assert settled(below)["verdict"] == "no cells"


def test_channels_are_those_of_all_replicates():
    """198 of 200, though one replicate alone has 98 of 100."""
    whole = [100 * (0.5,), 100 * (0.5,)]
    some = [100 * (0.5,), (*2 * (2.0,), *98 * (0.5,))]
    cells = [
        cell(records=r, seed=k, method="train_then_prune") for k, r in enumerate((some, whole))
    ]
    assert count("7", *cells)["worst_margin"] == 0
    assert count("7", cells[0])["worst_margin"] == -1


def test_beyond_the_bound_and_with_cuts_nothing_is_said_of_channels():
    back = ((0.5,), (2.0,))
    assert settled(*back)["verdict"] == "fails"
    for rate in (1.0, 2.0, math.nan):
        assert settled(*back, rate=rate)["verdict"] == "no cells"
    assert settled(*back, method="prunetrain")["verdict"] == "no cells"
    made = cell(records=back, method="prunetrain_one_time")
    made["prunetrain_epochs"][0]["rate_times_strength"] = 5.0  # in one epoch alone
    assert count("7", made)["verdict"] == "no cells"
    assert count("7", made, cell(records=2 * [(0.5,)], seed=1, method="prunetrain_one_time"))[
        "satisfied"
    ] == 1  # fmt: skip


def test_without_sizes_of_channels_the_rest_is_counted():
    got = found(*cheaper(5.0), channels=False, as_it_is=False)
    counted = LYM2019.counts(got).set_index("claim")["verdict"]
    assert (counted["7"], counted["1a"]) == ("no cells", "holds")
    pd.testing.assert_frame_equal(
        got.trainings, found(*cheaper(5.0), as_it_is=False).trainings, check_dtype=False
    )


@every_claim
def test_cells_of_several_studies_are_counted_together(name, make, least):
    # Claim 4b compares all studies of a network with each other, so these have their own.
    own = [{"network": f"vgg{k}"} if name == "4b" else {} for k in range(5)]
    cells = [c for k in range(4) for c in make(least, study=f"good{k}", **own[k])]
    assert count(name, *cells)["verdict"] == "holds"
    got = count(name, *cells, *make(least - 2, study="bad", **own[4]))
    assert (got["satisfied"], got["cells"], got["verdict"]) == (4, 5, "mostly")


def test_what_nothing_shrank_is_refused(tmp_path):
    with pytest.raises(PruningError, match="a `prunetrain` section"):
        found(dense())
    with pytest.raises(PruningError, match="does not exist"):
        found(cell(), resources=tmp_path)


def test_another_score_is_not_judged_in_points_of_accuracy(monkeypatch):
    for metric in ("bleu", "perplexity"):
        monkeypatch.setenv("PRUNING_METRICS", told(metric))
        made = {name: restated(rows, metric) for name, rows in gathered(*worse(5.0)).items()}
        got = evidence(made.pop("prunetrain"), PUBLISHED, **made)
        worst = LAYOUTS["scores"](got)
        assert worst["worse"].dropna().item() > 0  # the better score has the larger value
        verdicts = LYM2019.counts(got).set_index("claim")["verdict"]
        assert (verdicts["1b"], verdicts["3"]) == ("no cells", "one replicate")
        assert "accuracies in percent;" not in LYM2019.appendix(LYM2019, got).replace(
            "published ones are accuracies in percent;", ""
        )


# ----- what was published satisfies what is said to be from it


def from_log(ratio):
    rows = intervals_for(SOURCE, "resnet50", "imagenet", PUBLISHED)
    return rows[rows["ratio"] == ratio]["training_macs"].repeat(10).tolist()


def test_the_authors_log_satisfies_what_is_from_it():
    rows = published(SOURCE, PUBLISHED)
    rows = rows[rows["trust"] == "authors' log"].sort_values("ratio")
    cells = [
        cell(row["inference_macs"], from_log(row["ratio"]), level=level, score=row["accuracy"])
        for level, row in enumerate(rows.to_dict("records"), 1)
    ]
    got = found(*cells, as_it_is=False)
    counted = LYM2019.counts(got).set_index("claim")
    for name in ("1a", "1b", "2", "3"):
        assert counted["verdict"][name] == "holds"
        assert "log" in claim(name).statement or name == "3"
    assert counted["cells"][["1a", "1b", "2", "3"]].tolist() == [2, 2, 3, 3]
    shares = LYM2019.margins_of(claim("2"), got)["value"]
    assert shares.tolist() == pytest.approx([80.4, 88.4, 95.1], abs=0.05)
    # The same share stands beside a study's.
    theirs = got.published[got.published["trust"] == "authors' log"].sort_values("ratio")
    assert theirs["early_share"].tolist() == pytest.approx(shares.tolist())
    others = got.published[got.published["trust"] != "authors' log"]
    assert others["early_share"].isna().all()


def test_the_authors_readme_satisfies_what_is_from_it():
    rows = published(SOURCE, PUBLISHED)
    rows = rows[(rows["trust"] == "authors' README") & (rows["variant"] == "unmodified")]
    cells = [
        cell(row["inference_macs"], 3 * (row["training_macs"],), study=f"s{k}")
        for k, row in enumerate(rows.to_dict("records"))
    ]
    got = count("3", *cells)
    assert (got["cells"], got["verdict"]) == (6, "holds")


def test_the_authors_shapes_satisfy_what_is_from_them():
    rows = published(SOURCE, PUBLISHED)
    rows = rows[rows["channels"] != ""]
    cells = []
    for row in rows.to_dict("records"):
        depth = int(row["network"].removeprefix("vgg"))
        before = [width for width in VGG_LAYERS[depth] if width != POOL]
        after = map(int, row["channels"].split("-"))
        level = RATIOS.index(row["ratio"]) + 1
        widths = list(zip(before, after, strict=True))
        of = {name: row[name] for name in ("network", "dataset")}
        study = f"{row['network']}_{row['dataset']}"
        cells.append(cell(convolutions=widths, level=level, study=study, **of))
    counted = LYM2019.counts(found(*cells, as_it_is=False)).set_index("claim")
    assert counted.loc[["4a", "4b"], "verdict"].tolist() == ["holds", "holds"]
    assert counted.loc[["4a", "4b"], "cells"].tolist() == [7, 1]


# ----- the page


OF = {"network": "resnet32", "dataset": "cifar10"}


def resnet():
    """Two replicates of a ResNet-32 at two ratios, fine-tuned at the larger one."""
    cells = [dense(92.0, 0, **OF), dense(92.4, 1, **OF)]
    for seed in (0, 1):
        more = OF | {"seed": seed}
        cells += [
            cell(60 + seed, (100, 80, 70), score=91.8, level=1, **more),
            cell(40, (100, 60, 50), score=91.9 + seed / 5, tuned=92.1, level=2, **more),
            cell(45, (100, 60, 50), method="prunetrain_gating", level=2, **more),
            cell(45, method="prunetrain_one_time", level=2,
                 records=[(0.5, 0.5), (0.5, 2.0)], **more),
        ]  # fmt: skip
    return cells


def page_of(tmp_path, *cells, **more):
    path = tmp_path / "page.md"
    write_claims(LYM2019, found(*cells, **more), "T", csv=tmp_path / "t.csv", page=path)
    return path.read_text()


def test_the_page(tmp_path):
    text = page_of(tmp_path, *resnet())
    counted = read_table(tmp_path / "t.csv", COLUMNS)
    assert counted.set_index("claim")["verdict"].to_dict() == {
        "1a": "holds",
        "1b": "holds within noise",
        "2": "holds",
        "3": "holds",
        "4a": "no cells",
        "4b": "no cells",
        "5": "fails",
        "6a": "holds",
        "6b": "holds",
        "7": "fails",
    }
    start, end, untested = claims_page(LYM2019, counted, "T").partition("\nWithout cells")
    assert text.startswith(start)
    assert text.endswith(end + untested)
    assert "{" not in text
    reading = text.partition("## How to read this")[2]
    for word in ("README*", "log*", "shapes*", "*Abstract*", "*Derived*", "could not be read",
                 "0.1 %", "0.3 pp", "80 %", "not judged"):  # fmt: skip
        assert word in reading
    against = text.partition("## Cells")[2].partition("## Published")[0]
    assert [line for line in against.splitlines() if "| s |" in line] == [
        "| 5 | s | ratio 0.2 (-5.00 %) |",
        "| 7 | s | prunetrain_one_time at ratio 0.2 (-49.00 %) |",
    ]
    at = "resnet32, cifar10"
    assert [line for line in text.splitlines() if line.startswith(f"| {at}")] == [
        f"| {at} | authors' README | - | 34.0 | - | 47.0 | - | 91.80 | - | - |",
        f"| {at} | s | dense | - | - | - | - | 92.20 ± 0.28 | - | 2 |",
        f"| {at} | s | 0.1 | 60.5 ± 0.7 | 60.5 ± 0.7 | 83.3 ± 0.0 | 66.7 | 91.80 ± 0.00 | - | 2 |",
        f"| {at} | s | 0.2 | 40.0 ± 0.0 | 40.0 ± 0.0 | 70.0 ± 0.0 | 80.0 | 92.00 ± 0.14 "
        "| 92.10 ± 0.00 | 2 |",
    ]
    assert "Nothing was published" not in text
    assert [line for line in text.partition("## Seconds")[2].splitlines() if "| s |" in line] == [
        "| s | prunetrain | 0.1 | 1.00 | 0.70 | 0.70 | 0.70 |",
        "| s | prunetrain | 0.2 | 1.00 | 0.50 | 0.50 | 0.50 |",
        "| s | prunetrain_one_time | 0.2 | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| s | prunetrain_gating | 0.2 | 1.00 | 0.50 | 0.50 | 0.50 |",
    ]


def test_seconds_are_not_judged(tmp_path):
    slower = resnet()
    for made in slower:
        for row in made.get("prunetrain_seconds", ()):
            row["seconds"] *= row["epoch"] ** 3
    fast, slow = page_of(tmp_path, *resnet()), page_of(tmp_path, *slower)
    assert fast.partition("## Seconds")[0] == slow.partition("## Seconds")[0]
    assert "| 0.2 | 1.00 | 13.50 | 13.50 | 0.50 |" in slow


def test_what_was_published_of_fine_tuned_networks_stands_in_their_lines(tmp_path):
    page = page_of(tmp_path, cell(network="resnet50", dataset="imagenet"))
    lines = [line for line in page.splitlines() if "| authors' " in line]
    at = "| resnet50, imagenet | authors'"
    assert lines == [
        f"{at} README | - | 47.0 | - | 63.0 | - | 74.40 | 74.60 | - |",
        f"{at} README | - | 57.0 | - | 71.0 | - | 74.70 | 75.20 | - |",
        f"{at} log | 0.1 | 84.5 | - | 89.4 | 80.4 | 75.81 | - | - |",
        f"{at} log | 0.2 | 57.9 | - | 69.2 | 88.4 | 74.70 | - | - |",
        f"{at} log | 0.3 | 30.7 | - | 45.0 | 95.1 | 72.48 | - | - |",
    ]
    assert "| vgg11, cifar10 | computed from authors' shapes | 0.2 | 39.3 | 35.2 |" in page_of(
        tmp_path, cell(network="vgg11", dataset="cifar10")
    )


def test_what_was_not_published_is_said(tmp_path):
    page = page_of(tmp_path, cell(network="resnet32", dataset="digits"))
    assert "Nothing was published of resnet32, digits." in page
    assert "| resnet32, digits | s | dense | - | - | - | - | - | - | 0 |" in page
    assert "| 0.1 | 50.0 | 50.0 | 100.0 | - | 90.00 | - | 1 |" in page
    alone = page_of(tmp_path, *once(0.0))
    assert f"\n{'| - ' * 10}|" in alone
    assert "| s | prunetrain_one_time | 0.1 |" in alone


# ----- in the workflow


def test_the_stage_takes_tables_from_disk(tmp_path):
    beside = {}
    for name, rows in gathered(*resnet()).items():
        beside[name] = tmp_path / f"{name}.csv"
        rows.to_csv(beside[name], index=False)
    first = beside.pop("prunetrain")
    csv, page = tmp_path / "claims.csv", tmp_path / "claims.md"
    told = {
        "claims": PAGES["prunetrain_claims"].claims,
        "title": "ResNet-32",
        "options": {},
        "resources": PUBLISHED,
        "csv": csv,
        "page": page,
    }
    claims_stage(first, beside=beside, **told)
    fresh = LYM2019.counts(found(*resnet()))
    pd.testing.assert_frame_equal(read_table(csv, COLUMNS), fresh, check_dtype=False)
    assert "| authors' README |" in page.read_text()
    pd.read_csv(beside["prunetrain_layers"]).drop(columns="inputs").to_csv(
        beside["prunetrain_layers"], index=False
    )
    with pytest.raises(PruningError, match="lacks the columns inputs"):
        claims_stage(first, beside=beside, **told)


def test_which_tables_there_are_depends_on_the_methods(tmp_path):
    page = PAGES["prunetrain_claims"]
    digits = REPOSITORY / "config" / "studies" / "digits.yaml"
    study = load_study(digits, SCHEMAS / "study.schema.yaml")
    assert page.needs(study)
    assert set(page.beside(study)) == set(SHAPE) - {"prunetrain"}
    text = digits.read_text()
    for old, new in (
        (
            "methods: [prunetrain, prunetrain_one_time, prunetrain_gating, train_then_prune]",
            "methods: [prunetrain, prunetrain_gating]",
        ),
        (
            "ratios_by_method: {prunetrain_one_time: [0.3], prunetrain_gating: [0.3]}",
            "fine_tuned: [prunetrain]",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "cutting.yaml"
    path.write_text(text)
    cutting = load_study(path, SCHEMAS / "study.schema.yaml")
    assert set(page.beside(cutting)) == set(SHAPE) - {"prunetrain", "prunetrain_channels"}
    assert all((PUBLISHED / name).exists() for name in page.published)


@pytest.mark.parametrize("name", MAKE)
def test_every_layout_knows_its_replicates(name):
    for seeds in (1, 2, 3):
        got = LYM2019.count(claim(name), found(*MAKE[name](*seeds * (20.0,))))
        assert got["replicates"] == got["most_replicates"] == seeds
        assert (got["verdict"] == "one replicate") == (seeds == 1)
