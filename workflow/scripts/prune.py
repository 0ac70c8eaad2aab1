from pruning.running.jobs import compute

compute(
    snakemake,
    "pruning.stages.prune:prune",
    wanted="cpu",  # its rule asks for no GPU
    alone=True,
    data=snakemake.input.data,
    state=snakemake.input.get("state"),
    masks=snakemake.input.get("masks"),
    output=snakemake.output.mask,
    **snakemake.params.level,
)
