from types import SimpleNamespace

import pytest
import yaml

from pruning import cli
from pruning.analysis.published import read_cells
from pruning.data.batching import Batching
from pruning.data.validation import Validation
from pruning.errors import PruningError
from pruning.models.config import NetworkConfig
from pruning.study.asks import Workflow
from pruning.study.places import trainings
from pruning.study.study import find_study, load_study, study_names
from pruning.systems.rewinding.section import modes
from pruning.training.recipe import Recipe
from pruning.training.schedules import StepDecay
from tests.conftest import REPOSITORY, SCHEMAS

STUDIES = REPOSITORY / "config" / "studies"
SCHEMA = SCHEMAS / "study.schema.yaml"
DIGITS = STUDIES / "digits.yaml"


def write(tmp_path, name="s", changes=None, **more):
    """The digits study with changes; a value of None removes the key, dots go inside."""
    document = yaml.safe_load((STUDIES / "digits.yaml").read_text())
    for dotted, value in ((changes or {}) | more).items():
        *parents, key = dotted.split("__") if isinstance(dotted, str) else [dotted]
        place = document
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[key]
        else:
            place[key] = value
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_published_numbers_that_there_are_not_are_refused_by_a_check(tmp_path):
    path = write(tmp_path, changes={"figure": {"at_init_published": "frankle21"}})
    study = load_study(path, SCHEMA)
    with pytest.raises(PruningError, match="s: figure.at_init_published: .*frankle21"):
        cli._check_overlays(study)


