from pruning.jobs import job
from pruning.layout import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.claims import claims

    told, output = snakemake.params.claims, snakemake.output
    claims(
        snakemake.input.table,
        snakemake.input.literature,
        title=told["title"],
        last_drop=told["last_drop"],
        csv=output.csv,
        page=output.page,
    )
    write_repairs(output.csv, told["repairs"])
