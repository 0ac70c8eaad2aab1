rule prepare_data:
    output:
        "results/data/{dataset}.safetensors",
    log:
        "logs/data/{dataset}.log",
    benchmark:
        "logs/data/{dataset}.benchmark.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        stage=plan.data_params,
    script:
        "../scripts/prepare_data.py"
