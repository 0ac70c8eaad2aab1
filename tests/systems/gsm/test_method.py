"""Global sparse momentum SGD: the optimizer, exactly (reference, section 9, assertions 1 to 7)."""

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import pruning
from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.models.resnet import resnet8
from pruning.study.study import load_study
from pruning.systems.gsm.method import GSM
from pruning.systems.gsm.training import shrinkage, train_gsm
from pruning.systems.gsm.zeroing import (
    EDGES,
    Zeroing,
    histogram,
    keep_largest,
    sensitivity,
    share_below,
)
from pruning.training import optimizers
from pruning.training.checkpoint import load_state, save_state
from pruning.training.evaluate import evaluate_splits
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.resume import ResumeFile
from pruning.training.state import load_into
from tests.conftest import REPOSITORY, SCHEMAS, assert_same_state
from tests.test_callback import Killed, Killing

SETTINGS = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}


def network(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(180, 7)]
    return nn.Sequential(*layers)


def backward(module, step):
    source = torch.Generator().manual_seed(step)
    images = torch.randn(16, 3, 8, 8, generator=source)
    labels = torch.randint(7, (16,), generator=source)
    module.zero_grad()
    loss = nn.functional.cross_entropy(module(images), labels)
    loss.backward()
    return loss


def kernels(module):
    return [p for p in module.parameters() if p.dim() > 1]


# The update.


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("how", [{}, {"foreach": True}, {"foreach": False}, {"fused": True}])
def test_density_one_is_sgd_bit_for_bit(how, nesterov):
    first, second = network(), network()
    settings = SETTINGS | how | {"nesterov": nesterov}
    sgd = torch.optim.SGD(first.parameters(), **settings)
    gsm = GSM(second.parameters(), **settings)
    for step in range(5):
        for module, optimizer in ((first, sgd), (second, gsm)):
            backward(module, step)
            optimizer.step()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_step_is_the_papers_equations():
    """Z <- beta Z + eta W + B o g, W <- W - alpha Z, with B from |g W| alone, in every step."""
    module, density = network(), 0.1
    optimizer = GSM(module.parameters(), density=density, **SETTINGS)
    weights = [p.detach().clone() for p in module.parameters()]
    slots = [torch.zeros_like(p) for p in weights]
    sets = []
    for step in range(4):
        backward(module, step)
        grads = [p.grad.clone() for p in module.parameters()]
        optimizer.step()
        ranked = torch.cat(
            [(g * w).abs().flatten() for g, w in zip(grads, weights, strict=True) if w.dim() > 1]
        )
        limit = ranked.sort(descending=True).values[int(density * len(ranked)) - 1]
        sets.append(ranked >= limit)
        for place, (w, z, g) in enumerate(zip(weights, slots, grads, strict=True)):
            active = ((g * w).abs() >= limit) if w.dim() > 1 else torch.ones_like(w)
            slots[place] = 0.9 * z + 1e-3 * w + active * g
            weights[place] = w - 0.05 * slots[place]
        for mine, p in zip(weights, module.parameters(), strict=True):
            torch.testing.assert_close(mine, p.detach(), rtol=1e-5, atol=1e-7)
            weights = [p.detach().clone() for p in module.parameters()]
    assert any(not torch.equal(sets[0], other) for other in sets[1:])  # found anew


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_exactly_q_gradients_survive_over_all_layers_jointly(seed, density):
    module = network(seed)
    optimizer = GSM(module.parameters(), density=density, **SETTINGS)
    backward(module, seed)
    products = torch.cat([(p.grad * p.detach()).abs().flatten() for p in kernels(module)])
    others = [p.grad.clone() for p in module.parameters() if p.dim() == 1]
    optimizer.step()
    survived = torch.cat([(p.grad != 0).flatten() for p in kernels(module)])
    total = products.numel()
    assert optimizer.active_count() == int(density * total)
    assert int(survived.sum()) == int(density * total)
    assert products[survived].min() > products[~survived].max()
    for before, p in zip(others, [p for p in module.parameters() if p.dim() == 1], strict=True):
        assert torch.equal(before, p.grad)


def test_layers_are_ranked_together_and_not_each():
    module = network()
    with torch.no_grad():
        module[0].weight.mul_(100)
        module[4].weight.mul_(0.01)
    optimizer = GSM(module.parameters(), density=0.05, **SETTINGS)
    backward(module, 0)
    optimizer.step()
    kept = [float((p.grad != 0).float().mean()) for p in kernels(module)]
    assert kept[0] > 5 * kept[1]


