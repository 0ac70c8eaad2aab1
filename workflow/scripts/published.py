from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.published:published",
    reader=snakemake.params.stage["reader"],
    source=snakemake.params.stage["source"].value,
    output=snakemake.output[0],
)
