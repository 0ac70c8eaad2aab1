from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.stages.dense:rewind_state",
    data=snakemake.input.data,
    kept=snakemake.input.get("kept"),
    retrain_time=float(snakemake.wildcards.time),
    output=snakemake.output[0],
)
