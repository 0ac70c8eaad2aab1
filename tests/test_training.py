import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruning.data.batches import Batching
from pruning.data.splits import Split
from pruning.errors import PruningError, TrainingDiverged
from pruning.library import evaluate
from pruning.masks.weights import prune
from pruning.training import optimizers
from pruning.training.callback import Callback
from pruning.training.dense import train_dense
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import LOCK, Progress, ResumeFile
from tests.conftest import assert_same_state

OPTIMIZERS = [
    OptimizerConfig("sgd", 5e-4, (), {"momentum": 0.9}),
    OptimizerConfig("sgd", 1e-2, ("norm", "bias"), {"momentum": 0.9, "nesterov": True}),
    OptimizerConfig("sgd", 0.0, (), {}),
    OptimizerConfig("adam", 1e-3, (), {}),
]


def plain_training(task, seed, steps):
    """An independent, slow reference: a textbook loop with torch.optim's single-tensor path."""
    from pruning.data.batches import TrainingStream
    from pruning.training.state import load_into

    module = task.build()
    load_into(module, task.initial_state(seed, "dense"))
    optimizer = torch.optim.SGD(
        module.parameters(), lr=1, momentum=0.9, weight_decay=5e-4, foreach=False, fused=False
    )
    stream = TrainingStream(task.data.train, task.normalize, task.recipe.batches, seed, ("dense",))
    for step in range(steps):
        x, y = stream.batch(step)
        optimizer.param_groups[0]["lr"] = task.timeline.schedule()(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return dict(module.named_parameters())


@pytest.mark.parametrize("network", ["mlp", "small_cnn"])
def test_training_agrees_with_a_textbook_loop(make_task, network):
    task = make_task(network, epochs=1, milestones=(0.5,))
    ours = train_dense(task, 0).final
    theirs = plain_training(task, 0, task.timeline.total_steps)
    for name, weight in theirs.items():
        assert torch.allclose(ours.weights[name], weight, rtol=1e-3, atol=1e-5), name


def test_same_seed_same_bits_other_seed_others(make_task):
    task = make_task("small_cnn", epochs=2, milestones=(1,))
    torch.manual_seed(5)
    first = train_dense(task, 0)
    torch.manual_seed(6)
    second, other = train_dense(task, 0), train_dense(task, 1)
    assert_same_state(first.final, second.final)
    assert first.trained.metrics == second.trained.metrics
    assert not torch.equal(first.final.weights["fc1.weight"], other.final.weights["fc1.weight"])


def test_training_learns_and_reports_what_evaluation_says(make_task):
    task = make_task(epochs=6, milestones=(4,))
    trained = train_dense(task, 0).trained
    assert trained.metrics[-1]["test_accuracy"] > 0.8
    assert [row["epoch"] for row in trained.metrics][:3] == [1, 2, 3]
    assert trained.metrics[-1]["step"] == trained.steps == task.timeline.total_steps
    from pruning.library import evaluate

    scores = evaluate(task, trained.state)
    assert scores["test"]["accuracy"] == trained.metrics[-1]["test_accuracy"]
    assert scores["validation"]["loss"] == trained.metrics[-1]["validation_loss"]


def test_accuracy_is_an_exact_count_on_a_short_last_batch(monkeypatch):
    from pruning.training import classification as module

    monkeypatch.setattr(module, "BATCH", 7)
    labels = torch.arange(17) % 3
    images = torch.nn.functional.one_hot(labels, 3).to(torch.uint8).view(17, 1, 1, 3)
    images[:4] = images[:4].roll(1, -1)  # four wrong
    scores = module.accuracy_and_loss(
        torch.nn.Flatten(), Split(images, labels), lambda x: x.float().permute(0, 3, 1, 2)
    )
    assert scores["accuracy"] == 13 / 17
    logits = images.float().flatten(1)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert scores["loss"] == pytest.approx(float(expected), rel=1e-6)


# One fixture value serves all examples: making a task is a pure function.
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    density=st.floats(0.02, 1.0),
    config=st.sampled_from(OPTIMIZERS),
    scope=st.sampled_from(["global", "layerwise"]),
    steps=st.integers(1, 25),
)
def test_masks_hold_in_weights_and_slots(make_task, density, config, scope, steps):
    task = make_task("small_cnn", optimizer=config, learning_rate=0.01)
    start = train_dense(task, 0, steps=4).final  # slots that are not zero
    masks = prune(task, start, density, scope=scope)
    state = train(task, start.masked(masks), Run(steps, lambda s: 0.01, 0, ("x",))).state
    for name, mask in masks.items():
        assert state.weights[name][~mask].abs().sum() == 0
        assert torch.isfinite(state.weights[name]).all()
        for slot in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
            if f"{slot}/{name}" in state.slots:
                assert state.slots[f"{slot}/{name}"][~mask].abs().sum() == 0
    changed = [n for n in masks if masks[n].any()]
    assert any(not torch.equal(state.weights[n], start.weights[n]) for n in changed)


