"""The paper's configurations value by value, and mistakes in a study's section."""

import pytest
import yaml

from pruning.errors import PruningError
from pruning.models.build import build, prunable_names
from pruning.models.config import NetworkConfig
from pruning.study.study import find_study
from pruning.systems.gem_miner.schedule import left_after
from pruning.systems.gem_miner.section import Cell
from pruning.training.recipe import Recipe
from tests.conftest import REPOSITORY
from tests.test_study import SCHEMA, load_study, write

STUDIES = REPOSITORY / "config" / "studies"
RGB32, RGB64 = (3, 32, 32), (3, 64, 64)
# epochs, period, densities, lambdas, drops, (optimizer, rate) of the search, rate of training,
# images, their shape, classes, prunable weights, step of the warm-up
PAPER = {
    "raregems_resnet20": (
        150, 5, [0.2, 0.0372, 0.0144, 0.0059], [1e-5, 3e-5, 1e-4, 1e-4], [80, 120],
        ("sgd", 0.1), 0.01, 50_000, RGB32, 10, 268_336, 1000,
    ),
    "raregems_resnet20_half": (
        150, 8, [0.5], [1e-8], [80, 120],
        ("sgd", 0.05), 0.1, 50_000, RGB32, 10, 268_336, 1000,
    ),
    "raregems_mobilenetv2": (
        300, 5, [0.5, 0.2, 0.05, 0.014], [0, 3e-6, 7e-6, 1.5e-5], [150, 250],
        ("sgd", 0.1), 0.01, 50_000, RGB32, 10, 2_261_824, 1000,
    ),
    "raregems_vgg16": (
        200, 5, [0.5, 0.05, 0.025, 0.014, 0.005], [1e-6] * 5, [100, 150],
        ("adam", 0.01), 0.05, 50_000, RGB32, 10, 14_715_584, 2000,
    ),
    "raregems_wrn28_2": (
        150, 10, [0.2, 0.055, 0.023, 0.014], [1e-5] * 4, [80, 120],
        ("sgd", 0.1), 0.01, 50_000, RGB32, 10, 1_463_984, 2000,
    ),
    "raregems_resnet32_cifar100": (
        150, 5, [0.05, 0.02], [1e-5, 5e-5], [80, 120],
        ("sgd", 0.1), 0.01, 50_000, RGB32, 100, 1_856_864, 1000,
    ),
    "raregems_resnet18_tinyimagenet": (
        200, 5, [0.05, 0.014, 0.005], [8e-6, 5e-6, 1e-5], [100, 150],
        ("adam", 1e-3), 0.1, 100_000, RGB64, 200, 11_097_280, 1000,
    ),
    "raregems_resnet18_tinyimagenet_dense": (
        200, 10, [0.5, 0.2], [0, 3e-6], [100, 150],
        ("sgd", 0.1), 0.1, 100_000, RGB64, 200, 11_097_280, 1000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_searches_value_by_value(name):
    epochs, period, densities, strengths, drops, found_by, rate, *_ = PAPER[name]
    study = find_study(name, STUDIES, SCHEMA)
    part = study.part("gem_miner")
    setting = part.settings["gem_miner"]
    assert list(part.densities) == densities
    assert [
        part.search(Cell("gem_miner", "unmodified", k + 1)).strength for k in range(len(densities))
    ] == strengths
    assert (setting.period, part.initialization) == (period, "signed_constant")
    search, tuned = setting.search, setting.finetune
    assert (search["optimizer"]["name"], search["schedule"]["learning_rate"]) == found_by
    assert (search["epochs"], tuned["epochs"]) == (epochs, epochs)
    assert search["optimizer"]["weight_decay"] == 0
    assert (search["schedule"]["shape"], search["schedule"]["per"]) == ("cosine", "epoch")
    assert tuned["schedule"] == {
        "learning_rate": rate, "milestones": drops, "gamma": 0.1, "warmup": 0.0, "shape": "step",
        "boundary": "at",
    }  # fmt: skip
    assert tuned["optimizer"]["weight_decay"] == 1e-4
    assert {recipe["batches"]["epoch_boundary"] for recipe in (search, tuned)} == {"keep"}
    assert study.task["network"]["options"]["norm_affine"] is False
    assert study.task["network"]["options"]["classifier_bias"] is False


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_networks_have_as_many_prunable_weights(name):
    *_, shape, classes, prunable, _ = PAPER[name]
    study = find_study(name, STUDIES, SCHEMA)
    module = build(NetworkConfig(**study.task["network"]), shape, classes, None)
    named = dict(module.named_parameters())
    assert sum(named[n].numel() for n in prunable_names(module, study.task["exempt"])) == prunable


@pytest.mark.parametrize("name", PAPER)
def test_warm_up_is_rewound_to_the_papers_step(name):
    *_, images, _, _, _, step = PAPER[name]
    study = find_study(name, STUDIES, SCHEMA)
    timeline = Recipe.from_dict(study.task["recipe"]).timeline(images)
    times = study.part("rewinding").modes["iterative"].times
    assert [timeline.rewind_step(t) for t in times["weight_rewind"]] == [step, 0]
    assert [timeline.rewind_step(t) for t in times["lr_rewind"]] == [0]


# Reference, section 2: batches, rate and shape of the training of what Edge-Popup found.
EDGE_POPUP = {
    "raregems_resnet20": (256, 0.1, "cosine"),
    "raregems_resnet20_half": (256, 0.1, "cosine"),
    "raregems_mobilenetv2": (128, 0.01, "step"),
    "raregems_vgg16": (256, 0.1, "cosine"),
    "raregems_wrn28_2": (256, 0.01, "step"),
    "raregems_resnet32_cifar100": (256, 0.1, "cosine"),
    "raregems_resnet18_tinyimagenet": (256, 0.01, "step"),
    "raregems_resnet18_tinyimagenet_dense": (256, 0.01, "step"),
}
# Reference, section 3: epochs, rate, drops and batches of Smart Ratio.
SMART_RATIO = {
    "raregems_resnet20": (160, 0.1, [80, 120], 128),
    "raregems_resnet20_half": (160, 0.1, [80, 120], 128),
    "raregems_mobilenetv2": (300, 0.01, [150, 250], 128),
    "raregems_vgg16": (200, 0.1, [100, 150], 128),
    "raregems_wrn28_2": (150, 0.1, [80, 120], 128),
    "raregems_resnet18_tinyimagenet": (200, 0.2, [100, 150], 256),
    "raregems_resnet18_tinyimagenet_dense": (200, 0.2, [100, 150], 256),
}


@pytest.mark.parametrize("name", EDGE_POPUP)
def test_edge_popup_of_the_paper(name):
    size, rate, shape = EDGE_POPUP[name]
    setting = find_study(name, STUDIES, SCHEMA).part("gem_miner").settings["edge_popup"]
    search, tuned = setting.search, setting.finetune
    assert search["epochs"] == tuned["epochs"] == PAPER[name][0]
    assert [recipe["batches"]["size"] for recipe in (search, tuned)] == [size, size]
    assert (search["schedule"]["learning_rate"], search["schedule"]["shape"]) == (0.1, "cosine")
    assert [recipe["optimizer"]["weight_decay"] for recipe in (search, tuned)] == [5e-4, 1e-4]
    assert (tuned["schedule"]["learning_rate"], tuned["schedule"]["shape"]) == (rate, shape)


@pytest.mark.parametrize("name", SMART_RATIO)
def test_smart_ratio_of_the_paper(name):
    study = find_study(name, STUDIES, SCHEMA)
    cell = Cell("smart_ratio", "unmodified", 1)
    recipe = study.part("gem_miner").recipe(cell, study.task["recipe"])
    schedule = recipe["schedule"]
    found = (recipe["epochs"], schedule["learning_rate"], schedule["milestones"])
    assert (*found, recipe["batches"]["size"]) == SMART_RATIO[name]
    assert recipe["optimizer"]["weight_decay"] == 1e-4
    assert recipe["optimizer"]["options"] == {"momentum": 0.9}


def test_searches_of_the_paper_end_at_the_counts_of_the_authors_own_files():
    part = find_study("raregems_resnet20", STUDIES, SCHEMA).part("gem_miner")
    ends = [left_after(268_336, d, 150, 5)[-1] for d in part.densities]
    assert ends[1:] == [9_977, 3_861, 1_580]
    assert [c.level for c in part.cells if c.method == "gem_miner_long"] == [3]
    longer = part.settings["gem_miner_long"]
    assert (longer.search["epochs"], longer.period) == (3000, 150)
    assert part.settings["gem_miner"].unflag == (False, True, True, True)
    assert part.settings["edge_popup"].fan_share == (0.8, 0.9628, 0.9856, 0.9941)


INF, NAN = float("inf"), float("nan")
ALL = ["gem_miner", "edge_popup", "smart_ratio"]
SEARCH = {
    "epochs": 8,
    "batches": {"size": 64},
    "schedule": {"shape": "cosine", "learning_rate": 0.1},
}
GEM = {
    "methods": ALL,
    "densities": [0.5, 0.1],
    "search": SEARCH,
    "finetune": {"epochs": 8, "batches": {"size": 64}, "schedule": {"learning_rate": 0.1}},
    "strengths": {"gem_miner": [1e-4, 1e-3]},
}


def changed(changes):
    document = yaml.safe_load(yaml.safe_dump(GEM))
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["gem_minor"]}, "Unknown method of search 'gem_minor'. Did you mean 'gem_m"),
        ({"densities": [1.2]}, r"density 1.2 in gem_miner.densities lies outside"),
        ({"densities": [0.1, 0.5]}, "gem_miner.densities must fall"),
        ({"strengths": {"gem_miner": [1e-4]}}, "gem_miner.strengths.gem_miner has 1 entries, but"),
        ({"strengths": {"edge_popup": 1e-4}}, "names 'edge_popup', which has no penalty"),
        ({"strengths": {"smart_ratio": 1e-4}}, "names 'smart_ratio', which does not search"),
        ({"strengths": {"global_edge_popup": 1}}, "'global_edge_popup', which is not among"),
        ({"strengths": {"gem_miner": -1}}, "it must be at least 0"),
        ({"unflag": [True]}, "gem_miner.unflag has 1 entries"),
        ({"unflag": "yes"}, "gem_miner.unflag is 'yes'; it must be of type boolean or array"),
        ({"search__epochs": 5}, "5 epochs freezes nothing when its period is 5"),
        (
            {"period": 8, "settings_by_method": {"gem_miner": {"search": SEARCH}}},
            "gem_miner.period and gem_miner.settings_by_method.gem_miner.search.epochs, of gem_mi",
        ),
        ({"search__epochs": 7.5}, "gem_miner.search.epochs: 7.5 epochs .*whole"),
        ({"search__optimizer": {"weight_decay": 1e-4}}, "decay would act on the scores of gem_min"),
        (
            {"search__optimizer": {"options": {"weight_decay": 1e-4}}},
            "gem_miner.search.optimizer.options has 'weight_decay'",
        ),
        (
            {"search__optimizer": {"name": "gsm", "options": {"density": 0.5}}},
            "gem_miner.search.optimizer: 'gsm' prunes what it trains",
        ),
        ({"search__schedule__learning_rate": NAN}, "search.schedule.learning_rate is nan; numbers"),
        (
            {"settings_by_method": {"edge_popup": {"search": SEARCH | {"epochs": INF}}}},
            "gem_miner.settings_by_method.edge_popup.search.epochs.*numbers must be finite",
        ),
        ({"search__schedule__milestones": [1]}, "gem_miner.search: schedule: 'milestones' "),
        ({"strengths": {"gem_miner": [INF, 0]}}, "strengths.gem_miner.0 is inf; numbers must"),
        ({"strengths": {"gem_miner": NAN}}, "strengths.gem_miner is nan; numbers must be"),
        (
            {"settings_by_method": {"edge_popup": {"fan_share": NAN}}},
            "gem_miner.settings_by_method.edge_popup.fan_share is nan; numbers must be finite",
        ),
        (
            {"settings_by_method": {"edge_popup": {"fan_share": [0.5]}}},
            "gem_miner.settings_by_method.edge_popup.fan_share has 1 entries",
        ),
        (
            {"settings_by_method": {"edge_popup": {"period": 2}}},
            "settings_by_method.edge_popup.period has no effect",
        ),
        (
            {"methods": ["gem_miner"], "layer_rule": "quadratic"},
            "gem_miner.layer_rule has no effect: it is of smart_ratio",
        ),
        ({"variants": []}, r"gem_miner.variants is \[\]; it needs at least 1 entries"),
        (
            {"variants": ["shufled"], "variants_by_method": {name: ["unmodified"] for name in ALL}},
            "Unknown variant 'shufled'",
        ),
        (
            {"sweep": {"method": "gem_miner", "level": 1, "strengths": [1e-4, 1.0000001e-4]}},
            "gem_miner.sweep.strengths has 0.0001 and 0.00010000001, which folders cannot tell",
        ),
        (
            {"sweep": {"method": "gem_miner", "level": 1, "strengths": [INF]}},
            "gem_miner.sweep.strengths.*numbers must be finite",
        ),
        ({"search__milestones": [1]}, "unknown key 'milestones' in gem_miner.search"),
        ({"target_sparsity": 5}, "unknown key 'target_sparsity' in gem_miner"),
        ({"prune_rate": 0.5}, "unknown key 'prune_rate' in gem_miner"),
        ({"initialization": "signed"}, "Unknown initialization 'signed'"),
        ({"variants": ["shuffeled"]}, "Unknown variant 'shuffeled'. Did you mean 'shuffled'"),
        ({"variants_by_method": {"smart_ratio": ["shuffled"]}}, "smart_ratio has random masks"),
        ({"sweep": {"method": "gem_miner", "level": 3, "strengths": [0]}}, "sweep.level is 3"),
        ({"sweep": {"method": "edge_popup", "level": 1, "strengths": [0]}}, "no penalty to vary"),
        ({"sweep": {"method": "gem_miner_l1", "level": 1, "strengths": [0]}}, "is no search of"),
        ({"period": 0}, "gem_miner.period is 0; it must be at least 1"),
        ({"settings_by_method": {"edge_popup": {"fan_share": 1.5}}}, "it must be at most 1"),
        ({"settings_by_method": {"edge_popup": {}}}, "settings_by_method.edge_popup is {}"),
        (
            {"settings_by_method": {"smart_ratio": {"search": SEARCH}}},
            "settings_by_method.smart_ratio.search has no effect: smart_ratio does not search",
        ),
        (
            {"settings_by_method": {"smart_ratio": {"finetune": SEARCH | {"epochs": NAN}}}},
            "gem_miner.settings_by_method.smart_ratio.finetune.epochs.*numbers must be finite",
        ),
        ({"levels_by_method": {"gem_miner": [3]}}, "levels_by_method.gem_miner names level 3"),
        ({"levels_by_method": {"gem_miner_l1": [1]}}, "levels_by_method names 'gem_miner_l1', w"),
        ({"levels_by_method": {"gem_miner": []}}, "levels_by_method.gem_miner is .*at least 1"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, changes, message):
    path = write(tmp_path, changes={"gem_miner": changed(changes)})
    with pytest.raises(PruningError, match=message):
        load_study(path, SCHEMA)


