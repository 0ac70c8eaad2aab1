import os

from snakemake.utils import validate

from pruning.analysis import claims_catalog
from pruning.figures import catalog
from pruning.files import digest
from pruning.running import cluster, owner, warm
from pruning.study import papers, places, study
from pruning.study.asks import Workflow, for_rules
from pruning.study.products import Products
from pruning.systems import alternatives, joined, systems

# Idle OpenMP threads must not spin; jobs inherit this before they start torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Jobs end with the Snakemake that started them: this one, also on a node of a cluster.
owner.announce()

SCHEMAS = os.path.join(os.path.dirname(workflow.snakefile), "..", "schemas")

# Names the wrong key, its value and what is allowed; Snakemake's own check comes second.
plan = for_rules(Workflow)(config, SCHEMAS)
validate(config, "../schemas/config.schema.yaml")
products = Products(plan)

# `resources: **TRAINING` of a job that trains, `**QUICK` of one that only evaluates. Rules do not
# inherit them from each other, as Snakemake then has them run the same script.
TRAINING = {
    "gpu": plan.gpu,
    "nodes": plan.nodes,
    "mem_mb": plan.mem_mb,
    "runtime": plan.runtime,
}
QUICK = {
    "gpu": plan.gpu_alone,
    "mem_mb": plan.mem_mb,
    "runtime": plan.quick_runtime,
}


def training(folder):
    """What every training leaves in its folder, by name: `output: **training("results/...")`."""
    names = ("state", "metadata", "metrics", "timing", "summary")
    paths = [f"{folder}/{file}" for file in places.TRAINING_FILES]
    return dict(zip(names, paths, strict=True))


def of_figure(wildcards):
    """A figure's category in a report."""
    return catalog.entry(wildcards.figure).category


def drawn(stem, category, **labels):
    """What a figure leaves: `output: **drawn("plots/...", ...)`.

    In a report it is a PNG too, as some browsers draw no PDF.
    """

    def shown(kind):
        return report(
            f"{stem}.{kind}",
            caption="../report/figure.rst",
            category=category,
            labels={**labels, "format": kind.upper()},
        )

    return {"pdf": shown("pdf"), "png": shown("png"), "csv": f"{stem}.csv"}


def whenever(asked):
    """An input function whose folders are wanted, but may be of any time.

    Snakemake compares files by content, but folders by their time. Files that are written together with a
    folder are inputs beside it.
    """

    def timeless(path):
        return path if os.path.splitext(path)[1] else ancient(path)

    def inputs(wildcards):
        paths = asked(wildcards)
        if isinstance(paths, dict):
            return {name: timeless(path) for name, path in paths.items()}
        return [timeless(path) for path in paths]

    return inputs


# Most wildcards are constrained here; those of its own rules, a system constrains in its wing.
CLAIMS = "|".join(joined("claims"))


wildcard_constraints:
    **{
        "claims": CLAIMS,
        "dataset": "[A-Za-z0-9_]+",
        "family": "|".join(places.masked()),
        "figure": f"(?!({CLAIMS})[.])[a-z0-9_]+",
        "gathered": "|".join(joined("gathered")),
        "level": "[1-9][0-9]*",
        "method": "[a-z0-9_]+",
        "network": "[a-z0-9_]+",
        "paper": "[a-z0-9_]+",
        "seed": "[0-9]+",
        "settings": "[0-9a-f]+",
        "study": "[A-Za-z0-9_]+",
        "table": "|".join(places.tidy_tables()),
        "time": "[0-9]+([.][0-9]+)?",
        "variant": "[a-z0-9_]+",
        **alternatives(),
    },
