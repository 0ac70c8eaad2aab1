from pruning.running.jobs import job
from pruning.study.places import write_repairs

with job(snakemake.log[0]):
    from pruning.stages.figure import figure

    told, output = snakemake.params.figure, snakemake.output
    figure(
        told["tables"],
        draw=told["draw"],
        settings=told["settings"],
        titles=dict(told["titles"]),
        options=told["options"],
        resources=told["resources"],
        pdf=output.pdf,
        png=output.png,
        csv=output.csv,
    )
    write_repairs(output.pdf, told["repairs"])