@pytest.mark.parametrize("name", study_names(STUDIES))
def test_every_shipped_study_is_valid(name):
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    config["study_folder"] = str(STUDIES)
    study = Workflow(config, SCHEMAS).study(name)
    assert study.name == name
    assert list(trainings(study))[len(study.seeds) :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe__epoch": 3}, "unknown key 'epoch' in recipe. Did you mean 'epochs'"),
        ({"recipe__epochs": "ten"}, "recipe.epochs is 'ten'; it must be of type number"),
        ({"recipe__epochs": -1}, "recipe.epochs is -1; it must be greater than 0"),
        ({"recipe__batches": None}, "recipe lacks the key 'batches'"),
        ({"rewinding__scope": "globl"}, "rewinding.scope is 'globl'. Did you mean 'global'"),
        ({"rewinding__methods": ["lr_rewindd"]}, "Did you mean 'lr_rewind'.*weight_rewind"),
        ({"rewinding__methods": []}, "rewinding.methods is .*at least 1"),
        ({"rewinding__score": "magnitud"}, "Unknown score 'magnitud'. Did you mean 'magnitude'"),
        ({"rewinding__retrain_times": [21]}, r"retrain time 21 lies outside \(0, 20\]"),
        ({"rewinding__retrain_times": [0]}, r"retrain time 0 lies outside"),
        ({"rewinding__densities": [0.5]}, "either `levels`"),
        ({"rewinding__levels": None, "rewinding__densities": [1.5]}, r"1.5.*outside \(0, 1\]"),
        ({"rewinding__levels": None, "rewinding__densities": [0.5, 0]}, r"0 in.*outside \(0, 1\]"),
        ({"rewinding__levels": None, "rewinding__densities": [0.2, 0.5]}, "must fall"),
        ({"network__name": "resnet_20"}, "Unknown network 'resnet_20'. Did you mean 'resnet20'"),
        ({"network__initialization": "he"}, "Unknown initialization 'he'"),
        ({"recipe__optimizer": {"name": "sdg"}}, "Unknown optimizer 'sdg'. Did you mean 'sgd'"),
        (
            {"recipe__batches": {"size": 8, "normalization": "given", "mean": [0.5]}},
            r"s.yaml: recipe: normalization: given needs `mean` and `std`",
        ),
        (
            {"recipe__batches": {"size": 8, "resized_crop": {"scale": [0.1, 1]}}},
            "recipe.batches.resized_crop lacks the key 'ratio'",
        ),
        (
            {"recipe__batches": {"size": 8, "resized_crop": {"scale": [0, 1], "ratio": [1, 1]}}},
            "`scale` is a lowest",
        ),
        ({"recipe__batches": {"size": 8, "std": [0.5]}}, "it is per_channel. Take them out"),
        ({"seeds": [0, 0]}, "seeds is .*must differ"),
        ({"extends": "digit"}, "Unknown study 'digit'"),
        ({"extends": "s"}, "goes in a circle"),
        ({"recipe__optimizer": {"weight_decay": "5e-4"}}, "write 5.0e-4"),
        ({"recipe__epochs": float("inf")}, "recipe.epochs is inf; numbers must be finite"),
        (
            {"recipe__schedule": {"learning_rate": float("nan")}},
            "recipe.schedule.learning_rate is nan; numbers must be finite",
        ),
        (
            {"recipe__schedule": {"shape": "cosine", "learning_rate": 1, "milestones": [1]}},
            "s.yaml: recipe: schedule: 'milestones' does not go with `shape: cosine`",
        ),
        (
            {"recipe__optimizer": {"options": {"weight_decay": 0.1}}},
            "recipe.optimizer.options has 'weight_decay', which is said by recipe.optimizer",
        ),
        (
            {"recipe__optimizer": {"options": {"lr": 0.1}}},
            "options has 'lr', which is said by recipe.schedule.learning_rate",
        ),
        ({"recipe__schedule": {"learning_rate": 0.1, "milestones": [3, 2]}}, "rising order"),
        ({"rewinding__retrain_times": [1e-9]}, "plain number of epochs"),
        ({12: "x"}, "the key 12 in the file is no text to YAML"),
        ({"rewinding__modes": ["structured_a"]}, "no published structured_a for small_cnn"),
        ({"rewinding__modes": ["structured"]}, "Did you mean 'structured_"),
        (
            {"rewinding__levels_by_mode": {"one_shot": 3}},
            "'one_shot', which is not among the modes",
        ),
        (
            {"rewinding__thinnings": {"iterative": [{"convs": [1], "fraction": 0.5}]}},
            r"thinnings names 'iterative'.*\(none\)",
        ),
        (
            {
                "rewinding__modes": ["iterative", "structured_a"],
                "rewinding__densities_by_mode": {"structured_a": [0.5]},
            },
            r"names 'structured_a'.*iterative",
        ),
        ({"figure": {"ylim": [1, -3]}}, "ylim must rise"),
        ({"figure": {"published": "renda2020:resnet57"}}, "Did you mean 'resnet56'"),
        ({"figure": {"published": "renda2021:resnet56"}}, "Unknown paper 'renda2021'"),
        ({"figure": {"retrain_levels": [9]}}, "names level 9, but the study has 8"),
        ({"rewinding__methods_by_mode": {"iterative": ["x"]}}, "Unknown re-training method 'x'"),
        (
            {
                "rewinding__densities_by_mode": {"iterative": [0.5]},
                "rewinding__levels_by_mode": {"iterative": 2},
            },
            "2 levels of iterative, but lists 1",
        ),
        ({"at_init__methods": ["snap"]}, "Did you mean 'snip'"),
        ({"at_init__variants": ["invert"]}, "Unknown variant 'invert'. Did you mean 'inverted'"),
        (
            {"at_init__later__variants_by_method": {"random": ["shuffled"]}},
            "later.* names 'random'",
        ),
        (
            {"at_init__score_options": {"snip": {"batchnorm": "eval"}}},
            "Unknown option of the score 'snip' 'batchnorm'. Did you mean 'batch_norm'",
        ),
        ({"figure": {"at_init_ylim": [95, 60]}}, "at_init_ylim must rise"),
        ({"at_init__levels": 2}, "either `levels`"),
        ({"at_init__densities": None}, "either `levels`"),
        ({"at_init__densities": [0.5, 0]}, r"0 in at_init.densities.*outside \(0, 1\]"),
        ({"at_init__densities": [0.1, 0.2]}, "at_init.densities must fall"),
        ({"at_init__rewind_epoch": None}, "lottery_ticket trains from an early epoch"),
        ({"at_init__rewind_epoch": 20}, r"rewind_epoch: epoch 20 must lie in \[0, 20\)"),
        ({"at_init__iterations": {"snpi": 3}}, "at_init.iterations names 'snpi'"),
        ({"at_init__variants_by_method": {"magnitud": ["shuffled"]}}, "names 'magnitud'"),
        ({"at_init__later__epochs": [20]}, r"later.epochs: epoch 20 must lie in"),
        ({"at_init__later__level": 9}, "later.level is 9, but there are 3"),
        ({"at_init__later__methods": ["lottery_ticket"]}, "always prunes after training"),
        ({"at_init__later__epochs": [1.23456789]}, "few decimals"),
        ({"figure": {"at_init_levels": [4]}}, "at_init_levels names level 4, but the study has 3"),
        ({"figure": {"published": "resnet20"}}, "figure.published is 'resnet20'; it must match"),
        (
            {"seeds": [2**63]},
            "seeds.0 is 9223372036854775808; it must be at most 92233720368547758",
        ),
        ({"seeds": [-1]}, "seeds.0 is -1; it must be at least 0"),
        ({"seeds": [1.5]}, "seeds.0 is 1.5; it must be of type integer"),
        ({"seeds": [1e18]}, "not exact: write it without a point"),
        ({"seeds": [True]}, "seeds.0 is True; it must be of type integer"),
        ({"seeds": [1, 1.0]}, "must differ"),
        ({"recipe__epochs": True}, "recipe.epochs is True; it must be of type number"),
        ({"recipe__epochs": 1e7}, "recipe.epochs is 10000000.0; it must be at most 1000000"),
        ({"recipe__steps": 10**18}, "recipe.steps is .*; it must be at most 1000000000"),
        ({"recipe__threads": 10**6}, "recipe.threads is 1000000; it must be at most 1024"),
        (
            {"recipe__batches__size": 64.5},
            "recipe.batches.size is 64.5; it must be of type integer",
        ),
        ({"recipe__schedule__gamma": 1.5}, "recipe.schedule.gamma is 1.5; it must be at most 1"),
        ({"recipe__schedule__learning_rate": 0}, "learning_rate is 0; it must be greater than 0"),
        ({"recipe__schedule__warmup": 21}, "warmup is 21 epochs, but the recipe has 20"),
        (
            {"recipe__schedule__milestones": [5, 20]},
            "milestones has 20, but the recipe has 20 epochs",
        ),
        ({"recipe__schedule__boundary": "befor"}, "recipe.schedule.boundary is 'befor'"),
        ({"gsm__recipe__schedule__milestones": [100]}, "gsm.recipe.schedule.milestones has 100"),
        ({"gem_miner__search__schedule__warmup": 1e308}, "gem_miner.*.warmup is 1e\\+308 epochs"),
        (
            {"recipe__optimizer__options": {"momntum": 0.9}},
            "recipe.optimizer.options: Unknown option .* 'sgd' 'momntum'. Did you mean",
        ),
        (
            {"recipe__optimizer__options": {"nesterov": "no"}},
            "recipe.optimizer.options.nesterov is 'no'; the optimizer 'sgd' takes true or false",
        ),
        ({"recipe__optimizer__options": {"momentum": 1}}, "options.momentum is 1; .* less than 1"),
        (
            {"recipe__optimizer": {"name": "adam", "options": {"betas": [0.9, 2]}}},
            "recipe.optimizer.options.betas is",
        ),
        ({"prunetrain__finetune__optimizer__options": {"x": 1}}, "prunetrain.finetune.optimizer"),
        (
            {"gsm__ablations": {"frozen": {"options": {"reselect": "false"}}}},
            "gsm.ablations.frozen.options.reselect is 'false'; .* true or false",
        ),
        (
            {"network__options": {"widhts": [4, 8]}},
            "network.options: Unknown option .*'small_cnn' 'widhts'. Did you mean 'widths",
        ),
        ({"network__options": {"widths": [0, 16]}}, "network.options.widths is .* at least 1"),
        ({"network__options": {"widths": [4, 8, 16]}}, "network.options.widths is .* a list of 2"),
        ({"network__options": {"shape": [1, 8, 8]}}, "Unknown option .* 'shape'"),
        ({"network__options": {1: 2}}, "the key 1 in network.options is no text to YAML"),
        ({"at_init__score_options": {"snip": {"batch_norm": "evl"}}}, "takes 'train' or 'eval'"),
        ({"at_init__iterations": {"synflow": 10**9}}, "at_init.iterations.synflow is 1000000000"),
        (
            {"algorithm": {"max_levels": 10**9}},
            "algorithm.max_levels is 1000000000; .* at most 1000",
        ),
        ({"rewinding__levels": 10**9}, "rewinding.levels is 1000000000; .* at most 1000"),
        (
            {"rewinding__retrain_times": [11.9999999, 12]},
            "11.9999999 has too many digits: write 12",
        ),
        ({"extends": "../config"}, "extends: Unknown study '../config'"),
        ({"extends": ["digits"]}, "extends: Unknown study"),
        ({"algorithm": {"tolerance": -1}}, "algorithm.tolerance is -1; it must be at least 0"),
    ],
)
def test_mistakes_name_the_key_its_value_and_what_is_allowed(tmp_path, changes, message):
    path = write(tmp_path, changes=changes)
    with pytest.raises(PruningError, match=message) as error:
        load_study(path, SCHEMA)
    assert "s.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_whole_numbers_may_be_written_with_a_point(tmp_path):
    plain = {
        "seeds": [1, 3],
        "recipe__batches": {"size": 64, "crop_padding": 1},
        "recipe__steps": 100,
        "network__options": {"widths": [12, 24], "hidden": 48},
        "rewinding__levels": 8,
        "at_init__later__level": 2,
        "at_init__iterations": {"synflow": 3},
        "gsm__ablation_levels": [2],
        "gem_miner__period": 2,
        "prunetrain__interval": 5,
        "figure": {"retrain_levels": [1]},
        "resources": {"mem_mb": 2000, "runtime": 3},
    }

    def pointed(value):
        if isinstance(value, dict):
            return {key: pointed(part) for key, part in value.items()}
        return [pointed(part) for part in value] if isinstance(value, list) else float(value)

    studies = []
    for changes in (plain, {key: pointed(value) for key, value in plain.items()}):
        studies.append(load_study(write(tmp_path, changes=changes), SCHEMA))
    assert repr(studies[0]) == repr(studies[1])
    assert repr(studies[1].seeds) == "(1, 3)"


