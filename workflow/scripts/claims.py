from pruning.running.jobs import run

run(
    snakemake,
    "pruning.stages.claims:claims",
    table=snakemake.input.table,
    claims=snakemake.params.claims["claims"],
    title=snakemake.params.claims["title"],
    options=snakemake.params.claims["options"],
    beside=snakemake.params.claims["beside"],
    summaries=snakemake.params.claims["summaries"],
    resources=snakemake.params.claims["resources"],
    csv=snakemake.output.csv,
    page=snakemake.output.page,
    cells=snakemake.params.claims.get("cells"),
    repairs=snakemake.params.claims["repairs"],
)
