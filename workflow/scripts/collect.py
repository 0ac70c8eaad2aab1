from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.collect:collect",
    study=snakemake.wildcards.study,
    trainings=snakemake.params.stage["trainings"],
    output=snakemake.output[0],
    repairs=snakemake.params.stage["repairs"],
)
