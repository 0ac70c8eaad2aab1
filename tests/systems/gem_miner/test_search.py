"""Whole searches on the digits: what holds in each of them, exactly."""

import math
from dataclasses import replace

import pytest
import torch

from pruning.data.batches import TrainingStream
from pruning.errors import PruningError, TrainingDiverged
from pruning.library import evaluate
from pruning.masks import mask as masking
from pruning.masks.shuffled import shuffle_layerwise
from pruning.systems.gem_miner import schedule, states
from pruning.systems.gem_miner.method import Freezing, search, searching
from pruning.systems.gem_miner.parametrization import THRESHOLD, Rounded, scores_name
from pruning.systems.gem_miner.rules import METHODS, Search, method, variant
from pruning.systems.gem_miner.scores import INITIALIZATIONS, draw
from pruning.training.loop import Run, train
from pruning.training.pruned import train_pruned
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from pruning.training.state import capture
from tests.conftest import assert_same_state
from tests.test_callback import Killed, Killing, assert_same_bytes

SGD = OptimizerConfig("sgd", options={"momentum": 0.9})
ADAM = OptimizerConfig("adam")
BARE = {"norm_affine": False, "bias": False}
PRUNABLE = 3_592


@pytest.fixture
def make(make_task):
    """A task whose network has nothing but prunable weights, and a recipe of so many epochs."""

    def made(epochs=8, optimizer=SGD, learning_rate=0.1, **options):
        task = make_task(
            "small_cnn",
            options=BARE | options,
            epochs=epochs,
            milestones=(),
            optimizer=optimizer,
            learning_rate=learning_rate,
        )
        return replace(task, network=replace(task.network, initialization="signed_constant"))

    return made


def run(task, config, seed=0, **more):
    state = task.initial_state(seed)
    trained = search(task, state, config, recipe=task.recipe, seed=seed, **more)
    return state, trained, states.found(trained.state, task.prunable(), config.row.mask)


def test_a_search_leaves_weights_bit_for_bit_and_freezes_by_the_schedule(make):
    task = make(epochs=10, learning_rate=1.0)
    config = Search("gem_miner", 0.2, period=2, strength=1e-3)
    state, trained, found = run(task, config)
    assert found.state.weights.keys() == state.weights.keys()
    for name, weight in state.weights.items():
        assert torch.equal(found.state.weights[name], weight), name
    assert found.state.buffers.keys() == state.buffers.keys()
    assert not torch.equal(found.state.buffers["norm1.running_mean"], torch.zeros(8))
    counts = schedule.left_after(PRUNABLE, 0.2, 10, 2)
    expected = [PRUNABLE] * 2 + [n for n in counts for _ in range(2)]
    assert [round(row["kept_density"] * PRUNABLE) for row in trained.metrics] == expected
    assert masking.counts(found.kept) == (counts[-1], PRUNABLE)
    assert all(row["active_density"] <= row["kept_density"] for row in trained.metrics)
    active = masking.counts(found.active)[0]
    assert 0 < active < counts[-1]  # the penalty rounds further weights to zero
    assert trained.metrics[-1]["active_density"] == active / PRUNABLE
    for name, mask in found.active.items():
        assert not (mask & ~found.kept[name]).any()
        assert torch.equal(mask, (found.scores[name] > 0.5) & found.kept[name])
    assert found.masks(unflag=True) is found.kept
    assert found.masks(unflag=False) is found.active


def test_the_plain_network_under_the_active_mask_is_what_the_search_evaluated(make):
    task = make(epochs=6, learning_rate=1.0)
    _, trained, found = run(task, Search("gem_miner", 0.4, period=2, strength=1e-3))
    masked = found.state.masked(found.masks(unflag=False))
    scores = evaluate(task, masked)
    assert trained.metrics[-1]["test_accuracy"] == scores["test"]["accuracy"]
    assert trained.metrics[-1]["test_accuracy"] > 0.5  # weights that were never trained
    unflagged = evaluate(task, found.state.masked(found.masks(unflag=True)))
    assert unflagged["test"]["loss"] != scores["test"]["loss"]