def test_methods_have_levels_and_baselines_recipes_of_their_own(tmp_path):
    other = SEARCH | {"epochs": 9}
    more = {
        "methods": [*ALL, "random_subnetwork"],
        "levels_by_method": {"edge_popup": [2], "smart_ratio": [1]},
        "settings_by_method": {"smart_ratio": {"finetune": other}},
    }
    study = load_study(write(tmp_path, changes={"gem_miner": changed(more)}), SCHEMA)
    part, own = study.part("gem_miner"), study.task["recipe"]
    assert [(cell.method, cell.level) for cell in part.cells] == [
        ("gem_miner", 1), ("gem_miner", 2), ("edge_popup", 2), ("smart_ratio", 1),
        ("random_subnetwork", 1), ("random_subnetwork", 2),
    ]  # fmt: skip
    assert [(c.method, c.level) for c in part.searched()] == [
        ("gem_miner", 1), ("gem_miner", 2), ("edge_popup", 2),
    ]  # fmt: skip
    assert part.recipe(Cell("smart_ratio", "unmodified", 1), own)["epochs"] == 9
    assert part.recipe(Cell("random_subnetwork", "unmodified", 1), own) is own


def test_gem_miner_otherwise_has_gem_miners_strengths(tmp_path):
    methods = [
        "gem_miner", "gem_miner_inverted", "gem_miner_long", "gem_miner_l1",
        "global_edge_popup_gradual_regularized",
    ]  # fmt: skip
    for own, expected in (({}, (1e-4, 1e-3)), ({"gem_miner_inverted": 2e-4}, (2e-4, 2e-4))):
        document = changed({"methods": methods})
        document["strengths"] |= own
        study = load_study(write(tmp_path, changes={"gem_miner": document}), SCHEMA)
        part = study.part("gem_miner")
        found = {name: part.settings[name].strengths for name in methods}
        assert found["gem_miner_inverted"] == expected
        assert found["gem_miner_long"] == (1e-4, 1e-3)
        assert found["gem_miner_l1"] == found["global_edge_popup_gradual_regularized"] == (0, 0)
    document = changed({"methods": ["gem_miner_inverted"], "strengths": {}})
    part = load_study(write(tmp_path, changes={"gem_miner": document}), SCHEMA).part("gem_miner")
    assert part.settings["gem_miner_inverted"].strengths == (0, 0)


