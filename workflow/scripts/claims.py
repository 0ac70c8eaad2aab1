from pruning.running.jobs import job
from pruning.study.places import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.claims import claims

    told, output = snakemake.params.claims, snakemake.output
    claims(
        snakemake.input.table,
        claims=told["claims"],
        title=told["title"],
        options=told["options"],
        resources=told["resources"],
        csv=output.csv,
        page=output.page,
    )
    write_repairs(output.csv, told["repairs"])
