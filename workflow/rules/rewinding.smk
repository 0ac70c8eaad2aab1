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


rule retrain:
    input:
        unpack(plan.retrain_input),
    output:
        state="results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/state.safetensors",
        metadata="results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/state.json",
        metrics="results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/metrics.csv",
        timing="results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/timing.json",
        summary="results/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/summary.json",
    log:
        "logs/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/retrain.log",
    benchmark:
        "logs/{study}/seed{seed}/{mode}/{method}/t{time}/level{level}/retrain.benchmark.tsv"
    group:
        plan.retrain_group
    threads: plan.threads
    resources:
        gpu=plan.gpu,
        mem_mb=plan.mem_mb,
        runtime=plan.runtime,
    params:
        stage=plan.stage("retrain"),
        cell=plan.retrain_params,
    script:
        "../scripts/retrain.py"