@pytest.mark.parametrize("seed", ["99", "00", "-1", "1.0"])
def test_seeds_that_a_study_has_not_are_refused_where_rules_ask(tmp_path, seed, capsys):
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    plan = Workflow(config | {"study_folder": str(STUDIES)}, SCHEMAS)
    asks = (plan.data_file, plan.stage("pruning.stages.dense"))
    for ask in asks:
        assert ask(SimpleNamespace(study="digits", seed="1"))
        with pytest.raises(SystemExit):
            ask(SimpleNamespace(study="digits", seed=seed))
        assert f"has the seeds 0, 1, 2, not {seed}" in capsys.readouterr().err
    assert plan.data_file(SimpleNamespace(study="digits"))


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"my-data": {"kind": "digits"}}, "the name 'my-data' in datasets must consist of letters"),
        ({"a b": {"kind": "digits"}}, "the name 'a b' in datasets"),
        ({"x\n": {"kind": "digits"}}, "in datasets must consist"),
        ({"": {"kind": "digits"}}, "the name '' in datasets"),
        ({1: {"kind": "digits"}}, "the key 1 in datasets is no text"),
        ({"d": {"kind": "digit"}}, "Unknown data set kind 'digit'. Did you mean 'digits'"),
        (
            {"d": {"kind": "cifar10", "sise": 8}},
            "datasets.d: .*'cifar10' 'sise'. Did you mean 'size",
        ),
        (
            {"d": {"kind": "cifar10", "size": "8"}},
            "datasets.d.size is '8'; .* a whole number or null",
        ),
        ({"d": {"kind": "image_folder"}}, "'image_folder' needs the option 'path'"),
        ({"d": {"kind": "image_folder", "path": 3}}, "datasets.d.path is 3; .* a text"),
        ({"d": {"kind": "image_folder", "path": "x", "grey": "yes"}}, "grey is 'yes'; .* true or"),
        ({"d": {"kind": "cifar10", "name": "x"}}, "Unknown option .*'cifar10' 'name'"),
        ({"d": {"kind": "cifar10", "root": "/"}}, "Unknown option .*'cifar10' 'root'"),
    ],
)
def test_data_sets_are_checked_used_or_not(datasets, message):
    config = {
        "studies": ["digits"],
        "study_folder": str(STUDIES),
        "datasets": {"digits": {"kind": "digits"}} | datasets,
    }
    with pytest.raises(PruningError, match=message):
        Workflow(config, SCHEMAS)
    fine = {"d": {"kind": "image_folder", "path": "x", "size": 8.0}}
    plan = Workflow(config | {"datasets": {"digits": {"kind": "digits"}} | fine}, SCHEMAS)
    assert repr(plan.dataset_options("d")["size"]) == "8"


