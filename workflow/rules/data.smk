rule prepare_data:
    output:
        "results/data/{dataset}.safetensors",
    log:
        "logs/data/{dataset}.log",
    benchmark:
        "logs/data/{dataset}.benchmark.tsv"
    params:
        stage=plan.data_params,
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    retries: 1
    script:
        "../scripts/prepare_data.py"
