"""Every page of claims by name: which paper's, from which table, of which studies.

To add one, write a :class:`pruning.analysis.claims.ClaimSet` and add its line here. Imports nothing
that counts, as the workflow reads this each time it starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pruning.errors import look_up
from pruning.study.papers import AT_INIT, GSM, REWINDING
from pruning.study.study import Study

# A new line changes no other page; the line a page uses is among its parameters.
CODE_VERSION_SKIP = "a table of names"


@dataclass(frozen=True)
class Entry:
    """A page of claims.

    Attributes:
        claims: ``module:attribute`` of the set of claims.
        category: of the report.
        caption: of the report, one paragraph.
        table: of a study, that the claims are counted over.
        needs: whether a study has what they are about.
        options: what their evidence takes from a study besides the table.
        published: published numbers that it takes, files in ``resources/published``.
    """

    claims: str
    category: str
    caption: str
    table: str
    needs: Callable[[Study], bool]
    options: Callable[[Study], Mapping[str, Any]] = lambda study: {}
    published: tuple[str, ...] = ()


def _last_drop(study: Study) -> dict[str, Any]:
    """The longest retrain time, in epochs, over which the learning rate never changes."""
    recipe = study.task["recipe"]
    milestones = recipe["schedule"]["milestones"]
    last = recipe["epochs"] - max(milestones) if milestones else recipe["epochs"]
    return {"last_drop": {study.name: last}}


CLAIMS: dict[str, Entry] = {
    "claims": Entry(
        "pruning.systems.rewinding.evidence:RENDA2020",
        REWINDING,
        "The claims of Renda, Frankle and Carbin (ICLR 2020), *Comparing Rewinding and "
        "Fine-tuning*, counted over this study's cells: how many satisfy each, and by how much the "
        "worst one misses it.",
        "rewinding",
        lambda study: study.rewinding is not None,
        _last_drop,
        ("renda2020_literature.csv",),
    ),
    "at_init_claims": Entry(
        "pruning.systems.at_init.evidence:FRANKLE2021",
        AT_INIT,
        "The claims of Frankle, Dziugaite, Roy and Carbin (ICLR 2021), *Pruning Neural Networks at "
        "Initialization: Why Are We Missing the Mark?*, counted over this study's cells: how many "
        "satisfy each, and by how much the worst one misses it.",
        "at_init",
        lambda study: study.at_init is not None,
    ),
    "gsm_claims": Entry(
        "pruning.systems.gsm.evidence:GSM2019",
        GSM,
        "The claims of Ding et al. (NeurIPS 2019), *Global Sparse Momentum SGD for Pruning Very "
        "Deep Neural Networks*, counted over this study's cells: how many satisfy each, and by how "
        "much the worst one misses it; and the paper's accuracies beside this study's.",
        "gsm",
        lambda study: study.gsm is not None,
        published=("gsm.csv",),
    ),
}


def entry(name: str) -> Entry:
    """The page of claims of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    return look_up("page of claims", name, CLAIMS)


def claims_of(study: Study) -> list[str]:
    """Names of all pages of claims that a study has."""
    return [name for name, page in CLAIMS.items() if page.needs(study)]
