from pruning.jobs import job
from pruning.layout import write_repairs

with job(snakemake.log[0]):
    from pruning.figures.rewinding import rewind_vs_finetune

    figure, output = snakemake.params.figure, snakemake.output
    rewind_vs_finetune(
        list(snakemake.input),
        figure["titles"],
        figure["options"],
        pdf=output.pdf,
        png=output.png,
        csv=output.csv,
    )
    write_repairs(output.pdf, figure["repairs"])
