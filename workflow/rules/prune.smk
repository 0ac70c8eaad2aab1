rule prune:
    input:
        data=plan.data_file,
        state=plan.pruned_state,
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
