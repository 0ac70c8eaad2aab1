# Training networks that were pruned before training, or at some step of it.
at_init = plan.asks("at_init")


rule at_init:
    input:
        unpack(at_init.training_input),
    output:
        state="results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/state.safetensors",
        metadata="results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/state.json",
        metrics="results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/metrics.csv",
        timing="results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/timing.json",
        summary="results/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/summary.json",
    log:
        "logs/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/train.log",
    benchmark:
        "logs/{study}/seed{seed}/at_init/{method}/{variant}/e{epoch}/level{level}/train.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        gpu=plan.gpu,
        mem_mb=plan.mem_mb,
        runtime=plan.runtime,
    params:
        stage=at_init.training_stage,
        cell=at_init.training_params,
    script:
        "../scripts/at_init.py"