def test_unknown_study_data_set_and_kind(tmp_path):
    with pytest.raises(PruningError, match="Unknown study 'digit'. Did you mean 'digits'"):
        find_study("digit", STUDIES, SCHEMA)
    write(tmp_path, dataset="digts")
    config = {
        "studies": ["s"],
        "study_folder": str(tmp_path),
        "datasets": {"digits": {"kind": "digits"}},
    }
    with pytest.raises(PruningError, match="Unknown data set 'digts'. Did you mean 'digits'"):
        Workflow(config, SCHEMAS)
    config["datasets"] = {"digts": {"kind": "digit"}}
    with pytest.raises(PruningError, match="Unknown data set kind 'digit'"):
        Workflow(config, SCHEMAS)
    with pytest.raises(PruningError, match="unknown key 'study'"):
        Workflow({**config, "study": "x"}, SCHEMAS)


def test_files_that_are_no_studies(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(PruningError, match="a.yaml is not YAML"):
        load_study(tmp_path / "a.yaml", SCHEMA)
    (tmp_path / "b.yaml").write_text("- 1")
    with pytest.raises(PruningError, match="must hold keys and values"):
        load_study(tmp_path / "b.yaml", SCHEMA)
    with pytest.raises(PruningError, match="cannot be read"):
        load_study(tmp_path / "c.yaml", SCHEMA)


def test_extending_merges_nested_keys(tmp_path):
    write(tmp_path, "base")
    (tmp_path / "child.yaml").write_text("extends: base\nrecipe: {schedule: {gamma: 0.5}}\n")
    base = load_study(tmp_path / "base.yaml", SCHEMA)
    child = load_study(tmp_path / "child.yaml", SCHEMA)
    assert child.task["recipe"]["schedule"]["gamma"] == 0.5
    assert child.task["recipe"]["schedule"]["learning_rate"] == 0.1
    assert child.task["network"] == base.task["network"]


def test_extending_takes_out_keys_without_a_value(tmp_path):
    write(tmp_path, "base")
    (tmp_path / "child.yaml").write_text("extends: base\nnetwork: {options: {hidden: null}}\n")
    assert load_study(tmp_path / "child.yaml", SCHEMA).task["network"]["options"] == {
        "widths": [12, 24]
    }


def test_modes_have_levels_methods_and_densities_of_their_own(tmp_path):
    path = write(
        tmp_path,
        rewinding__modes=["iterative", "one_shot", "structured_a"],
        rewinding__methods_by_mode={"one_shot": ["lr_rewind", "reinit"]},
        rewinding__levels_by_mode={"iterative": 2, "structured_a": 3},
        rewinding__densities_by_mode={"one_shot": [0.5, 0.25]},
        rewinding__thinnings={"structured_a": [{"convs": [1], "fraction": 0.5}]},
    )
    found = load_study(path, SCHEMA).part("rewinding").modes
    densities = {n: [p.get("density") for p in m.prunings] for n, m in found.items()}
    assert densities["iterative"] == pytest.approx([0.64, 0.4096])
    assert densities["one_shot"] == [0.5, 0.25]
    assert [p["level"] for p in found["structured_a"].prunings] == [1, 2, 3]
    assert list(found["one_shot"].times) == ["lr_rewind", "reinit"]
    assert found["iterative"].times == {
        "lr_rewind": (20,), "weight_rewind": (18,), "fine_tune": (20,)
    }  # fmt: skip
    assert [found[m].chained for m in ("iterative", "one_shot", "structured_a")] == [1, 0, 0]


def test_algorithm_1_shares_the_chain_that_prunes_as_it_does(tmp_path):
    own = load_study(write(tmp_path), SCHEMA)  # digits prune 36 % a level
    assert own.part("algorithm").mode == "algorithm_1"
    assert [p["density"] for p in own.part("algorithm").definition.prunings[:2]] == pytest.approx(
        [0.8, 0.64]
    )
    shared = load_study(write(tmp_path, rewinding__fraction=0.2), SCHEMA)
    assert shared.part("algorithm").mode == "iterative"
    assert modes(shared)["iterative"].levels == 8
    assert len(modes(shared)["iterative"].prunings) == 30
    assert len(list(shared.part("rewinding").cells())) == 24
    fewer = write(tmp_path, rewinding__fraction=0.2, algorithm={"max_levels": 3})
    fewer = load_study(fewer, SCHEMA)
    assert (fewer.part("algorithm").mode, fewer.part("algorithm").max_levels) == ("iterative", 3)
    assert len(modes(fewer)["iterative"].prunings) == 8
    listed = write(tmp_path, rewinding__levels=None, rewinding__densities=[0.8, 0.64, 0.512])
    assert load_study(listed, SCHEMA).part("algorithm").mode == "iterative"  # 0.8 * 0.8 is not 0.64
    random = write(tmp_path, rewinding__fraction=0.2, rewinding__score="random")
    assert load_study(random, SCHEMA).part("algorithm").mode == "algorithm_1"
    shorter = write(tmp_path, rewinding__fraction=0.2, rewinding__retrain_times=[10])
    assert load_study(shorter, SCHEMA).part("algorithm").mode == "algorithm_1"


def test_densities_by_mode_are_enough(tmp_path):
    path = write(tmp_path, rewinding__levels=None,
                 rewinding__densities_by_mode={"iterative": [0.5, 0.1]})  # fmt: skip
    assert load_study(path, SCHEMA).part("rewinding").modes["iterative"].levels == 2


def test_names_that_targets_need_are_taken(tmp_path):
    with pytest.raises(PruningError, match="begin with `published` are taken"):
        load_study(write(tmp_path, "published_renda2020"), SCHEMA)


PAPER_TIMES = (10, 30, 50, 70, 90, 110, 130, 150, 170, 182)


@pytest.mark.parametrize(
    ("network", "levels"),
    [
        ("resnet20", {"iterative": 10, "one_shot": 10}),
        ("resnet56", {"iterative": 17, "one_shot": 10, "structured_a": 5, "structured_b": 5}),
        ("resnet110", {"iterative": 10, "one_shot": 10, "structured_a": 5, "structured_b": 5}),
        ("vgg16", {"iterative": 10, "one_shot": 10, "structured_a": 5}),
    ],
)
def test_paper_scale_studies_carry_the_published_grids(network, levels):
    study = find_study(f"renda2020_{network}", STUDIES, SCHEMA)
    found = study.part("rewinding").modes
    assert {name: mode.levels for name, mode in found.items()} == levels
    assert study.part("rewinding").kept_times == PAPER_TIMES
    published = read_cells("renda2020", REPOSITORY / "resources" / "published")
    published = published[published["network"] == network]
    ours = set(study.part("rewinding").cells())
    theirs = published[published["method"] != "dense"]
    keys = ["variant", "method", "retrain_time", "level"]
    theirs = set(theirs[keys].itertuples(index=False, name=None))
    if network != "vgg16":  # of which only dense networks are published
        assert ours == theirs
    for mode in ("iterative", "one_shot"):
        densities = [pruning["density"] for pruning in found[mode].prunings[: levels[mode]]]
        places = 4 if mode == "one_shot" else 12
        assert densities == pytest.approx(
            [round(0.8**s, places) for s in range(1, len(densities) + 1)]
        )
    recipe = study.task["recipe"]
    assert recipe["optimizer"]["weight_decay"] == (5e-4 if network == "vgg16" else 2e-4)
    assert (recipe["steps"], recipe["schedule"]["milestones"]) == (71108, [91, 136])


def test_states_are_kept_for_times_of_methods_that_are_not_run(tmp_path):
    study = load_study(write(tmp_path, rewinding__methods=["fine_tune"]), SCHEMA)
    assert study.part("rewinding").kept_times == (18, 20)


def test_what_a_study_leaves_out_is_said_by_the_classes_alone(tmp_path):
    """Defaults have one home: none in the schema, all in what stages are told."""
    short = {
        "recipe": {"epochs": 2, "batches": {"size": 8}, "schedule": {"learning_rate": 0.1}},
        "network": {"name": "mlp"},
        "validation": {},
        "rewinding": None,
        "gsm": None,
        "at_init": None,
        "algorithm": None,
        "figure": None,
    }
    given = {k: v for k, v in short.items() if v or k in yaml.safe_load(DIGITS.read_text())}
    study = load_study(write(tmp_path, changes=given), SCHEMA)
    recipe = Recipe(2, Batching(8), StepDecay(0.1))
    assert Recipe.from_dict(study.task["recipe"]) == recipe
    assert study.task["recipe"] == recipe.to_dict()
    assert NetworkConfig(**study.task["network"]) == NetworkConfig("mlp")
    assert Validation(**study.task["validation"]) == Validation()
    schema = yaml.safe_load(SCHEMA.read_text())
    parts = (schema["$defs"]["recipe"], *map(schema["properties"].get, ("network", "validation")))
    told = [value for part in parts for value in _defaults(part["properties"])]
    assert [value for value in told if value != {}] == []  # an empty section may be left out


def _defaults(values):
    for key, value in values.items():
        if key == "default":
            yield value
        elif isinstance(value, dict):
            yield from _defaults(value)