def test_cells_searches_and_masks(tmp_path):
    more = {
        "variants_by_method": {"gem_miner": ["unmodified", "shuffled", "reinitialized"]},
        "sweep": {"method": "gem_miner", "level": 2, "strengths": [0, 3e-6]},
    }
    part = load_study(write(tmp_path, changes={"gem_miner": changed(more)}), SCHEMA).part(
        "gem_miner"
    )
    assert len(part.cells) == 3 * 2 + 2 + 2 + 2
    assert [(c.method, c.variant, c.level) for c in part.searched()] == [
        ("gem_miner", "unmodified", 1),
        ("gem_miner", "unmodified", 2),
        ("edge_popup", "unmodified", 1),
        ("edge_popup", "unmodified", 2),
        ("gem_miner", "strength_0", 2),
        ("gem_miner", "strength_3em06", 2),
    ]
    assert [part.search(c).strength for c in part.searched()] == [1e-4, 1e-3, 0, 0, 0, 3e-6]
    shuffled = Cell("gem_miner", "shuffled", 1)
    assert part.mask_of(shuffled) == shuffled
    assert part.pruning(shuffled) == {"kind": "shuffled", "density": 0.5}
    assert part.mask_of(Cell("gem_miner", "reinitialized", 1)).variant == "unmodified"
