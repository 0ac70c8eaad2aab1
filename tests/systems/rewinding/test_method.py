"""The five re-training methods by their exact degeneracies (reference, section 2)."""

import pytest
import torch
from torch import nn

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.masks.weights import prune
from pruning.scores import ScoreContext
from pruning.scores.random import random
from pruning.systems.rewinding.method import retrain, starting_state
from pruning.systems.rewinding.rules import RULES, Rule, rule
from pruning.training.dense import train_dense
from tests.conftest import assert_same_state

LATE, EARLY = 0.5, 3.5  # retrain times after the last rate drop (at epoch 3 of 4) and before


@pytest.fixture
def setting(make_task):
    """A task, its dense training and masks at density 0.3."""
    task = make_task("small_cnn", epochs=4, milestones=(2, 3))
    dense = train_dense(task, 0, (LATE, EARLY, 4.0))
    return task, dense, prune(task, dense.final, 0.3)


def run(setting, method, time, **options):
    task, dense, masks = setting
    return retrain(
        task,
        rule(method),
        masks=options.pop("masks", masks),
        retrain_time=time,
        final=options.pop("final", dense.final),
        rewind=dense.rewind[time],
        data_order=options.pop("data_order", "rewound"),
        **options,
    )


def same_numbers(a, b, step=True):
    for group in ("weights", "buffers", "slots"):
        assert getattr(a, group).keys() == getattr(b, group).keys()
        for name, tensor in getattr(a, group).items():
            assert torch.equal(tensor, getattr(b, group)[name]), f"{group} {name}"
    assert not step or a.step == b.step


def test_after_the_last_drop_lr_rewinding_is_fine_tuning(setting):
    same_numbers(
        run(setting, "lr_rewind", LATE).state, run(setting, "fine_tune", LATE).state, step=False
    )


def test_after_the_last_drop_weight_rewinding_is_low_lr_weight_rewinding(setting):
    assert_same_state(
        run(setting, "weight_rewind", LATE).state, run(setting, "low_lr_weight_rewind", LATE).state
    )


def test_before_the_drop_they_differ(setting):
    for a, b in (("lr_rewind", "fine_tune"), ("weight_rewind", "low_lr_weight_rewind")):
        first, second = run(setting, a, EARLY).state, run(setting, b, EARLY).state
        assert not torch.equal(first.weights["fc1.weight"], second.weights["fc1.weight"])


@pytest.mark.parametrize("time", [LATE, EARLY, 4.0])
def test_weight_rewinding_without_pruning_repeats_the_dense_training(setting, time):
    task, dense, _ = setting
    everything = prune(task, dense.final, 1.0)
    same_numbers(run(setting, "weight_rewind", time, masks=everything).state, dense.final)


def test_steps_and_lengths(setting):
    task, dense, _ = setting
    total, spe = task.timeline.total_steps, task.timeline.steps_per_epoch
    k = int(total - spe * EARLY.as_integer_ratio()[0] / EARLY.as_integer_ratio()[1])
    assert task.timeline.rewind_step(EARLY) == k
    assert dense.rewind[EARLY].step == k
    assert dense.rewind[4.0].step == 0
    ends = {m: run(setting, m, EARLY) for m in RULES}
    assert ends["lr_rewind"].state.step == ends["weight_rewind"].state.step == total
    assert ends["low_lr_weight_rewind"].state.step == total
    assert ends["fine_tune"].state.step == total + (total - k)  # counts on
    assert ends["reinit"].state.step == total + (total - k)  # T + t from scratch
    assert {m: e.steps for m, e in ends.items()} == {
        "lr_rewind": total - k,
        "weight_rewind": total - k,
        "low_lr_weight_rewind": total - k,
        "fine_tune": total - k,
        "reinit": 2 * total - k,
    }


def test_learning_rates(setting):
    rates = {m: [row["learning_rate"] for row in run(setting, m, EARLY).metrics] for m in RULES}
    assert rates["lr_rewind"] == rates["weight_rewind"]
    assert rates["lr_rewind"] == pytest.approx([0.1, 0.01, 0.001, 0.001])
    assert rates["fine_tune"] == rates["low_lr_weight_rewind"] == pytest.approx([0.001] * 4)
    assert rates["reinit"] == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001, 0.001, 0.001, 0.001])


def test_every_part_of_every_starting_state_comes_from_where_the_table_says(setting):
    task, dense, masks = setting
    sources = {
        "final": dense.final,
        "rewind": dense.rewind[EARLY],
        "fresh": task.initial_state(0, "other"),
    }
    k = sources["rewind"].step
    for method, row in RULES.items():
        state = starting_state(row, masks, k, sources)
        for part in ("weights", "buffers", "slots"):
            expected = getattr(sources[getattr(row, part)].masked(masks), part)
            got = getattr(state, part)
            assert got.keys() == expected.keys(), (method, part)
            assert all(torch.equal(got[n], expected[n]) for n in got), (method, part)
        assert state.step == {"final": dense.final.step, "rewind": k, "fresh": 0}[row.step]
    momentum = starting_state(RULES["lr_rewind"], masks, k, sources).slots
    assert any(t.abs().sum() > 0 for t in momentum.values())  # restored, not reset


