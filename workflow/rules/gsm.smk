# Training by global sparse momentum SGD, zeroing what became small, and winning tickets.
gsm = plan.asks("gsm")


rule gsm:
    input:
        unpack(gsm.training_input),
    output:
        **training("results/{study}/seed{seed}/gsm/training/{variant}/level{level}"),
    log:
        "logs/{study}/seed{seed}/gsm/training/{variant}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/gsm/training/{variant}/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=gsm.training_stage,
        cell=gsm.training_params,
    script:
        "../scripts/gsm.py"


rule zero:
    input:
        unpack(gsm.zero_input),
    output:
        **training("results/{study}/seed{seed}/gsm/{zeroed}/{variant}/level{level}"),
        magnitudes="results/{study}/seed{seed}/gsm/{zeroed}/{variant}/level{level}/magnitudes.csv",
    log:
        "logs/{study}/seed{seed}/gsm/{zeroed}/{variant}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/gsm/{zeroed}/{variant}/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads_alone
    resources:
        **QUICK,
    params:
        stage=gsm.zero_stage,
        cell=gsm.zero_params,
    script:
        "../scripts/zero.py"


rule ticket:
    input:
        unpack(gsm.ticket_input),
    output:
        **training("results/{study}/seed{seed}/gsm/{ticket}/{variant}/level{level}"),
    log:
        "logs/{study}/seed{seed}/gsm/{ticket}/{variant}/level{level}.log",
    benchmark:
        "logs/{study}/seed{seed}/gsm/{ticket}/{variant}/level{level}.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads
    resources:
        **TRAINING,
    params:
        stage=gsm.ticket_stage,
        cell=gsm.ticket_params,
    script:
        "../scripts/ticket.py"


rule sensitivity:
    input:
        data=plan.data_file,
        state="results/{study}/seed{seed}/dense/state.safetensors",
    output:
        "results/{study}/seed{seed}/gsm/sensitivity.csv",
    log:
        "logs/{study}/seed{seed}/gsm/sensitivity.log",
    benchmark:
        "logs/{study}/seed{seed}/gsm/sensitivity.benchmark.tsv"
    group:
        plan.group("levels")
    threads: plan.threads_alone
    resources:
        **QUICK,
    params:
        stage=gsm.sensitivity_stage,
        densities=gsm.sensitivity_params,
    script:
        "../scripts/sensitivity.py"
