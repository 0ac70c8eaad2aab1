"""Pages of claims: verdicts first, numbers of replicates, limits finer than one test image."""

import dataclasses

import pandas as pd
import pytest

from pruning.analysis.claims import COLUMNS, COUNT, Claim, ClaimSet
from pruning.analysis.claims_page import claims_page, finer_limits, misses_of, write_claims
from pruning.analysis.score import Step, steps
from pruning.analysis.tidy import read_table, write_table
from pruning.errors import PruningError
from pruning.files import write_json
from pruning.stages.claims import claims as claims_stage
from tests.conftest import REPOSITORY

# claim: gaps of its cells, the replicates of each, the limit, whether it only describes
CELLS = {
    "1a": ((1.0, 2.0), (3, 3), 0.0, False),
    "1b": ((1.0, -0.2), (3, 2), 0.0, False),
    "2a": ((1.0, -0.84, -0.3), (3, 3, 3), 0.0, False),
    "2b": ((9.0, 9.0), (3, 1), 0.0, False),
    "2c": ((-9.0,), (1,), 0.0, False),
    "3a": ((1.0, -1.0), (3, 3), 0.0, True),
    "3b": ((0.05,), (3,), 0.1, False),
    "4a": ((), (), 0.0, False),
    "4b": ((), (), 0.0, False),
}


def layout(name):
    gaps, counts, _, _ = CELLS[name]
    return pd.DataFrame(
        {"study": "s", "dataset": "d", "unit": "pp", "gap": gaps, f"gap{COUNT}": counts}
    )


def claim_set(**more):
    made = tuple(
        Claim(name, f"Statement {name}.", name, "gap", least=least, unit="pp", descriptive=told)
        for name, (_, _, least, told) in CELLS.items()
    )
    layouts = {name: lambda _, name=name: layout(name) for name in CELLS}
    return ClaimSet(
        made, lambda *_, **__: None, layouts, ("study", "dataset"), {"pp": 0.25}, "Read.", **more
    )


def test_one_replicate_neither_holds_nor_fails():
    counted = claim_set().counts(None).set_index("claim")
    assert counted["verdict"].to_dict() == {
        "1a": "holds",
        "1b": "holds within noise",
        "2a": "fails",
        "2b": "one replicate",
        "2c": "one replicate",
        "3a": "describes",
        "3b": "holds within noise",
        "4a": "no cells",
        "4b": "no cells",
    }
    numbers = counted[["replicates", "most_replicates"]].dropna().astype(int)
    assert list(numbers.loc["1b"]) == [2, 3]
    assert list(numbers.loc["2b"]) == [1, 3]
    assert list(numbers.loc["2c"]) == [1, 1]
    assert "4a" not in numbers.index


def test_a_page_begins_with_its_verdicts_and_ends_with_what_has_no_cells(tmp_path):
    csv, page = tmp_path / "c.csv", tmp_path / "c.md"
    more = "\n## More\n"
    write_claims(
        claim_set(appendix=lambda *_: more), None, "Net", csv=csv, page=page,
        steps={"s": Step(356, 100 / 356, "pp")},
    )  # fmt: skip
    lines = page.read_text().splitlines()
    assert lines[:10] == [
        "# Net",
        "",
        "**Of 9 claims, 1 holds, 2 hold within noise, 1 fails, 1 only describes "
        "and 4 could not be judged.**",
        "",
        "- Holds: 1a",
        "- Holds within noise: 1b (by 0.20 pp, in 1 of 2 cells), 3b (by 0.05 pp, in its only cell)",
        "- Fails: 2a (by up to 0.84 pp, in 2 of 3 cells)",
        "- Describes, a share of cells and no verdict: 3a (1 of 2)",
        "- Not judged, one replicate: 2b, 2c",
        "- Not judged, no cells: 2, named at the end of this page",
    ]
    assert lines[-1] == "Without cells here: 4a, 4b."
    assert lines.index("## More") < len(lines) - 1
    table = [line for line in lines if line.startswith("| ")]
    assert table[2] == "| 1b | Statement 1b. | 1 of 2 | -0.20 pp | n=2-3 | holds within noise |"
    assert len(table) == 1 + 7
    told = read_table(csv, COLUMNS)
    assert list(told["claim"]) == list(CELLS)  # those without cells too
    assert list(told.loc[told["claim"] == "2b", "replicates"]) == [1]