def test_weight_decay_has_no_say_in_what_is_active():
    survivors = []
    for decay in (0.0, 10.0):
        module = network()
        optimizer = GSM(module.parameters(), density=0.1, **SETTINGS | {"weight_decay": decay})
        backward(module, 0)
        optimizer.step()
        survivors.append([p.grad.clone() for p in kernels(module)])
    for a, b in zip(*survivors, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_passive_weight_follows_the_recurrence(nesterov):
    """In float64: w(k+1) = (1 + beta - alpha eta) w(k) - beta w(k-1)."""
    weight = nn.Parameter(torch.tensor([[1.0, 1.0]], dtype=torch.float64))
    alpha, eta, beta = 0.02, 0.3, 0.9
    optimizer = GSM([weight], alpha, density=0.5, momentum=beta, weight_decay=eta,
                    nesterov=nesterov)  # fmt: skip
    expected, slot = 1.0, 0.0
    for _ in range(50):
        weight.grad = torch.tensor([[5.0, 1e-9]], dtype=torch.float64)  # the first is active
        optimizer.step()
        slot = beta * slot + eta * expected
        expected -= alpha * (eta * expected + beta * slot if nesterov else slot)
        assert weight[0, 1].item() == pytest.approx(expected, rel=1e-12)


def test_a_passive_weight_comes_back_as_soon_as_it_matters():
    weight = nn.Parameter(torch.tensor([[1.0, 0.5]]))
    optimizer = GSM([weight], 0.1, density=0.5)
    weight.grad = torch.tensor([[1.0, 1.0]])
    optimizer.step()
    assert weight.grad.tolist() == [[1.0, 0.0]]
    weight.grad = torch.tensor([[0.1, 1.0]])
    optimizer.step()
    assert weight.grad[0, 0] == 0
    assert weight.grad[0, 1] == 1


def test_a_frozen_active_set_is_that_of_the_first_step():
    module = network()
    optimizer = GSM(module.parameters(), density=0.1, reselect=False, **SETTINGS)
    sets = []
    for step in range(3):
        backward(module, step)
        optimizer.step()
        sets.append([p.grad != 0 for p in kernels(module)])
    for later in sets[1:]:
        for first, now in zip(sets[0], later, strict=True):
            assert not (now & ~first).any()
    assert sum(int(s.sum()) for s in sets[-1]) == optimizer.active_count()


def test_ties_at_the_threshold_are_all_active():
    weight = nn.Parameter(torch.ones(1, 6))
    optimizer = GSM([weight], 0.1, density=0.5)
    weight.grad = torch.tensor([[3.0, 1.0, 2.0, 1.0, 1.0, 0.5]])
    optimizer.step()
    assert weight.grad.tolist() == [[3.0, 1.0, 2.0, 1.0, 1.0, 0.0]]


def test_memory_layout_and_missing_gradients_change_nothing():
    plain, last = network(), network().to(memory_format=torch.channels_last)
    for module in (plain, last):
        optimizer = GSM(module.parameters(), density=0.1, **SETTINGS)
        backward(module, 0)
        optimizer.step()
    same = [
        torch.equal(a.grad != 0, b.grad != 0)
        for a, b in zip(kernels(plain), kernels(last), strict=True)
    ]
    assert all(same)
    module = network()
    optimizer = GSM(module.parameters(), density=0.1, **SETTINGS)
    backward(module, 0)
    module[4].weight.grad = None
    optimizer.step()  # Q is of all kernels: more than the convolution has are active
    assert bool((module[0].weight.grad != 0).all()) == (optimizer.active_count() >= 135)


def test_groups_that_are_not_ranked_are_trained_whole():
    module = network()
    groups = [
        {"params": [module[4].weight], "ranked": False},
        {"params": [p for p in module.parameters() if p is not module[4].weight]},
    ]
    optimizer = GSM(groups, density=0.1, **SETTINGS)
    backward(module, 0)
    before = module[4].weight.grad.clone()
    optimizer.step()
    assert optimizer.active_count() == 13  # of the convolution's 135
    assert torch.equal(before, module[4].weight.grad)
    assert int((module[0].weight.grad != 0).sum()) == 13


def test_it_is_an_optimizer_of_torch():
    """Closures, states, copies and schedulers work as with any other."""
    module = network()
    optimizer = GSM(module.parameters(), density=0.2, reselect=False, **SETTINGS)
    loss = optimizer.step(lambda: backward(module, 0))
    assert loss.item() > 0
    twin = copy.deepcopy(module)
    other = GSM(twin.parameters(), density=0.2, reselect=False, **SETTINGS)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in (1, 2):
        for net, steps in ((module, optimizer), (twin, other)):
            backward(net, step)
            steps.step()
    for a, b in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
    assert copy.deepcopy(optimizer).density == 0.2
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    backward(module, 3)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == SETTINGS["lr"] / 2


@pytest.mark.parametrize("density", [0, -0.1, 1.5])
def test_impossible_densities_are_refused(density):
    with pytest.raises(PruningError, match=r"\(0, 1\]"):
        GSM(network().parameters(), density=density)


def test_a_density_that_leaves_nothing_active_is_refused():
    with pytest.raises(PruningError, match="none of 1395 weights"):
        GSM(network().parameters(), density=1e-4)


# In recipes.


def recipe(density=0.1, **options):
    return Recipe.from_dict(
        {
            "epochs": 3,
            "batches": {"size": 64},
            "optimizer": {
                "name": "gsm",
                "weight_decay": 1e-3,
                "decay_exclude": ["bias", "norm"],
                "options": {"density": density, "momentum": 0.9, **options},
            },
            "schedule": {"learning_rate": 0.05, "warmup": 1},
        }
    )


def test_biases_and_batch_norm_are_neither_ranked_nor_decayed():
    module = resnet8((1, 8, 8), 10)
    optimizer = optimizers.make(recipe().optimizer, module)
    ranked = sum(p.numel() for n, p in module.named_parameters() if p.dim() > 1)
    assert optimizer.active_count() == int(0.1 * ranked)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(p) for p in module.parameters() if p.dim() > 1}


