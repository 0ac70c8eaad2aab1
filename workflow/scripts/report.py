from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.stages.report:report",
    wanted="cpu",  # its rule asks for no GPU
    alone=True,
    data=snakemake.input.data,
    mask=snakemake.input.mask,
    metadata=snakemake.input.metadata,
    output=snakemake.output[0],
    **snakemake.params.level,
)