def test_limits_finer_than_one_test_image_are_said_to_be_so():
    claims, step = claim_set(), Step(356, 100 / 356, "pp")
    (sentence,) = finer_limits(claims, None, {"s": step})
    assert sentence.startswith("One of 356 test images is 0.28 pp in a replicate of s: finer ")
    assert "1a (0.25 pp)" in sentence  # the tolerance
    assert "3b (0.1 and 0.25 pp)" in sentence  # and a limit of its own
    assert sentence.endswith("by less than that 1b, 3b miss.")
    assert "4a" not in sentence  # no cells, nothing to say
    assert finer_limits(claims, None, {"s": Step(100_000, 0.001, "pp")}) == []
    assert finer_limits(claims, None, {"s": Step(356, 0.28, "BLEU")}) == []
    assert finer_limits(claims, None, {"other": step}) == []
    assert finer_limits(claims, None, {}) == []


def test_a_step_is_known_of_accuracy_alone():
    tidy = pd.DataFrame({"study": ["a", "b", "c"], "metric": ["accuracy", "bleu", "accuracy"]})
    found = steps(tidy, {"a": 356, "b": 356})
    assert set(found) == {"a"}
    assert found["a"].size == pytest.approx(0.2809, abs=1e-4)
    assert found["a"].unit == "pp"


def test_a_layout_that_says_nothing_of_replicates_is_refused():
    made = claim_set()
    bare = {name: lambda _, name=name: layout(name).drop(columns=f"gap{COUNT}") for name in CELLS}
    with pytest.raises(PruningError, match="layout 1a of claim 1a does not say how many repl"):
        ClaimSet(made.claims, made.evidence, bare, made.cell, made.tolerance, made.reading).counts(
            None
        )


def test_of_two_sides_the_one_with_fewer_replicates_counts():
    rows = layout("1a").assign(other=0.0, **{f"other{COUNT}": [1, 2]})
    claim = Claim("1", "Better.", "all", "gap", "other", unit="pp")
    made = claim_set()
    two = ClaimSet(
        (claim,), made.evidence, {"all": lambda _: rows}, made.cell, made.tolerance, made.reading
    )
    (counted,) = two.counts(None).to_dict("records")
    assert (counted["replicates"], counted["most_replicates"]) == (1, 2)
    assert counted["verdict"] == "one replicate"
    whole = rows.assign(replicates=[4, 5])  # of the row, whatever its sides have
    one = dataclasses.replace(two, layouts={"all": lambda _: whole})
    assert one.counts(None)["replicates"].tolist() == [4]


def test_cells_of_one_replicate_do_not_speak_against_a_claim():
    lines = misses_of(claim_set(), None, lambda row: f"{row['value']:g}")
    assert [line for line in lines if "| s |" in line] == [
        "| 2a | s | -0.84 (-0.84 pp), -0.3 (-0.30 pp) |"
    ]


def test_without_a_cell_there_is_no_table():
    made = claim_set()
    counted = made.counts(None)
    page = claims_page(made, counted[counted["claim"].isin(["4a", "4b"])], "Net")
    assert "**Of 2 claims, none holds, none fails and 2 could not be judged.**" in page
    assert "| claim |" not in page


def test_the_stage_takes_the_number_of_test_images_from_a_summary(tmp_path):
    rows = [
        {"study": "s", "network": "net", "dataset": "digits", "seed": seed, "method": method,
         "variant": variant, "level": level, "density": density, "pruned_at": at,
         "training_time": 9, "split": "test", "metric": "accuracy", "value": value}
        for seed in (0, 1)
        for method, variant, level, density, at, value in (
            ("dense", "", 0, 1.0, None, 0.9), ("gsm", "unmodified", 1, 0.1, None, 0.9),
            ("magnitude_without_retraining", "unmodified", 1, 0.1, None, 0.5),
        )
    ]  # fmt: skip
    from pruning.analysis.tidy import COLUMNS as TIDY

    table, summary = tmp_path / "gsm.csv", tmp_path / "summary.json"
    write_table(pd.DataFrame(rows, columns=list(TIDY)), table)
    told = {
        "network": "net", "data": {"dataset": "digits", "images": {"test": 356}}, "seed": 0,
        "training_time": 9, "macs": 1, "training_steps": 1, "training_macs": 1,
        "scores": {"test": {"accuracy": 0.9}},
    }  # fmt: skip

    def page(summaries):
        claims_stage(
            table, claims="pruning.systems.gsm.evidence:GSM2019", title="T", options={},
            summaries=summaries, resources=REPOSITORY / "resources" / "published",
            csv=tmp_path / "c.csv", page=tmp_path / "c.md",
        )  # fmt: skip
        return (tmp_path / "c.md").read_text()

    write_json(summary, told)
    assert "One of 356 test images is 0.28 pp in a replicate of s: finer" in page({"s": summary})
    assert "test images is" not in page(None)  # nobody says how many there are
    write_json(summary, told | {"data": {"dataset": "digits"}})
    assert "test images is" not in page({"s": summary})
