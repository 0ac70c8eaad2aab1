"""Translation: trained, pruned, scored and resumed by the same code as any other task."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU
from torch import nn

import pruning
from pruning.data.batching import Batching
from pruning.data.pieces import END
from pruning.data.sentence_batches import sentence_batch
from pruning.data.sentences import load_text
from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.masks.report import report
from pruning.masks.weights import prune
from pruning.models.beam_search import beam_search
from pruning.models.cost import network_macs
from pruning.models.gnmt import gnmt
from pruning.running.code_version import modules
from pruning.stages.context import StageContext
from pruning.systems.gsm.training import train_gsm
from pruning.systems.rewinding.method import retrain
from pruning.systems.rewinding.rules import RULES
from pruning.training import translation
from pruning.training.bleu import READINGS, bleu, signatures
from pruning.training.classification import Classification
from pruning.training.dense import train_dense
from pruning.training.evaluate import evaluate_split
from pruning.training.network import network_of
from pruning.training.recipe import OptimizerConfig
from pruning.training.resume import ResumeFile
from pruning.training.schedules import Pieces
from pruning.training.translation import Translation
from tests import together
from tests.conftest import assert_same_state
from tests.test_callback import Killed, Killing
from tests.text import BIASES, NETWORK, RECIPE, text_file


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return text_file(tmp_path_factory.mktemp("text") / "renamed.safetensors")


@pytest.fixture(scope="module")
def task(file):
    return Translation(load_text(file), NETWORK, RECIPE, also_prunable=BIASES, name="renaming")


@pytest.fixture(scope="module")
def dense(task):
    return train_dense(task, 0, (2,))


def test_a_tiny_network_learns_a_tiny_language(task, dense):
    first, last = dense.trained.metrics[0], dense.trained.metrics[-1]
    assert list(first) == [
        "epoch", "step", "learning_rate", "train_loss",
        "validation_bleu", "validation_bleu_13a", "validation_loss",
        "test_bleu", "test_bleu_13a", "test_loss",
    ]  # fmt: skip
    assert last["step"] == 90
    assert last["test_loss"] < first["test_loss"]
    assert last["test_bleu"] > 12 > first["test_bleu"]
    assert task.examples_seen(90) == 16 * 90
    assert task.examples("validation") == 30


def test_costs_are_of_a_pair_of_the_mean_lengths_and_its_beginning(task):
    source, lengths, given = task.example()
    means = [
        side.lengths.double().mean() for side in (task.data.train.source, task.data.train.target)
    ]
    assert source.shape == (1, round(float(means[0])))
    assert lengths.tolist() == [source.shape[1]]
    assert given.shape == (1, round(float(means[1])) + 1)


def test_scores_are_sacrebleu_s_of_what_the_search_finds_in_both_readings(task, dense):
    module = network_of(task, dense.final).eval()
    found = evaluate_split(module, task, "test")
    texts = []
    with torch.no_grad():
        for row in range(40):
            batch = sentence_batch(task.data.test, torch.tensor([row]))
            pieces = beam_search(module, batch.source, batch.source_lengths)[0]
            texts.append(" ".join(f"v{piece - 3}" for piece in pieces))
    references = [list(task.data.test.references)]
    for name, options in (
        ("bleu", {"lowercase": True, "tokenize": "intl"}),
        ("bleu_13a", {"tokenize": "13a"}),
    ):
        assert found[name] == BLEU(**options).corpus_score(texts, references).score
    told = task.record()
    assert told["signatures"] == signatures()
    assert "case:lc" in told["signatures"]["bleu"]
    assert "tok:intl" in told["signatures"]["bleu"]
    assert "case:mixed" in told["signatures"]["bleu_13a"]
    assert "tok:13a" in told["signatures"]["bleu_13a"]
    assert set(READINGS) == {"bleu", "bleu_13a"}
    json.dumps(told)


def test_the_two_readings_differ_where_case_and_signs_do():
    found = bleu(["the cat sat on the mat ."], ["The cat sat on the mat."])
    assert found["bleu"] == pytest.approx(100)
    assert found["bleu_13a"] == pytest.approx(80.911, abs=1e-3)


def test_the_loss_is_the_mean_or_the_sum_over_sentences_of_their_pieces(task):
    module = task.build(0)
    batch = task.batches(0, ("x",)).batch(0)
    logits = module(batch.source, batch.source_lengths, batch.given)
    total = 0.0
    for row, length in enumerate(batch.lengths.tolist()):
        for step in range(length):
            target = torch.full((9,), 0.1 / 9)
            target[batch.wanted[row, step]] += 0.9
            total = total - (target * logits[row, step].log_softmax(0)).sum()
        assert batch.wanted[row, length - 1] == END
    torch.testing.assert_close(task.loss(module, batch), total / 16)
    summed = replace(task, recipe=replace(RECIPE, loss="sum"))
    torch.testing.assert_close(summed.loss(module, batch), total)
    assert summed.weight(3, 16) == 1.0
    assert task.weight(4, 16) == 0.25
    torch.testing.assert_close(summed.scoring_loss(module, batch), total / 16)
    # Of the scores written down there is no smoothing, and the mean is over pieces.
    batch = sentence_batch(task.data.test, torch.arange(40))
    logits = module(batch.source, batch.source_lengths, batch.given).log_softmax(2)
    plain = sum(
        -logits[row, step, batch.wanted[row, step]]
        for row, length in enumerate(batch.lengths.tolist())
        for step in range(length)
    )
    found = evaluate_split(module, task, "test")["loss"]
    assert found == pytest.approx(float(plain.detach()) / int(batch.lengths.sum()), rel=1e-5)


@pytest.mark.parametrize("rule", ["lr_rewind", "weight_rewind", "fine_tune", "reinit"])
def test_pruned_networks_are_retrained_and_resume_to_the_same_bytes(task, dense, rule, tmp_path):
    masks = prune(task, dense.final, 0.6)
    given = {
        "masks": masks, "retrain_time": 2, "final": dense.final, "rewind": dense.rewind[2],
    }  # fmt: skip
    whole = retrain(task, RULES[rule], **given)
    with pytest.raises(Killed):
        retrain(task, RULES[rule], **given, resume=Killing(tmp_path / "r", 1))
    again = retrain(task, RULES[rule], **given, resume=ResumeFile(tmp_path / "r", "same"))
    assert_same_state(whole.state, again.state)
    assert whole.metrics == again.metrics
    for name, mask in masks.items():
        assert not whole.state.weights[name][~mask].any()
    assert any("bias" in name and not mask.all() for name, mask in masks.items())


@pytest.mark.parametrize(
    ("score", "options"),
    [
        ("magnitude", {}), ("random", {}), ("snip", {}), ("snip", {"reduction": "summed"}),
        ("grasp", {}), ("grasp_abs", {}),
    ],
)  # fmt: skip
def test_weights_are_scored_and_pruned_by_the_same_code(task, score, options):
    state = task.initial_state(0)
    masks = prune(task, state, 0.7, score=score, sample={"sentences": 20}, score_options=options)
    kept, total = masking.counts(masks)
    assert kept == masking.kept_count(0.7, total)
    told = report(task, masks)
    assert (told["prunable"], told["kept"]) == (total, kept)
    assert 0 < told["effective_density"] <= told["mask_density"]
    macs = network_macs(task.build(), task.example(), masks)
    dense = network_macs(task.build(), task.example())
    assert sum(macs.values()) < sum(dense.values())


def test_snip_of_a_bias_is_its_gradient_times_it(task):
    """Biases begin at zero, so SNIP gives them nothing: they are the first to go."""
    masks = prune(task, task.initial_state(0), 0.5, score="snip", sample={"sentences": 8})
    assert not any(mask.any() for name, mask in masks.items() if "bias" in name)


def test_synflow_follows_paths_through_gates(task):
    masks = prune(task, task.initial_state(0), 0.5, score="synflow", iterations=3)
    assert 0.45 < masking.density(masks) <= 0.5


def test_samples_are_counted_in_sentences(task):
    sample = task.scoring_batches(0, sentences=20)
    assert [len(batch) for batch in sample] == [16, 4]
    assert torch.equal(sample[1].source, task.scoring_batches(0, sentences=20)[1].source)
    with pytest.raises(PruningError, match="said by images_per_class, .* counts it by: sentences"):
        prune(task, task.initial_state(0), 0.5, score="snip", sample={"images_per_class": 5})
    with pytest.raises(PruningError, match="Scoring wants 241 training pairs"):
        len(task.scoring_batches(0, sentences=241)[0])


def test_an_emptied_vector_of_the_attention_is_named(task, dense):
    masks = masking.dense(dense.final.weights, task.prunable())
    masks["attention.v.weight"] = torch.zeros_like(masks["attention.v.weight"])
    with pytest.raises(PruningError, match=r"nothing of attention\.v\.weight.*the norm"):
        retrain(
            task, RULES["fine_tune"], masks=masks, retrain_time=2, final=dense.final, rewind=None
        )
    weights = dict(dense.final.weights) | {
        "attention.v.weight": dense.final.weights["attention.v.weight"] * 1e-6
    }
    with pytest.raises(PruningError, match=r"nothing of attention\.v\.weight"):
        prune(task, replace(dense.final, weights=weights), 0.1)
    exempt = replace(task, exempt=("attention.v",))
    assert "attention.v.weight" not in prune(exempt, replace(dense.final, weights=weights), 0.1)


def test_gsm_trains_it(task):
    recipe = replace(
        RECIPE,
        epochs=2,
        schedule=Pieces(0.02),
        optimizer=OptimizerConfig("gsm", options={"momentum": 0.9, "density": 0.2}),
    )
    trained = train_gsm(task, task.initial_state(0), recipe)
    assert trained.metrics[-1]["test_loss"] < trained.metrics[0]["test_loss"]
    assert "bleu" in " ".join(trained.metrics[-1])


def _shared(path, count, groups):
    translation.AT_A_TIME, found = 8, []
    search = translation.beam_search

    def counted(module, source, lengths):
        found.append(len(source))
        return search(module, source, lengths)

    translation.beam_search = counted
    recipe = replace(RECIPE, processes=count, loss="sum", clip_groups=groups)
    task = Translation(load_text(path), NETWORK, recipe, also_prunable=BIASES, name="shared")
    try:
        trained = train_dense(task, 0, steps=12).trained
    finally:
        translation.AT_A_TIME, translation.beam_search = 100, search
    weights = {name: weight.numpy() for name, weight in trained.state.weights.items()}
    return weights, trained.metrics[-1], sum(found)


def test_two_processes_are_one_in_parts_and_score_the_whole(file):
    alone, metrics, all_of_them = _shared(file, 1, 2)
    (first, told, some), (second, _, others) = together.run(2, _shared, file, 2, 2)
    assert some + others == all_of_them
    assert min(some, others) > 0.3 * all_of_them
    for name, weight in alone.items():
        assert np.array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], weight, rtol=1e-4, atol=1e-6)
    assert told == pytest.approx(metrics, rel=1e-4)


def test_in_bfloat16_it_learns_too(task):
    recipe = replace(RECIPE, precision="bfloat16")
    half = replace(task, recipe=recipe)
    last = train_dense(half, 0).trained.metrics[-1]
    assert last["test_bleu"] > 12
    assert train_dense(half, 0, steps=5).trained.metrics == (
        train_dense(half, 0, steps=5).trained.metrics
    )


class Bare(nn.Module):
    """Gives logits, and cannot be searched."""

    def __init__(self, source, target):
        super().__init__()
        self.words = nn.Embedding(source, 4)
        self.out = nn.Linear(4, target)

    def forward(self, source, lengths, given):
        return self.out(self.words(given) + self.words(source).mean(1, keepdim=True))


def test_networks_of_one_s_own_train_and_others_are_refused(file):
    data = load_text(file)

    def small(source, target):
        return gnmt(source, target, hidden=8, layers=2)

    own = Translation(data, small, RECIPE)
    assert train_dense(own, 0, steps=3).trained.metrics[-1]["step"] == 3
    given = Translation(data, small(9, 9), RECIPE)
    assert train_dense(given, 0, steps=2).trained.steps == 2
    with pytest.raises(PruningError, match="has no features, project, encode, step"):
        Translation(data, Bare, RECIPE).prunable()
    with pytest.raises(PruningError, match=r"makes \(1, \d+, 10\) of a pair of sentences"):
        Translation(data, lambda source, target: small(source, target + 1), RECIPE)
    with pytest.raises(PruningError, match="'resnet20' cannot be built .* inputs of 9 and 9"):
        Translation(data, pruning.NetworkConfig("resnet20"), RECIPE).build(0)


def test_batches_and_validation_of_another_kind_of_task_are_refused(file, task, make_task):
    with pytest.raises(PruningError, match="the recipe's batches are of images"):
        replace(task, recipe=replace(RECIPE, batches=Batching(16)))
    images = make_task()
    with pytest.raises(PruningError, match="batches are of sentences, and images are classified"):
        replace(images, recipe=replace(images.recipe, batches=RECIPE.batches))
    assert isinstance(images, Classification)
    values = {
        "kind": "translation", "validation": {"source": "test", "fraction": 0.2},
        "network": {"name": "gnmt"}, "recipe": RECIPE.to_dict(), "exempt": [],
    }  # fmt: skip
    with pytest.raises(PruningError, match="validation sentences of its own"):
        StageContext("s", 0, values, "").load_task(file, "dense")


def test_no_study_of_one_kind_of_task_depends_on_code_of_the_other():
    vision = set(modules("pruning.training.classification", "pruning.stages.dense"))
    text = set(modules("pruning.training.translation", "pruning.stages.dense"))
    for name in ("translation", "bleu"):
        assert f"pruning.training.{name}" in text
        assert f"pruning.training.{name}" not in vision
    for name in ("beam_search", "gnmt", "attention", "token_loss"):
        assert f"pruning.models.{name}" not in vision
    for name in ("sentences", "sentence_batches", "text_store", "joining"):
        assert f"pruning.data.{name}" in text
        assert f"pruning.data.{name}" not in vision
    for name in ("training.classification", "data.batches", "data.splits", "data.augmentation"):
        assert f"pruning.{name}" in vision
        assert f"pruning.{name}" not in text


def test_a_training_imports_what_scores_text_only_when_it_scores(file):
    told = (
        "import sys\n"
        "from pruning.data.sentences import load_text\n"
        "from pruning.training.translation import Translation\n"
        "from tests.text import NETWORK, RECIPE\n"
        f"task = Translation(load_text({str(file)!r}), NETWORK, RECIPE)\n"
        "task.loss(task.build(0), task.batches(0, ()).batch(0)).backward()\n"
        "bad = {'sacrebleu', 'sentencepiece', 'sacremoses', 'torchvision', 'pandas'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", told], check=True)


def test_the_library_takes_text_as_it_takes_images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "text"
    folder.mkdir()
    for stem in ("train", "val", "test"):
        (folder / f"{stem}.de").write_text("ein hund\nzwei hunde im park\neine katze\n" * 8)
        (folder / f"{stem}.en").write_text("a dog\ntwo dogs in a park\na cat\n" * 8)
    options = {
        "root": tmp_path, "path": "text", "source": "de", "target": "en",
        "train": "train", "validation": "val", "test": "test", "vocabulary": 32,
    }  # fmt: skip
    data = pruning.load_data("parallel_text", **options)
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 24, 24)
    assert data.validation.references[1] == "two dogs in a park"
    recipe = pruning.Recipe(
        epochs=2,
        batches=pruning.SentenceBatching(8),
        schedule=pruning.Pieces(0.01, ((4, 0.5),), climb_steps=2),
        optimizer=pruning.OptimizerConfig("adam"),
        clip=5.0,
    )
    network = pruning.NetworkConfig("gnmt", "uniform_02", {"hidden": 8, "layers": 2})
    task = pruning.Translation(data, network, recipe)
    dense = pruning.train_dense(task, seed=0, retrain_times=(1,))
    masks = pruning.prune(task, dense.final, density=0.8)
    rewound = pruning.retrain(
        task,
        pruning.RULES["weight_rewind"],
        masks=masks,
        retrain_time=1,
        final=dense.final,
        rewind=dense.rewind[1],
    )
    found = pruning.evaluate(task, rewound.state)["test"]
    assert set(found) == {"bleu", "bleu_13a", "loss"}
