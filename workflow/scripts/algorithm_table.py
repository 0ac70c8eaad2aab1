from pruning.running.jobs import run

run(
    snakemake,
    "pruning.systems.rewinding.stages.algorithm:tabulate",
    results=snakemake.input,
    output=snakemake.output[0],
)
