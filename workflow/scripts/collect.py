from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.collect:collect",
    study=snakemake.wildcards.study,
    summaries=[file for file in snakemake.input if file.endswith("summary.json")],
    output=snakemake.output[0],
    repairs=snakemake.params.stage["repairs"],
)