def test_scores_are_in_the_unit_interval_at_every_forward_and_flags_only_fall(make, monkeypatch):
    seen, forward = {}, Rounded.forward

    def watched(part, weight):
        assert part.scores.min().item() >= 0
        assert part.scores.max().item() <= 1
        before = seen.get(tuple(weight.shape))
        assert before is None or not (part.flags & ~before).any()
        seen[tuple(weight.shape)] = part.flags.clone()
        return forward(part, weight)

    monkeypatch.setattr(Rounded, "forward", watched)
    task = make(epochs=5, learning_rate=1.0)
    _, _, found = run(task, Search("gem_miner", 0.2, period=1, strength=1e-3))
    assert len(seen) == 4
    assert all(not flags.all() for flags in seen.values())
    values = torch.cat([score.flatten() for score in found.scores.values()])
    assert (values == 0).any()
    assert (values == 1).any()  # clipping did take place


def test_half_of_the_weights_start_active_and_without_penalty_and_freezing_it_stays_so(make):
    task = make(epochs=4)
    _, trained, found = run(task, Search("gem_miner"))
    assert [row["kept_density"] for row in trained.metrics] == [1.0] * 4
    assert all(0.45 < row["active_density"] < 0.55 for row in trained.metrics)
    assert all(row["penalty"] == 0 for row in trained.metrics)
    start = searching(Search(), task.prunable(), 4).start(task.initial_state(0), 0, "search")
    first = torch.cat([start.weights[scores_name(n)].flatten() for n in task.prunable()])
    assert 0.45 < float((first > 0.5).float().mean()) < 0.55
    assert masking.counts(found.kept) == (PRUNABLE, PRUNABLE)


def test_the_active_density_falls_with_the_strength_of_the_penalty(make):
    task = make(epochs=4, learning_rate=1.0)
    densities = []
    for strength in (0.0, 3e-4, 1e-3, 3e-3):
        _, trained, _ = run(task, Search("gem_miner", strength=strength))
        densities.append(trained.metrics[-1]["active_density"])
    assert densities == sorted(densities, reverse=True)
    assert densities[-1] < densities[0] / 2


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("gem_miner", lambda p: 2 * p),
        ("gem_miner_l1", torch.sign),
        ("gem_miner_l1_l2", lambda p: torch.sign(p) + 2 * p),
        ("global_edge_popup_gradual_regularized", lambda p: 2 * p),
    ],
)
def test_a_penalty_changes_gradients_exactly_as_its_derivative(make, name, gradient):
    """And counts frozen scores, in gradient and value."""
    task, strength = make(epochs=2), 0.125  # a power of two: products are exact
    config = Search(name, 0.5, period=1, strength=strength)
    seen = {}

    class Watching(type(searching(config, [], 2))):
        def before_step(self, module, optimizer, step):
            before = [part.scores.grad.clone() for part in self.parts]
            super().before_step(module, optimizer, step)
            for part, grad in zip(self.parts, before, strict=True):
                p = part.scores.detach()
                torch.testing.assert_close(
                    part.scores.grad, grad + strength * gradient(p), rtol=1e-6, atol=1e-8
                )
            seen[step] = True

    names = task.prunable()
    callback = Watching(config, names, 2)
    start = callback.start(task.initial_state(0), 0)
    steps = task.timeline.total_steps
    trained = train(task, start, Run(steps, lambda _: 0.01, 0, ("x",)), callback=callback)
    assert len(seen) == steps
    scores = states.found(trained.state, names, config.row.mask).scores.values()
    first, second = {"gem_miner_l1": (1, 0), "gem_miner_l1_l2": (1, 1)}.get(name, (0, 1))
    value = sum(float(first * p.abs().sum() + second * p.square().sum()) for p in scores)
    assert trained.metrics[-1]["penalty"] == pytest.approx(strength * value, rel=1e-6)


def test_the_first_penalty_is_a_third_of_the_weights(make):
    """Reference, section 1.3: the mean of p^2 is 1/3 at first."""
    task = make()
    start = searching(Search(), task.prunable(), 8).start(task.initial_state(0), 0)
    total = sum(float(start.weights[scores_name(n)].square().sum()) for n in task.prunable())
    assert total == pytest.approx(PRUNABLE / 3, rel=0.05)


