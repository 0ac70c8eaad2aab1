import os

from snakemake.utils import validate

from pruning.running import cluster
from pruning.systems.gsm import section as gsm_study
from pruning.study import places as layout
from pruning.study import papers
from pruning.study import study
from pruning.running import warm
from pruning.analysis import claims_catalog
from pruning.figures import catalog
from pruning.systems.gsm.asks import GsmPlan
from pruning.study.products import Products
from pruning.study.asks import Workflow, for_rules

# Idle OpenMP threads must not spin; jobs inherit this before they start torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SCHEMAS = os.path.join(os.path.dirname(workflow.snakefile), "..", "schemas")

# Names the wrong key, its value and what is allowed; Snakemake's own check comes second.
plan = for_rules(Workflow)(config, SCHEMAS)
validate(config, "../schemas/config.schema.yaml")
products = Products(plan)
gsm = GsmPlan(plan)


wildcard_constraints:
    chain="one_shot|structured_[a-z0-9]+|(iterative|algorithm_1)/[a-z0-9_]+/t[0-9.]+"
    "|at_init/[a-z0-9_]+/[a-z0-9_]+/e[0-9.]+|gsm/[a-z0-9_]+/[a-z0-9_]+",
    claims="|".join(claims_catalog.CLAIMS),
    dataset="[A-Za-z0-9_]+",
    epoch="[0-9]+([.][0-9]+)?",
    family="|".join(layout.MASKED),
    figure=f"(?!({'|'.join(claims_catalog.CLAIMS)})[.])[a-z0-9_]+",
    gathered="|".join(layout.GATHERED),
    level="[1-9][0-9]*",
    method="[a-z0-9_]+",
    mode="iterative|algorithm_1|one_shot|structured_[a-z0-9]+",
    network="[a-z0-9_]+",
    paper="[a-z0-9_]+",
    seed="[0-9]+",
    settings="[0-9a-f]+",
    study="[A-Za-z0-9_]+",
    table="|".join([*layout.FAMILIES, layout.TIDY]),
    ticket="|".join(gsm_study.TICKETS),
    time="[0-9]+([.][0-9]+)?",
    variant="[a-z0-9_]+",
    zeroed="|".join(gsm_study.ZEROED),
