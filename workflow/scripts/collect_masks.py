from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.collect_masks:collect_masks",
    study=snakemake.wildcards.study,
    reports=snakemake.input,
    layers=snakemake.output.layers,
    channels=snakemake.output.channels,
    repairs=snakemake.params.stage["repairs"],
)
