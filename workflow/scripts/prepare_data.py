from pruning.running.jobs import run
from pruning.study.study import data_root

run(
    snakemake,
    "pruning.stages.prepare_data:prepare_data",
    name=snakemake.wildcards.dataset,
    options=snakemake.params.stage["options"],
    root=data_root(),
    output=snakemake.output[0],
    source_changes=snakemake.params.stage["source_changes"],
)
