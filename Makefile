# Everything runs in .venv, which the first target sets up from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A file's tests share what its fixtures make; files are taken in the order of tests/conftest.py.
BY_FILE := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help figure check test test-cluster campaign lint bench clean-venv

help:
	@echo "make figure  draw plots/rewind_vs_finetune.pdf from scratch (digits, minutes)"
	@echo "make check   style, and the quick tests: for use while developing"
	@echo "make test    run the tests"
	@echo "make test-cluster  run those that submit to a Slurm of one node (root, slurm-wlm, munge)"
	@echo "make campaign  kills, damaged files, wrong configurations, broken disks: half an hour"
	@echo "make lint    check style: ruff, snakefmt, snakemake --lint"
	@echo "make bench   measure speed, side by side"

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

figure: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores 8 plots/rewind_vs_finetune.pdf

check: $(READY)
	$(BIN)/ruff check .
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest $(BY_FILE) -m "not slow" --ignore tests/cluster

test: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest $(BY_FILE) --ignore tests/cluster

# They wait more than they compute, so there are more of them at a time than cores.
test-cluster: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest -n 4 tests/cluster

# Goes on where it was stopped; docs/reliability.md says how to read its table.
campaign: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tests.campaigns --minutes 30 --jobs 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

bench: $(READY)
	$(BIN)/python benchmarks/epoch_time.py
	$(BIN)/python benchmarks/scoring_time.py
	$(BIN)/python benchmarks/reading_time.py
	$(BIN)/python benchmarks/loading_time.py
	$(BIN)/python benchmarks/gsm_step_time.py
	$(BIN)/python benchmarks/search_step_time.py
	$(BIN)/python benchmarks/shrunk_step_time.py
	$(BIN)/python benchmarks/translation_step_time.py
	$(BIN)/python benchmarks/gpu_step_time.py

clean-venv:
	rm -rf .venv
