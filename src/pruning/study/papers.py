"""Papers whose own results can be read and drawn as if they were studies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruning.errors import look_up, unknown

# A new entry changes no other; what a rule uses of one is among its parameters.
CODE_VERSION_SKIP = "a table of names"


REWINDING = "Comparing rewinding and fine-tuning"
AT_INIT = "Pruning at initialization"
GSM = "Global sparse momentum SGD"


@dataclass(frozen=True)
class Paper:
    """A paper's published results.

    Attributes:
        title: for pages.
        label: for legends.
        reader: ``module:function`` from a folder or address to a tidy table.
        titles: of its studies, by name, in the order of figures.
        options: per study, what a study file's ``figure`` section may say.
        last_drop: per study, the retrain time in epochs up to which the learning rate is at its
            last value throughout; empty where the claims about retraining do not apply.
        category: of the figures it has.
        figures: their names, where it has not all of the category.
        files: in the source, where that is a folder whose content may change.
    """

    title: str
    label: str
    reader: str
    titles: Mapping[str, str]
    options: Mapping[str, Mapping[str, Any]]
    last_drop: Mapping[str, float]
    category: str = REWINDING
    figures: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()


_VISION = {"ylim": [-3, 1], "retrain_levels": [1, 5, 10]}

PAPERS = {
    "renda2020": Paper(
        title="Renda, Frankle, Carbin (ICLR 2020), published results",
        label="Renda et al. 2020",
        reader="pruning.systems.rewinding.published:tidy_table",
        titles={
            "renda2020_resnet20": "ResNet-20, CIFAR-10",
            "renda2020_resnet56": "ResNet-56, CIFAR-10",
            "renda2020_resnet110": "ResNet-110, CIFAR-10",
            "renda2020_vgg16": "VGG-16, CIFAR-10",
            "renda2020_resnet34": "ResNet-34, ImageNet",
            "renda2020_resnet50": "ResNet-50, ImageNet",
            "renda2020_gnmt": "GNMT, WMT16",
        },
        options={
            "renda2020_resnet20": _VISION,
            "renda2020_resnet56": _VISION,
            "renda2020_resnet110": _VISION,
            "renda2020_resnet34": _VISION,
            "renda2020_resnet50": _VISION,
            "renda2020_gnmt": {"ylim": [-6, 1.5], "xlim": 35.53, "retrain_levels": [1, 5, 10]},
        },
        last_drop={
            "renda2020_resnet20": 46,
            "renda2020_resnet56": 46,
            "renda2020_resnet110": 46,
            "renda2020_resnet34": 10,
            "renda2020_resnet50": 10,
        },
    ),
    "comp6258": Paper(
        title="COMP6258 reproduction of Frankle et al. (ICLR 2021), published results",
        label="COMP6258",
        reader="pruning.systems.at_init.published:tidy_table",
        titles={"comp6258_vgg16": "VGG-16, CIFAR-10, as reported"},
        options={},
        last_drop={},
        category=AT_INIT,
        figures=("at_init_ablations",),
        files=("at_init.csv",),
    ),
}


def check_reference(reference: str) -> None:
    """Refuse a ``<paper>:<network>`` that was never published.

    Raises:
        PruningError: the paper or the network is unknown.
    """
    name, _, network = reference.partition(":")
    if paper(name).category != REWINDING:
        known = [key for key in PAPERS if PAPERS[key].category == REWINDING]
        raise unknown("paper about retraining", name, known)
    known = [study.removeprefix(f"{name}_") for study in paper(name).titles]
    if network not in known:
        raise unknown(f"network of {name}", network, known)


def paper(name: str) -> Paper:
    """The paper of this name.

    Raises:
        PruningError: there is none.
    """
    return look_up("paper", name, PAPERS)
