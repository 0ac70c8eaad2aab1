from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.gather:gather",
    study=snakemake.wildcards.study,
    name=snakemake.wildcards.gathered,
    cells=snakemake.params.stage["cells"],
    output=snakemake.output[0],
    repairs=snakemake.params.stage["repairs"],
)
