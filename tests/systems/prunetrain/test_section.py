"""The section of a study file, and the studies there are."""

from types import SimpleNamespace

import pytest
import yaml

from pruning.errors import PruningError
from pruning.study.asks import Workflow
from pruning.systems.prunetrain.asks import PruneTrainAsks
from pruning.systems.prunetrain.section import Cell
from tests.conftest import REPOSITORY

SCHEMAS = REPOSITORY / "workflow" / "schemas"
STUDY = """
title: Tiny
dataset: digits
network: {name: small_cnn}
seeds: [0]
recipe:
  epochs: 6
  batches: {size: 64, epoch_boundary: keep}
  optimizer: {options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1}
prunetrain:
  methods: [prunetrain, prunetrain_one_time]
  ratios: [0.1, 0.2]
  interval: 2
"""


@pytest.fixture
def read(tmp_path):
    def read(*edits):
        text = STUDY
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "tiny.yaml").write_text(text)
        config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
        workflow = Workflow(config | {"study_folder": str(tmp_path), "studies": ["tiny"]}, SCHEMAS)
        return workflow.study("tiny").part("prunetrain")

    return read


def test_a_section_says_what_is_trained(read):
    part = read()
    assert list(part.shrinking()) == [
        Cell(method, "unmodified", level)
        for method in ("prunetrain", "prunetrain_one_time")
        for level in (1, 2)
    ]
    assert not list(part.finetunings())
    assert part.told(Cell("prunetrain", "unmodified", 2)) == {
        "method": "prunetrain",
        "ratio": 0.2,
        "interval": 2,
        "threshold": 1e-4,
        "epsilon": 1e-8,
        "growth": {"maximum": 1024, "multiple": 32},
    }
    assert part.recipe["epochs"] == 6  # the study's own


FINETUNE = """  finetune:
    epochs: 1
    batches: {size: 64}
    schedule: {learning_rate: 0.01}
"""
METHODS = "[prunetrain, prunetrain_one_time]"


