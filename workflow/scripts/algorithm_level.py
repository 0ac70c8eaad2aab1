from pruning.running.jobs import run

run(
    snakemake,
    "pruning.systems.rewinding.stages.algorithm:judge_level",
    dense=snakemake.input.dense,
    retrained=snakemake.input.retrained,
    output=snakemake.output[0],
)