def test_exempt_layers_are_not_ranked(make_task):
    module = make_task().build()
    names = [n for n, p in module.named_parameters() if p.dim() > 1]
    optimizer = optimizers.make(recipe().optimizer, module, names[:-1])
    rest = sum(dict(module.named_parameters())[n].numel() for n in names[:-1])
    assert optimizer.active_count() == int(0.1 * rest)


def test_bias_rate_doubles_the_rate_of_biases_batch_norms_included(make_task):
    config = OptimizerConfig("sgd", 0.1, ("bias", "norm"), bias_rate=2)
    module = resnet8((1, 8, 8), 10)
    groups = optimizers.make(config, module).param_groups
    named = {id(p): n for n, p in module.named_parameters()}
    doubled = {named[id(p)] for g in groups if g["relative_rate"] == 2 for p in g["params"]}
    assert doubled == {n for n in named.values() if n.endswith("bias")}
    # And the loop uses it: from the same state, one step moves biases twice as far.
    moved = []
    for rate in (1.0, 2.0):
        task = make_task(optimizer=OptimizerConfig("sgd", bias_rate=rate))
        start = task.initial_state(0)
        end = train(task, start, Run(1, lambda step: 0.1, 0, ("test",))).state
        moved.append({n: end.weights[n] - start.weights[n] for n in start.weights})
    for name, distance in moved[0].items():
        factor = 2 if name.endswith("bias") else 1
        torch.testing.assert_close(moved[1][name], factor * distance, rtol=1e-4, atol=1e-7)


def test_training_by_gsm_goes_on_from_the_weights_and_writes_down_what_zeroing_would_do(make_task):
    task = make_task()
    dense = task.initial_state(0)
    how = recipe()
    trained = train_gsm(task, dense, how, seed=1)
    last, names = trained.metrics[-1], task.prunable()
    assert trained.state.step == how.timeline(len(task.data.train)).total_steps  # from step 0
    weights = {n: trained.state.weights[n] for n in names}
    assert not trained.state.masks
    assert all((w != 0).any() for w in weights.values())
    zeroed = trained.state.masked(keep_largest(weights, 0.1))
    module = task.build()
    load_into(module, zeroed)
    after = evaluate_splits(module, task)
    for split, scores in after.items():
        for metric, value in scores.items():
            assert last[f"zeroed_{split}_{metric}"] == value
    assert last["share_below_0.001"] == share_below(weights, 1e-3)
    assert last["share_below_0.0001"] <= last["share_below_0.001"]
    assert_same_state(train_gsm(task, dense, how, seed=1).state, trained.state)


def test_what_is_written_down_leaves_the_network_as_it_was(make_task):
    task = make_task()
    module = task.build(0)
    before = copy.deepcopy(module.state_dict())
    Zeroing(task, 0.1).end_epoch(module, optimizers.make(task.recipe.optimizer, module))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("reselect", [True, False])
def test_a_killed_training_by_gsm_resumes_to_the_same_bytes(make_task, tmp_path, reselect):
    task = make_task()
    dense, how = task.initial_state(0), recipe(reselect=reselect)
    whole = train_gsm(task, dense, how)

    with pytest.raises(Killed):
        train_gsm(task, dense, how, resume=Killing(tmp_path / "x", 1))
    resumed = train_gsm(task, dense, how, resume=ResumeFile(tmp_path / "x", "same"))
    assert_same_state(resumed.state, whole.state)
    assert resumed.metrics == whole.metrics