def test_methods_may_have_some_of_the_ratios_and_train_on(read):
    part = read(
        (METHODS, "[prunetrain, train_then_prune]"),
        ("  interval: 2\n", "  interval: 2\n  ratios_by_method: {train_then_prune: [0.2]}\n"
         "  fine_tuned: [prunetrain]\n" + FINETUNE),
    )  # fmt: skip
    assert Cell("train_then_prune", "unmodified", 1) not in part.shrinking()
    assert list(part.finetunings()) == [
        Cell("prunetrain", "fine_tuned", 1),
        Cell("prunetrain", "fine_tuned", 2),
        Cell("train_then_prune", "fine_tuned", 2),  # always
    ]
    assert part.finetune["epochs"] == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (METHODS, "[prunetrain, prunetrian_gating]", "prunetrian_gating"),
        ("[0.1, 0.2]", "[0.2, 0.1]", r"prunetrain\.ratios must rise"),
        ("[0.1, 0.2]", "[0.2, 0.2]", r"prunetrain\.ratios must rise"),
        ("[0.1, 0.2]", "[0.2, 1]", r"prunetrain\.ratios"),
        ("[0.1, 0.2]", "[0, 0.2]", r"prunetrain\.ratios"),
        ("[0.1, 0.2]", "[.nan]", r"prunetrain\.ratios"),
        ("[0.1, 0.2]", "[]", r"prunetrain\.ratios"),
        ("interval: 2", "interval: 6", r"prunetrain\.interval: 6 epochs are no shorter"),
        ("interval: 2", "interval: 0", r"prunetrain\.interval"),
        ("interval: 2", "interval: 1.5", r"prunetrain\.interval"),
        ("interval: 2", "threshold: 0", r"prunetrain\.threshold"),
        ("interval: 2", "threshold: .inf", r"prunetrain\.threshold"),
        ("interval: 2", "epsilon: -1", r"prunetrain\.epsilon"),
        ("interval: 2", "epsilon: .nan", r"prunetrain\.epsilon"),
        ("interval: 2", "intervals: 2", r"intervals"),
        ("interval: 2", "fine_tuned: [prunetrain]", r"prunetrain\.finetune is missing"),
        ("interval: 2\n", "interval: 2\n" + FINETUNE, r"prunetrain\.finetune is a recipe that no"),
        ("interval: 2", "fine_tuned: [train_then_prune]", r"prunetrain\.fine_tuned names"),
        ("interval: 2", "ratios_by_method: {prunetrain: [0.3]}", r"names 0\.3, which is not"),
        ("interval: 2", "ratios_by_method: {prunetrain_gating: [0.1]}",
         r"ratios_by_method names 'prunetrain_gating'"),
        (METHODS, "[prunetrain_dynamic_batch]\n  growth: {maximum: 32}", r"growth\.maximum is 32"),
        (METHODS, "[prunetrain_dynamic_batch]\n  growth: {maximum: 100, multiple: 4096}",
         r"nothing could grow"),
        ("interval: 2", "interval: 2\n  ratios_by_method: {prunetrain: [0.1], "
         "prunetrain_one_time: [0.1]}", r"ratios has 0\.2, which no method"),
        ("interval: 2", "epsilon: 1.0e-60", r"prunetrain\.epsilon"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_it_trains(read, old, new, message):
    with pytest.raises(PruningError, match=message):
        read((old, new))


def test_growing_batches_need_whole_epochs(read):
    with pytest.raises(PruningError, match="needs epochs of whole batches"):
        read((METHODS, "[prunetrain_dynamic_batch]"), (", epoch_boundary: keep", ""))
    assert read((METHODS, "[prunetrain_dynamic_batch]"))


def test_a_figure_of_a_level_that_is_not_there_is_refused(read):
    with pytest.raises(PruningError, match=r"figure\.prunetrain_level is 3"):
        read(("title: Tiny\n", "title: Tiny\nfigure: {prunetrain_level: 3}\n"))


# Studies at paper scale, value by value (reference, sections 2 to 4).

NETWORKS = {"vgg11": "vgg11", "vgg13": "vgg13", "resnet32": "resnet32",
            "resnet50bt": "resnet50_bottleneck"}  # fmt: skip


@pytest.mark.parametrize("suffix", ["", "_cifar100"])
@pytest.mark.parametrize("name", NETWORKS)
def test_studies_at_paper_scale_are_the_authors(name, suffix):
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    config["study_folder"] = str(REPOSITORY / "config/studies")
    study = Workflow(config, SCHEMAS).study(f"prunetrain_{name}{suffix}")
    assert study.dataset == ("cifar100" if suffix else "cifar10")
    assert study.task["network"]["name"] == NETWORKS[name]
    assert study.task["network"]["initialization"] == "kaiming_normal_fan_out"
    recipe, part = study.task["recipe"], study.part("prunetrain")
    assert part.recipe == recipe
    assert recipe["epochs"] == 182
    assert recipe["batches"]["size"] == 128
    assert recipe["batches"]["crop_padding"] == 4
    assert recipe["batches"]["flip"]
    assert recipe["batches"]["mean"] == [0.4914, 0.4822, 0.4465]
    assert recipe["batches"]["std"] == [0.2023, 0.1994, 0.2010]
    optimizer = recipe["optimizer"]
    assert (optimizer["weight_decay"], optimizer["decay_exclude"]) == (5e-4, [])
    assert optimizer["options"] == {"momentum": 0.9}
    # The rate falls where epochs 91 and 136, counted from 1, begin.
    assert recipe["schedule"]["milestones"] == [90, 135]
    assert (recipe["schedule"]["learning_rate"], recipe["schedule"]["gamma"]) == (0.1, 0.1)
    assert part.ratios == (0.1, 0.2, 0.3, 0.4)
    told = part.told(Cell("prunetrain", "unmodified", 2))
    assert (told["interval"], told["threshold"], told["epsilon"]) == (10, 1e-4, 1e-8)
    assert study.task["validation"] == {"source": "test", "fraction": 0}


def test_other_cells_are_refused_by_the_rules(read, tmp_path, capsys):
    read()
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    workflow = Workflow(config | {"study_folder": str(tmp_path), "studies": ["tiny"]}, SCHEMAS)
    asks = PruneTrainAsks(workflow)
    cell = {"study": "tiny", "seed": "0", "method": "prunetrain", "level": "2"}
    assert asks.shrink_params(SimpleNamespace(**cell))["settings"]["ratio"] == 0.2
    for ask, change, message in (
        (asks.shrink_params, {"level": "3"}, "does not train prunetrain at level 3"),
        (asks.shrink_input, {"method": "prunetrain_gating"}, "does not train prunetrain_gating"),
        (asks.finetune_params, {}, "does not fine-tune prunetrain at level 2"),
    ):
        with pytest.raises(SystemExit):
            ask(SimpleNamespace(**cell | change))
        assert message in capsys.readouterr().err