def test_a_search_is_the_algorithm_written_out(make):
    """Algorithm 1 on plain tensors: no parametrization, no callback, no loop of ours."""
    task, strength, rate = make(epochs=3), 1e-3, 0.5
    config = Search("gem_miner", 0.4, period=1, strength=strength)
    names = task.prunable()
    state = task.initial_state(0)
    callback = searching(config, names, 3)
    start = callback.start(state, 7, "x")
    per_epoch = task.timeline.epoch_end(1)
    total = task.timeline.total_steps
    trained = train(task, start, Run(total, lambda _: rate, 7, ("x",)), callback=callback)

    module = task.build().to(memory_format=torch.channels_last)
    module.load_state_dict({**state.weights, **state.buffers})
    weights = {n: state.weights[n] for n in names}
    p = {n: start.weights[scores_name(n)].clone() for n in names}
    q = {n: torch.ones_like(p[n]) for n in names}
    velocity = {}
    stream = TrainingStream(task.data.train, task.normalize, task.recipe.batches, 7, ("x",))
    parameters = dict(module.named_parameters())
    rho = schedule.removed_share(0.4, 3, 1)
    for step in range(total):
        with torch.no_grad():
            for n in names:
                parameters[n].copy_(weights[n] * (p[n] > 0.5) * q[n])
        module.zero_grad()
        images, labels = stream.batch(step)
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        for n in names:
            gradient = parameters[n].grad * weights[n] * q[n] + strength * 2 * p[n]
            velocity[n] = 0.9 * velocity[n] + gradient if n in velocity else gradient
            p[n] = (p[n] - rate * velocity[n]).clamp(0, 1)
        epoch = (step + 1) // per_epoch - 1
        if (step + 1) % per_epoch == 0 and epoch > 0:
            left = torch.cat([p[n][q[n] > 0] for n in names]).sort().values
            limit = left[int(-(-rho * len(left) // 1)) - 1]
            q = {n: q[n] * (p[n] > limit) for n in names}
    found = states.found(trained.state, names, config.row.mask)
    for n in names:
        torch.testing.assert_close(found.scores[n], p[n], rtol=1e-4, atol=1e-4)
    same = sum(int((found.kept[n] == (q[n] > 0)).sum()) for n in names)
    assert same >= PRUNABLE - 4  # rounding may swap two at the threshold
    assert masking.counts(found.kept)[0] == schedule.left_after(PRUNABLE, 0.4, 3, 1)[-1]


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_freezing_leaves_scores_and_their_momentum_as_they_are(make, optimizer):
    rate = 0.1 if optimizer is SGD else 0.01
    task = make(epochs=2, optimizer=optimizer, learning_rate=rate)
    config = Search("gem_miner", 0.3, period=1, strength=1e-3)
    ended = {}

    class Watching(Freezing):
        def end_epoch(self, module, optimizer):
            end = super().end_epoch(module, optimizer)
            ended[self.epoch] = (capture(module, optimizer), end.state)
            return end

    names = task.prunable()
    callback = Watching(config, names, 2)
    start = callback.start(task.initial_state(0), 0)
    train(task, start, Run(task.timeline.total_steps, lambda _: rate, 0, ("x",)), callback=callback)
    assert ended[1][1] is None
    before, after = ended[2]
    assert before.slots.keys() == after.slots.keys()
    assert all(torch.equal(v, after.slots[k]) for k, v in before.slots.items())
    assert all(torch.equal(v, after.weights[k]) for k, v in before.weights.items())
    assert not all(torch.equal(v, after.buffers[k]) for k, v in before.buffers.items())


RESUMED = {
    "gem_miner": Search("gem_miner", 0.1, period=1, strength=1e-3),
    "edge_popup": Search("edge_popup", 0.1),
    "global_edge_popup_gradual_regularized": Search(
        "global_edge_popup_gradual_regularized", 0.1, period=1, strength=1e-3
    ),
}


@pytest.mark.parametrize("epoch", [1, 2, 4])
@pytest.mark.parametrize("name", RESUMED)
def test_a_killed_search_resumes_to_the_same_bytes(make, tmp_path, name, epoch):
    task, config = make(epochs=5), RESUMED[name]
    state = task.initial_state(0)
    whole = search(task, state, config, recipe=task.recipe)
    with pytest.raises(Killed):
        killing = Killing(tmp_path / "r", epoch)
        search(task, state, config, recipe=task.recipe, resume=killing)
    resume = ResumeFile(tmp_path / "r", "same")
    again = search(task, state, config, recipe=task.recipe, resume=resume)
    assert_same_bytes(whole, again, tmp_path)


def test_the_same_seed_finds_the_same_and_another_other_scores(make):
    task, config = make(epochs=2), Search("gem_miner", 0.3, period=1)
    first, again, other = (run(task, config, seed)[1] for seed in (0, 0, 1))
    assert_same_state(first.state, again.state)
    name = scores_name("fc1.weight")
    assert not torch.equal(first.state.weights[name], other.state.weights[name])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("edge_popup", [sum(n - int(0.9 * n) for n in (72, 1152, 2048, 320))] * 6),
        ("global_edge_popup", [PRUNABLE - math.ceil(0.9 * PRUNABLE)] * 6),
        (
            "global_edge_popup_gradual",
            [
                PRUNABLE - math.ceil((1 - (0.1 ** (1 / 5)) ** power) * PRUNABLE)
                for power in (1, 1, 2, 3, 4, 5)
            ],
        ),
    ],
)
def test_masks_of_the_largest_scores_keep_their_counts_and_weights_may_come_back(make, name, kept):
    """Epochs 0 to 5: what stands in a row is of what goes on after it."""
    task = make(epochs=6)
    config = Search(name, 0.1, period=1)
    state, trained, found = run(task, config)
    assert [round(row["active_density"] * PRUNABLE) for row in trained.metrics] == kept
    assert [row["kept_density"] for row in trained.metrics] == [
        row["active_density"] for row in trained.metrics
    ]
    assert masking.counts(found.kept)[0] == kept[-1]
    assert all(torch.equal(found.state.weights[n], w) for n, w in state.weights.items())
    scores = evaluate(task, found.state.masked(found.masks(unflag=True)))
    assert trained.metrics[-1]["test_accuracy"] == scores["test"]["accuracy"]
    assert trained.metrics[-1]["train_loss"] < trained.metrics[0]["train_loss"]


def test_inversion_freezes_the_largest_scores(make):
    task = make(epochs=5, learning_rate=1.0)
    found, accuracy = {}, {}
    for name in ("gem_miner", "gem_miner_inverted"):
        _, trained, found[name] = run(task, Search(name, 0.5, period=4))
        accuracy[name] = trained.metrics[-1]["test_accuracy"]
        kept = masking.counts(found[name].kept)[0]
        assert kept <= schedule.left_after(PRUNABLE, 0.5, 5, 4)[-1]
        assert kept > 0.45 * PRUNABLE  # scores that were clipped to 1 tie
    assert accuracy["gem_miner"] > accuracy["gem_miner_inverted"] + 0.2
    kept = {name: torch.cat([f.scores[n][f.kept[n]] for n in f.kept]) for name, f in found.items()}
    assert float(kept["gem_miner"].mean()) > 0.5 > float(kept["gem_miner_inverted"].mean())


def test_a_search_whose_weights_all_round_to_zero_freezes_once_more_and_gives_up(make, caplog):
    task = make(epochs=4, learning_rate=0.01)
    config = Search("gem_miner", 0.3, period=3, strength=1.0, scores="uniform")
    _, trained, found = run(make(epochs=4), config)  # all scores are clipped to 0 and tie
    assert "froze every weight" in caplog.text
    assert trained.metrics[-1]["kept_density"] == 0
    assert not any(mask.any() for mask in found.kept.values())
    config = replace(config, strength=0.4)
    _, trained, found = run(task, config)
    densities = [row["kept_density"] for row in trained.metrics]
    assert trained.metrics[0]["active_density"] == 0
    left = PRUNABLE - schedule.removed_count(0.7, PRUNABLE)
    assert [round(d * PRUNABLE) for d in densities] == [left] * 4  # and not at the event either
    assert masking.counts(found.kept)[0] == left


@pytest.mark.parametrize(
    ("name", "told"),
    [("gem_miner", "penalty may be too strong"), ("gem_miner_inverted", "what this check freezes")],
)
def test_a_search_that_found_nothing_blames_what_it_may(make, caplog, name, told):
    config = Search(name, 0.3, period=3, strength=0.4)
    run(make(epochs=4, learning_rate=0.01), config)
    (message,) = (r.getMessage() for r in caplog.records if "no active weight" in r.getMessage())
    assert told in message
    assert ("penalty" in message) == (name == "gem_miner")


def test_a_search_that_gave_up_is_resumed_as_one_that_did(make, tmp_path):
    task = make(epochs=4, learning_rate=0.01)
    config = Search("gem_miner", 0.3, period=3, strength=0.4)
    state = task.initial_state(0)
    whole = search(task, state, config, recipe=task.recipe)
    with pytest.raises(Killed):
        killing = Killing(tmp_path / "r", 2)
        search(task, state, config, recipe=task.recipe, resume=killing)
    resume = ResumeFile(tmp_path / "r", "same")
    again = search(task, state, config, recipe=task.recipe, resume=resume)
    assert_same_bytes(whole, again, tmp_path)


def test_layers_that_take_no_part_in_the_loss_are_named(make):
    class Unused(type(make())):
        def build(self, seed=None):
            module = super().build(seed)
            module.fc3 = torch.nn.Linear(10, 1, bias=False)
            module.register_forward_hook(lambda m, _, made: made + m.fc3(made).detach())
            if seed is not None:
                torch.nn.init.zeros_(module.fc3.weight)
            return module

    task = make(epochs=1)
    task = Unused(task.data, task.network, task.recipe)
    with pytest.raises(PruningError, match="'fc3.weight' takes no part in the loss.*Exempt"):
        run(task, Search())


TIED = """
from torch import nn


class Tied(nn.Sequential):
    def __init__(self, shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, classes))
        self[2].weight = self[1].weight
"""


def test_layers_that_share_weights_are_named(make, tmp_path):
    """Of a network as a study builds it, where the shared weight is one of the state's."""
    (tmp_path / "tied.py").write_text(TIED)
    task = make(epochs=1)
    task = replace(task, network=replace(task.network, name=f"{tmp_path}/tied.py:Tied", options={}))
    with pytest.raises(PruningError, match=r"'1.weight' is shared by 1.weight, 2.weight"):
        run(task, Search())
    _, _, found = run(replace(task, exempt=("1",)), Search())
    assert list(found.kept) == ["3.weight"]


def test_what_is_exempt_or_not_prunable_stays_as_it_is(make):
    task = replace(make(epochs=2, norm_affine=True, bias=True), exempt=("fc2",))
    state, _, found = run(task, Search("gem_miner", 0.5, period=1))
    assert "fc2.weight" not in found.kept
    assert all(torch.equal(found.state.weights[n], w) for n, w in state.weights.items())


def test_searches_that_cannot_be_say_why(make):
    task = make(epochs=2)
    state = task.initial_state(0)
    decaying = replace(task.recipe, optimizer=OptimizerConfig("sgd", 1e-4))
    with pytest.raises(PruningError, match="weight decay of 0.0001.*Set it to 0"):
        search(task, state, Search(), recipe=decaying)
    search(task, state, Search("edge_popup", 0.5), recipe=decaying)  # the authors' has some
    masks = {"fc1.weight": torch.ones(32, 64, dtype=torch.bool)}
    with pytest.raises(PruningError, match="dense state"):
        search(task, state.masked(masks), Search(), recipe=task.recipe)
    with pytest.raises(PruningError, match="2 epochs freezes nothing when its period is 5"):
        search(task, state, Search(density=0.5), recipe=task.recipe)
    for name in ("gem_miner", "global_edge_popup", "global_edge_popup_gradual"):
        with pytest.raises(PruningError, match=r"test task: of 3,592 .* none.*gem_miner.densities"):
            search(task, state, Search(name, 1e-7, period=1), recipe=task.recipe)
    for values, message in (
        ({"method": "gem_minr"}, "Did you mean 'gem_miner'"),
        ({"density": 0}, "lies in"),
        ({"density": 1.5}, "lies in"),
        ({"period": 0}, "at least 1 epoch"),
        ({"strength": -1.0}, "from 0 on"),
        ({"strength": float("inf")}, "from 0 on, not inf"),
        ({"strength": float("nan")}, "from 0 on, not nan"),
        ({"method": "edge_popup", "strength": 1.0}, "has no penalty"),
        ({"fan_share": 0.0}, "fan_share lies in"),
    ):
        with pytest.raises(PruningError, match=message):
            Search(**values)
    with pytest.raises(PruningError, match="initialization of scores 'norml'"):
        search(task, state, Search(scores="norml"), recipe=task.recipe)
    with pytest.raises(PruningError, match="Did you mean 'shuffled'"):
        variant("shufled")
    assert method("edge_popup") is METHODS["edge_popup"]


def test_scores_that_are_no_numbers_stop_the_search(make):
    task = make(epochs=1)

    class Poisoned(Freezing):
        def after_step(self, module, optimizer, step):
            super().after_step(module, optimizer, step)
            with torch.no_grad():
                self.parts[0].scores[0, 0, 0, 0] = float("nan")

    names = task.prunable()
    callback = Poisoned(Search(), names, 1)
    start = callback.start(task.initial_state(0), 0)
    with pytest.raises(TrainingDiverged, match="score is no longer a finite number"):
        train(task, start, Run(3, lambda _: 0.1, 0, ("x",)), callback=callback)


def test_a_smaller_fan_scales_the_kernels_it_starts_from(make):
    task = make()
    state, names = task.initial_state(0), task.prunable()
    config = Search(fan_share=0.25)
    found = states.found(searching(config, names, 1).start(state, 0), names, config.row.mask)
    assert all(torch.equal(found.state.weights[n], 2 * state.weights[n]) for n in names)


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_moments_of_scores(name):
    """Beta(a, b) has mean a / (a + b) and variance ab / ((a + b)^2 (a + b + 1))."""
    source = torch.Generator().manual_seed(0)
    scores = draw(name, (200, 10, 10), source)
    mean, variance, low, high = {
        "uniform": (1 / 2, 1 / 12, 0, 1),
        "half": (1 / 2, 0, 0.5, 0.5),
        "bernoulli": (1 / 2, 1 / 4, 0, 1),
        "bimodal": (1 / 2, 0.01 / (0.04 * 1.2), 0, 1),
        "skewed": (1 / 6, 5 / (36 * 7), 0, 1),
        "kaiming_uniform": (0, (0.1**2) / 3, -0.1, 0.1),
    }[name]
    assert scores.dtype == torch.float32
    assert float(scores.mean()) == pytest.approx(mean, abs=4 * (variance / 20_000) ** 0.5 + 1e-9)
    assert float(scores.var()) == pytest.approx(variance, rel=0.05, abs=1e-9)
    assert low <= float(scores.min()) <= float(scores.max()) <= high


def test_a_shuffled_mask_is_the_one_that_is_trained_and_not_the_flags_alone(make):
    """Permuted flags times scores that stay, as in one version of the authors' code, lose most."""
    task = make(epochs=6)
    _, _, found = run(task, Search("gem_miner", 0.1, period=1, strength=1e-3))
    for unflag in (True, False):
        mask = found.masks(unflag)
        assert masking.counts(shuffle_layerwise(mask, 0, "x"))[0] == masking.counts(mask)[0] > 0
    flags = shuffle_layerwise(found.kept, 0, "x")
    wrong = {name: flags[name] & (found.scores[name] > THRESHOLD) for name in flags}
    assert masking.counts(wrong)[0] < masking.counts(found.active)[0] / 2


def test_masks_are_cut_from_the_state_that_a_search_ended_in(make):
    task = make(epochs=4)
    state, trained, found = run(task, Search("gem_miner", 0.2, period=1, strength=1e-3))
    for unflag, expected in ((True, found.kept), (False, found.active)):
        told = {"density": 0.2, "mask": "rounded", "unflag": unflag}
        cut = states.found_masks(task, trained.state, **told)
        assert cut.density == 0.2
        assert all(torch.equal(mask, expected[name]) for name, mask in cut.masks.items())
    with pytest.raises(PruningError, match="no state of a search: it has no scores of"):
        states.found_masks(task, state, **told)


@pytest.mark.parametrize("unflag", [True, False])
def test_what_was_found_trains_on_under_its_mask(make, unflag):
    """Finetuning starts from the searched weights, bit for bit, and from step 0."""
    task = make(epochs=6, learning_rate=1.0)
    _, _, found = run(task, Search("gem_miner", 0.3, period=2, strength=1e-3))
    start = found.state.masked(found.masks(unflag))
    assert (start.step, start.slots) == (0, {})
    tuned = make(epochs=6)
    trained = train_pruned(tuned, start.masks, start, seed=0).state
    before, after = (evaluate(task, s)["test"]["accuracy"] for s in (start, trained))
    assert after > before
    for name, mask in start.masks.items():
        assert not trained.weights[name][~mask].any()
        assert not torch.equal(trained.weights[name], start.weights[name])
    kept = masking.counts(start.masks)[0]
    assert kept == masking.counts(found.masks(unflag))[0]
    assert kept == schedule.left_after(PRUNABLE, 0.3, 6, 2)[-1] or not unflag
