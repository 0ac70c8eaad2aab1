"""How stages run: jobs, one import of torch for many, GPUs, clusters, code versions."""