def test_shrinkage_is_the_sum_over_the_schedule():
    timeline = recipe().timeline(640)
    rates = [0.05 * min(1, step / 10) for step in range(30)]
    assert shrinkage(timeline) == pytest.approx(sum(rates) * 1e-3 / 0.1)


@pytest.mark.parametrize(
    ("name", "images", "expected"),
    [
        ("gsm2019_lenet300", 60_000, 18.9),
        ("gsm2019_lenet5", 60_000, 18.9),
        ("gsm2019_resnet56", 50_000, 8.0),
        ("gsm_mnist_lenet300", 60_000, 18.9),
        ("gsm_mnist_lenet5", 60_000, 18.9),
    ],
)
def test_studies_shrink_passive_weights_as_far_as_the_authors(name, images, expected):
    """Section 10 of the reference: the budget that a shortened recipe has to keep."""
    study = load_study(REPOSITORY / f"config/studies/{name}.yaml", SCHEMAS / "study.schema.yaml")
    for level in study.part("gsm").levels:
        how = Recipe.from_dict(study.part("gsm").training_recipe("unmodified", level))
        assert shrinkage(how.timeline(images)) == pytest.approx(expected, abs=0.1)
        assert how.optimizer.options["density"] == study.part("gsm").densities[level - 1]


# Zeroing.


@pytest.mark.parametrize(
    ("total", "ratio", "active", "kept"),
    [(266_200, 60, 4436, 4437), (430_500, 125, 3444, 3444), (430_500, 300, 1435, 1435),
     (851_504, 10, 85_150, 85_151)],
)  # fmt: skip
def test_counts_are_those_of_the_authors_code(total, ratio, active, kept):
    """Section 5 of the reference: Q, and what the final mask keeps."""
    weight = nn.Parameter(torch.randperm(total, generator=torch.Generator().manual_seed(0))
                          .add(1).double().view(1, -1))  # fmt: skip
    assert GSM([weight], density=1 / ratio).active_count() == active
    masks = keep_largest({"w": weight}, 1 / ratio)
    assert masking.counts(masks) == (kept, total)
    assert float(weight.detach()[masks["w"]].min()) == total - kept + 1


def test_zeroed_weights_are_zero_in_the_file(make_task, tmp_path):
    task = make_task()
    state = task.initial_state(0)
    masks = keep_largest({n: state.weights[n] for n in task.prunable()}, 0.1)
    save_state(state.masked(masks), tmp_path / "state.safetensors")
    read = load_state(tmp_path / "state.safetensors")
    total = sum(m.numel() for m in masks.values())
    nonzero = sum(int(read.weights[n].count_nonzero()) for n in masks)
    assert nonzero == total - int(total * 0.9)


def test_the_histogram_counts_every_weight_once():
    weights = {"a": torch.tensor([0.0, 1e-13, 1e-6, -2e-6]), "b": torch.tensor([0.5, -1.0, 1e3])}
    masks = {n: w.abs() > 0.1 for n, w in weights.items()}
    rows = histogram(weights, masks)
    assert sum(row["count"] for row in rows) == 7
    assert rows[0]["low"] == 0
    assert rows[0]["count"] == 2
    assert rows[-1]["high"] == EDGES[-1]
    assert rows[-1]["count"] == 1
    for row in rows:
        assert row["smallest_kept"] == 0.5
        assert row["largest_dropped"] == pytest.approx(2e-6)
    [half] = [row for row in rows if row["low"] <= 0.5 < row["high"]]
    assert half["count"] == 1
    assert all(a["high"] == b["low"] for a, b in itertools.pairwise(rows))


def test_the_share_of_small_weights_counts_magnitudes_below_the_limit():
    weights = {"a": torch.tensor([0.0, -5e-4]), "b": torch.tensor([[1e-3, -1.5e-3, 2.0]])}
    assert share_below(weights, 1e-3) == 2 / 5
    assert share_below(weights, 2e-3) == 4 / 5


def test_sensitivity_prunes_one_layer_at_a_time(make_task):
    task = make_task()
    state = task.initial_state(0)
    rows = sensitivity(task, state, [1.0, 0.2])
    names = task.prunable()
    assert [(r["layer"], r["position"], r["layer_density"]) for r in rows] == [
        (name, place, density) for place, name in enumerate(names) for density in (1.0, 0.2)
    ]
    module = task.build()
    load_into(module, state)
    dense = evaluate_splits(module, task)["test"]["accuracy"]
    assert all(r["accuracy"] == dense for r in rows if r["layer_density"] == 1)
    last = {names[-1]: masking.select({"w": state.weights[names[-1]].abs()}, 0.2)["w"]}
    load_into(module, state.masked(last))
    after = evaluate_splits(module, task)["test"]["accuracy"]
    assert rows[-1]["accuracy"] == after != dense


def test_the_library_has_it():
    assert pruning.GSM is GSM