def test_the_table_is_that_of_the_reference():
    assert {m: tuple(r.to_dict().values()) for m, r in RULES.items()} == {
        "weight_rewind": ("rewind", "rewind", "rewind", "rewind", "schedule"),
        "lr_rewind": ("final", "final", "final", "rewind", "schedule"),
        "fine_tune": ("final", "final", "final", "final", "last"),
        "low_lr_weight_rewind": ("rewind", "rewind", "rewind", "rewind", "last"),
        "reinit": ("fresh", "fresh", "fresh", "fresh", "schedule"),
    }
    assert [m for m, r in RULES.items() if r.needs_rewind_state] == [
        "weight_rewind",
        "low_lr_weight_rewind",
    ]


def test_iterative_weight_rewinding_returns_to_the_same_dense_state(setting):
    task, dense, masks = setting
    first = run(setting, "weight_rewind", EARLY).state
    narrower = prune(task, first, 0.1)
    state = starting_state(
        RULES["weight_rewind"],
        narrower,
        dense.rewind[EARLY].step,
        {"final": first, "rewind": dense.rewind[EARLY]},
    )
    for name, mask in narrower.items():
        original = dense.rewind[EARLY].weights[name]
        assert torch.equal(state.weights[name][mask], original[mask])
        assert not (mask & ~masks[name]).any()


def test_pruned_weights_stay_pruned_through_every_method(setting):
    _, _, masks = setting
    for method in RULES:
        state = run(setting, method, EARLY).state
        for name, mask in masks.items():
            assert state.weights[name][~mask].abs().sum() == 0, method


def test_fresh_data_order_tells_runs_apart_and_repeats(setting):
    a = run(setting, "lr_rewind", LATE, data_order="fresh", stream=("a",)).state
    b = run(setting, "lr_rewind", LATE, data_order="fresh", stream=("b",)).state
    assert not torch.equal(a.weights["fc1.weight"], b.weights["fc1.weight"])
    assert_same_state(a, run(setting, "lr_rewind", LATE, data_order="fresh", stream=("a",)).state)


def test_reinitialized_weights_are_new_and_learn(setting):
    task, _, _ = setting
    state = task.initial_state(0, "retrain")
    assert not torch.equal(
        state.weights["fc1.weight"], task.initial_state(0, "dense").weights["fc1.weight"]
    )
    assert run(setting, "reinit", LATE).metrics[-1]["test_accuracy"] > 0.5


def test_one_shot_magnitude_cuts_the_smallest_of_all_layers(setting):
    _, dense, masks = setting
    kept = torch.cat([dense.final.weights[n][m].abs() for n, m in masks.items()])
    cut = torch.cat([dense.final.weights[n][~m].abs() for n, m in masks.items()])
    assert kept.min() >= cut.max()


def test_random_scores_repeat_by_purpose_and_differ_between_levels():
    model = nn.ParameterDict({"a": torch.zeros(50), "b": torch.zeros(50)})
    masks = masking.dense(model, ["a", "b"])
    context = ScoreContext(model, masks, None, purpose=("one_shot", 1))
    first = random(context)
    assert torch.equal(first["a"], random(context)["a"])
    assert not torch.equal(first["a"], first["b"])
    other = random(ScoreContext(model, masks, None, purpose=("one_shot", 2)))
    assert not torch.equal(first["a"], other["a"])


def test_mistakes_are_named(setting):
    task, dense, masks = setting
    with pytest.raises(PruningError, match="Did you mean 'lr_rewind'"):
        rule("lr_rewinding")
    with pytest.raises(PruningError, match=r"outside \(0, 4\]"):
        train_dense(task, 0, (4.5,))
    with pytest.raises(PruningError, match="needs the rewind state"):
        retrain(task, rule("weight_rewind"), masks=masks, retrain_time=1, final=dense.final)
    with pytest.raises(PruningError, match=r"of step 0, but.*asks for step"):
        retrain(
            task,
            rule("weight_rewind"),
            masks=masks,
            retrain_time=1,
            final=dense.final,
            rewind=dense.rewind[4.0],
        )
    with pytest.raises(PruningError, match="does not fit this network"):
        dense.final.masked({"fc1.weight": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(PruningError, match="Unknown score 'magnitud'"):
        prune(task, dense.final, 0.5, score="magnitud")


def test_a_new_rule_is_a_new_row(setting):
    """Final weights with the rewind state's momentum and batch norm: not among the five."""
    task, dense, masks = setting
    row = Rule("final", "rewind", "rewind", "rewind", "schedule")
    trained = retrain(
        task, row, masks=masks, retrain_time=LATE, final=dense.final, rewind=dense.rewind[LATE]
    )
    assert trained.state.step == task.timeline.total_steps
