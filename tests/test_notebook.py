"""Modules, tensors and masks that a user has at hand, without names, files and studies."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

import pruning
from pruning.data.validation import Validation
from pruning.models.own import build_own
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from tests.conftest import assert_same_state

RECIPE = pruning.Recipe(
    epochs=2,
    batches=pruning.Batching(16),
    schedule=pruning.StepDecay(0.05, (1,)),
    optimizer=pruning.OptimizerConfig("sgd", options={"momentum": 0.9}),
)


@pytest.fixture(autouse=True)
def _seed():
    """Modules in these tests are drawn from the global generator."""
    torch.manual_seed(0)


def tensors(count=48, channels=3, side=6, classes=4, seed=0):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 200, (count, channels, side, side), generator=draws)
    images[torch.arange(count), 0, labels] = 255  # a bright row says the class
    return images.to(torch.uint8), labels


def made(**options):
    return pruning.data_from_tensors(*tensors(), *tensors(20, seed=1), **options)


def net(shape=(3, 6, 6), classes=4):
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(6 * (shape[1] - 2) * (shape[2] - 2), classes),
    )  # fmt: skip


# -- data -----------------------------------------------------------------------------------------


def test_tensors_become_what_load_data_gives():
    images, labels = tensors()
    data = made()
    assert data.shape == (3, 6, 6)
    assert data.classes == ("0", "1", "2", "3")
    assert torch.equal(data.train.images.permute(0, 3, 1, 2), images)
    assert torch.equal(data.train.labels, labels)
    assert (len(data.validation), len(data.test)) == (4, 16)
    assert data.mean == pytest.approx(images.double().mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(images.double().std((0, 2, 3), correction=0).tolist())
    images.zero_()  # they are copies
    assert data.train.images.any()
    assert data.record["dataset"] == "tensors"
    held = made(validation=Validation("train", 0.25), name="mine", classes=list("abcd"))
    assert (len(held.train), len(held.validation), len(held.test)) == (36, 12, 20)
    assert (held.name, held.classes) == ("mine", ("a", "b", "c", "d"))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_what_totensor_makes_of_uint8_is_taken_back(kind):
    images = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    unit = images.to(kind) / 255
    data = pruning.data_from_tensors(unit, range(4), unit.numpy(), np.arange(4, dtype=np.uint8))
    assert torch.equal(data.train.images[..., 0], images[:, 0])
    assert torch.equal(data.train.labels, torch.arange(4))


IMAGES, LABELS = tensors(8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": IMAGES.permute(0, 2, 3, 1)}, r"looks like \(N, H, W, C\).*permute"),
        ({"train_images": IMAGES[:, :1].permute(0, 2, 3, 1)}, r"looks like \(N, H, W, C\)"),
        ({"train_images": IMAGES[:, 0]}, r"they are \(8, 6, 6\). Grey.*unsqueeze\(1\)"),
        ({"train_images": IMAGES.long()}, "are int64; they must be uint8"),
        ({"train_images": IMAGES > 99}, "are bool; they must be uint8"),
        ({"train_images": IMAGES.float()}, r"float32 from 0 to 255; .*lie in \[0, 1\]"),
        ({"train_images": IMAGES / 127.5 - 1}, "from -1 to 1.*before they are normalized"),
        ({"train_images": IMAGES / 300}, "no multiples of 1/255, and would be rounded"),
        ({"train_images": IMAGES * float("nan")}, "from nan to nan"),
        ({"test_images": IMAGES[..., :5]}, r"training images are \(3, 6, 6\), test images \(3, 6"),
        ({"train_images": IMAGES[:0], "train_labels": LABELS[:0]}, "are none at all"),
        ({"train_images": "images"}, "are no tensor"),
        ({"train_labels": LABELS[:5]}, r"labels are \(5,\); there must be one for each of 8"),
        ({"train_labels": nn.functional.one_hot(LABELS)}, r"labels are \(8, 4\)"),
        ({"train_labels": LABELS.float()}, "labels are float32; they must be integers"),
        ({"train_labels": LABELS + 1}, "labels are 1, 2, 3, 4, and not 0, 1"),
        ({"train_labels": LABELS - 1}, "labels are -1, 0, 1, 2, and not"),
        ({"train_labels": LABELS * 2}, "labels are 0, 2, 4, 6, and not"),
        ({"test_labels": LABELS + 1}, "test labels are 4, but there are 4 classes, 0 to 3"),
        ({"train_labels": LABELS * 0}, "fewer than two classes"),
        ({"classes": 1}, "fewer than two classes"),
        ({"classes": 0}, "fewer than two classes"),
        ({"classes": 3}, "train labels are 3, but there are 3 classes"),
        ({"classes": ["a", "b"]}, "train labels are 2, 3, but there are 2"),
        ({"classes": ["a", "a", "b", "c"]}, "a different name for each label"),
        ({"classes": "abcd"}, "is a number, or a different name"),
    ],
)
def test_tensors_that_are_no_data_set_are_refused(change, message):
    given = {
        "train_images": IMAGES,
        "train_labels": LABELS,
        "test_images": IMAGES,
        "test_labels": LABELS,
    } | change
    with pytest.raises(pruning.PruningError, match=message):
        pruning.data_from_tensors(**given)


def test_other_orders_of_axes_are_taken_where_they_can_be_meant():
    signals = torch.randint(0, 256, (8, 9, 128, 1), dtype=torch.uint8)
    assert pruning.data_from_tensors(signals, LABELS, signals, LABELS).shape == (9, 128, 1)
    labels = torch.arange(8) % 2
    assert len(pruning.data_from_tensors(IMAGES, labels, IMAGES, labels, classes=5).classes) == 5


# -- networks -------------------------------------------------------------------------------------


def test_a_module_is_trained_from_its_own_weights_and_given_back():
    module = net()
    before = copy.deepcopy(module.state_dict())
    task = pruning.Task(made(), module, RECIPE)
    start = task.initial_state(0, "dense")
    assert_same_state(start, pruning.state_of(module))
    assert_same_state(task.initial_state(1, "dense"), start)
    with torch.no_grad():
        module[0].weight.zero_()  # the task has a copy
    assert_same_state(task.initial_state(0, "dense"), start)
    module.load_state_dict(before)
    dense = pruning.train_dense(task, 0, retrain_times=(1,))
    masks = pruning.prune(task, dense.final, 0.3)
    assert set(masks) == {"0.weight", "4.weight"}
    rule = pruning.RULES["weight_rewind"]
    tuned = pruning.retrain(
        task, rule, masks=masks, retrain_time=1, final=dense.final, rewind=dense.rewind[1]
    )
    scores = pruning.evaluate(task, tuned.state)["test"]
    plain = pruning.network_of(task, tuned.state)
    assert type(plain) is nn.Sequential
    assert plain is not module
    assert all((plain.state_dict()[n][~m] == 0).all() for n, m in masks.items())
    images = task.normalize(task.data.test.images)
    right = plain.eval()(images).argmax(1) == task.data.test.labels
    assert float(right.double().mean()) == pytest.approx(scores["accuracy"])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    again = pruning.retrain(
        pruning.Task(made(), net, RECIPE), rule,
        masks=masks, retrain_time=1, final=dense.final, rewind=dense.rewind[1],
    )  # fmt: skip
    assert_same_state(again.state, tuned.state)  # what the network is from decides nothing more


def test_a_function_draws_by_the_seed_as_it_draws_itself():
    task = pruning.Task(made(), net, RECIPE)
    torch.manual_seed(5)
    first, second = task.initial_state(0, "dense"), task.initial_state(0, "dense")
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == after  # nobody else's draws are taken
    assert_same_state(first, second)
    other = task.initial_state(1, "dense")
    fresh = task.initial_state(0, "retrain")
    for state in (other, fresh):
        assert not torch.equal(state.weights["0.weight"], first.weights["0.weight"])
    bound = 1 / (3 * 9) ** 0.5  # of torch's own initialization
    assert first.weights["0.weight"].abs().max() <= bound
    assert first.weights["0.weight"].abs().max() > 0.9 * bound
    masks = pruning.prune(task, first, 0.5)
    trained = pruning.retrain(
        task, pruning.RULES["reinit"], masks=masks, retrain_time=1, final=first
    )
    assert pruning.density(trained.state.masks) == pytest.approx(0.5, abs=0.01)


def test_fresh_weights_of_a_module_there_are_not():
    task = pruning.Task(made(), net(), RECIPE)
    state = task.initial_state(0, "dense")
    masks = pruning.prune(task, state, 0.5)
    for draw in (
        lambda: pruning.retrain(
            task, pruning.RULES["reinit"], masks=masks, retrain_time=1, final=state
        ),
        lambda: pruning.train_pruned(task, masks, None),
        lambda: task.initial_state(0, "retrain"),
        lambda: task.build(3),
    ):
        with pytest.raises(pruning.PruningError, match="weights, and the task has a module"):
            draw()


def test_scores_searches_and_shrinking_take_modules_too():
    task = pruning.Task(made(), net(), RECIPE)
    start = task.initial_state(0, "dense")
    for score in ("snip", "grasp", "synflow", "random"):
        masks = pruning.prune(task, start, 0.4, score=score, sample={"images_per_class": 2})
        assert pruning.density(masks) == pytest.approx(0.4, abs=0.01)
    trained = pruning.train_pruned(task, masks, start)
    assert trained.steps == 6
    shrunk = train_prunetrain(task, start, Settings(interval=1, threshold=0.2, ratio=0.5))
    assert pruning.network_of(task, shrunk.trained.state)(torch.ones(2, 3, 6, 6)).shape == (2, 4)


def doubled():
    module = net()
    return module.double()


def pruned():
    module = net()
    torch_prune.random_unstructured(module[4], "weight", amount=0.5)
    return module


def from_elsewhere(shape, classes, draws=np.random.default_rng(0)):  # noqa: B008
    module = net()
    module[4].weight.data = torch.from_numpy(draws.normal(size=(4, 96)).astype("f4"))
    return module


def shuffled(shape, classes):
    order = random.sample(range(108), 108)

    class Shuffle(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, order]

    return nn.Sequential(Shuffle(), nn.Linear(108, classes))


SAME = net()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("small_cnn", r"NetworkConfig: `pruning.NetworkConfig\('small_cnn'\)`.*this is a str"),
        (None, "this is a NoneType"),
        (lambda: net(), r"cannot be called with \(shape, classes\)"),
        (lambda shape, classes: "net", "gives a str, no module"),
        (lambda shape, classes: SAME, "gives the same weights whatever the seed"),
        (lambda shape, classes: nn.Sequential(SAME), "gives the same weights whatever the seed"),
        (lambda shape, classes: copy.deepcopy(SAME), "gives the same weights whatever the seed"),
        (
            lambda shape, classes: nn.Sequential(SAME, nn.Linear(4, classes)),
            "gives the same weights whatever the seed",
        ),
        (from_elsewhere, "gives other weights each time"),
        (shuffled, "another one each time it is built"),
        (net((1, 6, 6)), r"does not take an image \(1, 3, 6, 6\): "),
        (lambda shape, classes: net(shape, 7), r"makes \(1, 7\) of an image .*each of 4 classes"),
        (net(classes=1000), r"makes \(1, 1000\)"),
        (nn.Identity(), r"makes \(1, 3, 6, 6\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.LSTM(4, 4)), "makes tuple of"),
        (doubled(), "is float64; networks train in float32"),
        (pruned(), "torch.nn.utils.prune is at work"),
    ],
    ids=[
        "name", "none", "signature", "text", "same", "inside", "copies", "partly", "random",
        "order", "grey", "fewer", "more", "images", "tuple", "double", "pruned",
    ],
)  # fmt: skip
def test_what_is_no_network_for_the_data_is_refused_at_once(network, message):
    with pytest.raises(pruning.PruningError, match=message):
        pruning.Task(made(), network, RECIPE)


def test_modules_with_masks_of_torch_go_on_once_these_are_taken_off():
    module = pruned()
    masks = {n: m.clone() for n, m in module.named_buffers() if n.endswith("_mask")}
    torch_prune.remove(module[4], "weight")
    task = pruning.Task(made(), module, RECIPE)
    rule = pruning.RULES["fine_tune"]
    tuned = pruning.retrain(task, rule, masks=masks, retrain_time=1, final=pruning.state_of(module))
    assert sorted(tuned.state.masks) == ["0.weight", "4.weight"]
    assert tuned.state.masks["0.weight"].all()
    assert torch.equal(tuned.state.masks["4.weight"], masks["4.weight_mask"].bool())
    assert (tuned.state.weights["4.weight"][masks["4.weight_mask"] == 0] == 0).all()


def test_density_counts_the_layers_that_have_no_mask():
    task = pruning.Task(made(), net(), RECIPE)
    state = pruning.state_of(task.network)
    mask = torch.zeros_like(state.weights["4.weight"])
    mask[:, ::4] = 1
    tuned = pruning.retrain(
        task, pruning.RULES["fine_tune"], masks={"4.weight": mask}, retrain_time=1, final=state
    )
    trained = pruning.train_pruned(task, {"4.weight_mask": mask}, state)
    prunable = {name: state.weights[name].numel() for name in task.prunable()}
    kept = sum(prunable.values()) - mask.numel() * 3 / 4
    for found in (tuned.state, trained.state):
        assert pruning.density(found.masks) == kept / sum(prunable.values())
    plain = pruning.retrain(task, pruning.RULES["fine_tune"], masks={}, retrain_time=1, final=state)
    assert plain.state.masks == {}


def test_copies_share_nothing():
    module = net()
    first, second = (build_own(module, (3, 6, 6), 4, None) for _ in range(2))
    owners = [{id(p) for p in m.parameters()} for m in (module, first, second)]
    assert len(set.union(*owners)) == 3 * len(owners[0])
