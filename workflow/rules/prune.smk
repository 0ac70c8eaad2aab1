rule prune:
    input:
        unpack(plan.prune_input),
    output:
        mask="results/{study}/seed{seed}/{chain}/level{level}/mask.safetensors",
        metadata="results/{study}/seed{seed}/{chain}/level{level}/mask.json",
    log:
        "logs/{study}/seed{seed}/{chain}/level{level}/prune.log",
    benchmark:
        "logs/{study}/seed{seed}/{chain}/level{level}/prune.benchmark.tsv"
    group:
        plan.prune_group
    threads: 1
    resources:
        mem_mb=plan.mem_mb,
        runtime=plan.quick_runtime,
    params:
        stage=plan.prune_stage,
        level=plan.prune_params,
    script:
        "../scripts/prune.py"


# What masks leave of a network. Tables are made of it, and no training waits for it.
rule report:
    input:
        data=plan.data_file,
        mask="results/{study}/seed{seed}/{chain}/level{level}/mask.safetensors",
        metadata="results/{study}/seed{seed}/{chain}/level{level}/mask.json",
    output:
        "results/{study}/seed{seed}/{chain}/level{level}/report.json",
    log:
        "logs/{study}/seed{seed}/{chain}/level{level}/report.log",
    benchmark:
        "logs/{study}/seed{seed}/{chain}/level{level}/report.benchmark.tsv"
    group:
        plan.prune_group
    threads: 1
    resources:
        mem_mb=plan.mem_mb,
        runtime=plan.quick_runtime,
    params:
        stage=plan.stage("pruning.stages.report"),
        level=plan.report_params,
    script:
        "../scripts/report.py"
