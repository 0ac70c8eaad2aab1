from pruning.running.jobs import run

run(
    snakemake,
    "pruning.systems.rewinding.stages.algorithm:write_way",
    judged=snakemake.input,
    tolerance=snakemake.params.tolerance,
    output=snakemake.output[0],
)
