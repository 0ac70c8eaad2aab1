from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.figure:figure",
    tables=snakemake.params.figure["tables"],
    draw=snakemake.params.figure["draw"],
    settings=snakemake.params.figure["settings"],
    titles=dict(snakemake.params.figure["titles"]),
    options=snakemake.params.figure["options"],
    resources=snakemake.params.figure["resources"],
    pdf=snakemake.output.pdf,
    png=snakemake.output.png,
    csv=snakemake.output.csv,
    cells=snakemake.params.figure.get("cells"),
    repairs=snakemake.params.figure["repairs"],
)
