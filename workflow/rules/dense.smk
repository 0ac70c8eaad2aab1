rule dense:
    input:
        data=plan.data_file,
    output:
        **training("results/{study}/seed{seed}/dense"),
        rewind=directory("results/{study}/seed{seed}/dense/rewind"),
    log:
        "logs/{study}/seed{seed}/dense.log",
    benchmark:
        "logs/{study}/seed{seed}/dense.benchmark.tsv"
    group:
        plan.group("dense")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=plan.dense_stage,
        times=plan.retrain_times,
    script:
        "../scripts/dense.py"


rule rewind_state:
    input:
        unpack(whenever(plan.rewind_state_input)),
    output:
        "results/{study}/seed{seed}/rewind_states/t{time}.safetensors",
    log:
        "logs/{study}/seed{seed}/rewind_states/t{time}.log",
    benchmark:
        "logs/{study}/seed{seed}/rewind_states/t{time}.benchmark.tsv"
    group:
        plan.group("dense")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=plan.stage("pruning.stages.dense"),
    script:
        "../scripts/rewind_state.py"