def test_masking_gradients_equals_masking_the_forward_pass(make_task):
    """Renda et al. compute with w*m and leave the raw weight alone; the kept weights agree."""
    task = make_task(epochs=1, milestones=())
    start = task.initial_state(0)
    masks = prune(task, start, 0.3)
    ours = train(task, start.masked(masks), Run(15, lambda s: 0.1, 0, ("x",))).state
    from pruning.data.batches import TrainingStream
    from pruning.training.state import load_into

    module = task.build()
    load_into(module, start)
    raw = dict(module.named_parameters())
    optimizer = torch.optim.SGD(raw.values(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    stream = TrainingStream(task.data.train, task.normalize, task.recipe.batches, 0, ("x",))
    for step in range(15):
        x, y = stream.batch(step)
        effective = {n: p * masks[n] if n in masks else p for n, p in raw.items()}
        loss = torch.nn.functional.cross_entropy(
            torch.func.functional_call(module, effective, (x,)), y
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, mask in masks.items():
        assert torch.allclose(ours.weights[name], raw[name] * mask, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("network", ["mlp", "small_cnn"])
def test_resuming_at_any_epoch_ends_in_the_same_bits(make_task, tmp_path, network, stop):
    task = make_task(network)
    snapshot = (30,)  # inside the second epoch
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("dense",))
    start = task.initial_state(0)
    whole = train(task, start, run, snapshots=snapshot)

    class Killed(Exception):
        pass

    class Stopping(ResumeFile):
        offers = 0

        def offer(self, progress):
            self.save(progress())
            self.offers += 1
            if self.offers == stop:
                raise Killed

    with pytest.raises(Killed):
        train(task, start, run, snapshots=snapshot, resume=Stopping(tmp_path / "r", "same"))
    resume = ResumeFile(tmp_path / "r", "same")
    assert resume.load().done == task.timeline.epoch_end(stop)
    again = train(task, start, run, snapshots=snapshot, resume=resume)
    assert_same_state(again.state, whole.state)
    assert_same_state(again.snapshots[30], whole.snapshots[30])
    assert again.metrics == whole.metrics


def test_a_resume_file_of_other_settings_or_damaged_is_not_used(make_task, tmp_path):
    state = make_task().initial_state(0)
    file = ResumeFile(tmp_path / "r", "this")
    file.save(Progress(state, done=7))
    assert ResumeFile(tmp_path / "r", "this").load().done == 7
    assert ResumeFile(tmp_path / "r", "other").load() is None
    assert not list((tmp_path / "r").glob("*.*"))
    file.save(Progress(state, done=7))
    (tmp_path / "r" / "state-7.safetensors").write_bytes(b"half")
    assert file.load() is None
    file.save(Progress(state, done=7))
    file.save(Progress(state, done=9))
    assert [p.name for p in (tmp_path / "r").glob("state-*")] == ["state-9.safetensors"]


def test_a_second_process_that_trains_the_same_is_told_who_does(make_task, tmp_path):
    task, folder = make_task(), tmp_path / "level1.resume"
    code = (
        "import sys; from pruning.locks import FileLock; lock = FileLock(sys.argv[1]);"
        "print(lock.acquire(0), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, folder / LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"True\n"
    told = rf"level1 is being trained already, by process {other.pid} on"
    with pytest.raises(PruningError, match=told):
        train_dense(task, 0, resume=ResumeFile(folder, "same", patience=0))
    other.communicate()
    resume = ResumeFile(folder, "same", patience=10)
    train_dense(task, 0, resume=resume)
    assert folder.exists()  # and locked until the outputs are written
    resume.discard()
    assert not folder.exists()


def test_saving_progress_takes_a_bounded_share_of_time(make_task, tmp_path):
    file = ResumeFile(tmp_path / "r", "x", budget=0.05)
    file.offer(lambda: pytest.fail("an epoch of no length is not worth saving"))
    eager = ResumeFile(tmp_path / "r", "x", budget=1e9)
    eager.offer(lambda: Progress(make_task().initial_state(0)))
    assert (tmp_path / "r" / "index.json").exists()


def test_divergence_names_step_and_rate_and_stops(make_task):
    task = make_task(learning_rate=1e18, milestones=())
    with pytest.raises(TrainingDiverged, match=r"test task.*step \d+, learning rate 1e\+18"):
        train_dense(task, 0)


def test_divergence_in_the_very_last_step_is_seen(make_task):
    task = make_task(learning_rate=1e38, milestones=())
    with pytest.raises(TrainingDiverged, match="at step 0, learning rate"):
        train_dense(task, 0, steps=1)


def test_weight_decay_exclusions(make_task):
    module = make_task("small_cnn").build(0)
    groups = optimizers.make(OptimizerConfig("sgd", 0.1, ("bias", "norm")), module).param_groups
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    named = {name: decay[id(p)] for name, p in module.named_parameters()}
    assert named["conv1.weight"] == named["fc2.weight"] == 0.1
    assert named["norm1.weight"] == named["norm1.bias"] == named["fc1.bias"] == 0
    everything = optimizers.make(OptimizerConfig("sgd", 0.1), module).param_groups
    assert {g["weight_decay"] for g in everything} == {0.1}
    with pytest.raises(PruningError, match="option of the optimizer 'sgd' 'momentun'"):
        optimizers.make(OptimizerConfig("sgd", options={"momentun": 0.9}), module)
    with pytest.raises(PruningError, match="Did you mean 'adam'"):
        optimizers.make(OptimizerConfig("adamw"), module)


def test_what_requires_no_gradient_stays_as_it_is_masks_and_weight_decay_or_not(make_task):
    class Freezing(Callback):
        def adapt(self, module):
            module.fc1.weight.requires_grad_(False)
            return module

    task = make_task(optimizer=OptimizerConfig("sgd", 0.1, (), {"momentum": 0.9}), epochs=1)
    start = task.initial_state(0)
    start = start.masked(prune(task, start, 0.5))
    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    trained = train(task, start, run, callback=Freezing()).state
    assert torch.equal(trained.weights["fc1.weight"], start.weights["fc1.weight"])
    assert not any(key.endswith("fc1.weight") for key in trained.slots)
    assert not torch.equal(trained.weights["fc2.weight"], start.weights["fc2.weight"])
    assert not trained.weights["fc2.weight"][~start.masks["fc2.weight"]].any()
    module = task.build(0).requires_grad_(False)
    with pytest.raises(PruningError, match="No parameter of the network requires"):
        optimizers.make(OptimizerConfig("sgd"), module)


def test_a_training_job_imports_neither_torchvision_nor_pandas(digits_file, tmp_path):
    code = f"""
import sys
from dataclasses import replace
from pruning.data.batches import Batching
from pruning.stages.context import StageContext
import pruning.stages.prune, pruning.systems.rewinding.stages.retrain
from pruning.stages.dense import dense
task = dict(
    kind="classification",
    validation=dict(source="test", fraction=0.2), exempt=[],
    network=dict(name="mlp", initialization="kaiming_normal", options=dict(widths=[8])),
    recipe=dict(epochs=1, batches=dict(size=64), schedule=dict(learning_rate=0.1), threads=1),
)
dense(StageContext("s", 0, task, "v"), {str(digits_file)!r}, {str(tmp_path)!r}, (1.0,))
heavy = ["torchvision", "pandas", "matplotlib", "seaborn", "sklearn", "snakemake", "scipy", "PIL",
         "yaml", "jsonschema"]
assert not [m for m in heavy if m in sys.modules], [m for m in heavy if m in sys.modules]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_belong_to_the_recipe_and_are_put_back(make_task):
    task = make_task(epochs=1, milestones=(), threads=2)
    before = torch.get_num_threads()
    train_dense(task, 0, steps=2)
    assert torch.get_num_threads() == before


def test_batch_larger_than_the_data_set_trains(make_task):
    task = make_task(epochs=3, milestones=(), batches=Batching(5000))
    trained = train_dense(task, 0, steps=3).trained
    assert trained.state.step == 3


def trained_in(make_task, precision, network="small_cnn"):
    task = make_task(network, epochs=2, milestones=(), precision=precision)
    start = task.initial_state(0)
    start = start.masked(prune(task, start, 0.5))
    seen = []

    class Watching(Callback):
        def after_step(self, module, optimizer, step):
            if step == 0:
                seen.extend(p.grad.dtype for p in module.parameters())

        def penalty(self, module, loss, step):
            seen.append(loss.dtype)

    run = Run(task.timeline.total_steps, task.timeline.schedule(), 0, ("x",))
    return task, train(task, start, run, callback=Watching()), set(seen)


def test_bfloat16_rounds_layers_and_nothing_that_is_kept(make_task):
    _, exact, _ = trained_in(make_task, "float32")
    _, rounded, dtypes = trained_in(make_task, "bfloat16")
    assert dtypes == {torch.float32}
    state = rounded.state
    for group in (state.weights, state.slots, state.buffers):
        assert {t.dtype for t in group.values()} <= {torch.float32, torch.int64}
    for name, mask in state.masks.items():
        assert torch.equal(state.weights[name] != 0, mask)
    losses = [t.metrics[0]["train_loss"] for t in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_scores_are_computed_in_the_recipes_precision(make_task):
    task, trained, _ = trained_in(make_task, "bfloat16")
    again = evaluate(task, trained.state)
    assert again["test"]["loss"] == trained.metrics[-1]["test_loss"]
    exact = replace(task, recipe=replace(task.recipe, precision="float32"))
    assert again["test"]["loss"] != evaluate(exact, trained.state)["test"]["loss"]


def test_without_a_gpu_tf32_is_float32(make_task):
    first, second = (trained_in(make_task, p)[1].state for p in ("float32", "tf32"))
    assert_same_state(first, second)


def test_an_unknown_precision_is_refused(make_task):
    with pytest.raises(PruningError, match="Did you mean 'bfloat16'"):
        make_task(precision="bfloat")
