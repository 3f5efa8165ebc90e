# Every target makes what it needs: an environment in .venv, unless a conda or virtual environment is active.
PROFILE ?= quick
SET ?=
SINCE ?=
FILES ?=
PACKAGE ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)

ENVIRONMENT := $(or $(VIRTUAL_ENV),$(CONDA_PREFIX),$(CURDIR)/.venv)
RUN := $(ENVIRONMENT)/bin/python
READY := $(ENVIRONMENT)/.twins-ready
APPLE = PYTHONPATH=tests/coreml $(RUN) -m pytest -o addopts= -p apple -p no:cacheprovider -q --pyargs
SETTINGS := $(foreach setting,$(SET),-p $(setting))

# Nothing is written outside this folder.
export TMPDIR := $(CURDIR)/build/tmp
export XDG_CACHE_HOME := $(CURDIR)/build/cache
export XDG_CONFIG_HOME := $(CURDIR)/build/config
export XDG_DATA_HOME := $(CURDIR)/build/share
export IPYTHONDIR := $(CURDIR)/build/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/build/jupyter
export JUPYTER_DATA_DIR := $(CURDIR)/build/jupyter
export JUPYTER_RUNTIME_DIR := $(CURDIR)/build/jupyter/runtime
export MPLCONFIGDIR := $(CURDIR)/build/matplotlib
export HF_HOME := $(CURDIR)/build/huggingface
export PIP_NO_CACHE_DIR := 1

.PHONY: help setup report publish share merge ios test oracle oracle-sample coverage bench lab site lint clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-zA-Z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Variables: PROFILE=smoke|quick|full, SET="name=value ..." (parameters of the notebooks).'

setup: $(READY) ## make the environment (.venv, or the active one)
	@mkdir -p $(TMPDIR)

$(READY): pyproject.toml constraints.txt
	@mkdir -p $(TMPDIR)
	@test -x $(RUN) || $(PYTHON) -m venv $(ENVIRONMENT)
	@echo "installing into $(ENVIRONMENT), about 2 GB"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

report: setup ## run the notebooks that changed, build the site, print its path
	@$(RUN) -m twins.report --profile $(PROFILE) $(SETTINGS)

report-%: setup ## run one notebook, by its number
	@$(RUN) -m twins.report --profile $(PROFILE) --only $* $(SETTINGS)

publish: report ## put the executed notebooks into report/ and the headline into README.md
	@$(RUN) -m twins.publish --profile $(PROFILE)

share: setup ## write this machine's records into one file for others (SINCE=time: only later runs)
	@$(RUN) -m twins.share --since '$(SINCE)'

merge: setup ## add records that others shared: make merge FILES="one.jsonl two.jsonl"
	@$(RUN) -m twins.share --merge $(FILES)

ios: setup ## write a Swift package around a Core ML package: make ios PACKAGE=Network.mlpackage
	@$(RUN) -W ignore -m twins.coreml.swift "$(PACKAGE)" build/ios/$(basename $(notdir $(PACKAGE)))

test: setup ## check everything that can be checked on this machine
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

oracle: setup ## the Core ML runtime against Apple's own tests and 2,000 random programs (half an hour)
	@$(RUN) -m pytest tests/coreml -m oracle
	@$(APPLE) coremltools.converters.mil.mil.ops.tests --sample 8
	@$(APPLE) coremltools.converters.mil.frontend.torch.test.test_torch_ops --sample 2

oracle-sample: setup ## a minute of Apple's own tests
	@$(APPLE) coremltools.converters.mil.mil.ops.tests --sample 1 --limit 150

coverage: setup ## how much of MLX converts to Core ML and agrees: a table by group, and why the rest does not
	@$(RUN) -m twins.coreml.zoo

bench: setup ## our steps against their peers as interleaved ratios, and Core ML networks as a table
	@$(RUN) -m twins.bench
	@TQDM_DISABLE=1 $(RUN) -W ignore -m twins.coreml.bench
	@TQDM_DISABLE=1 $(RUN) -W ignore -m twins.coreml.bench.conversion

lab: setup ## open the notebooks to change parameters by hand
	@TWINS_PROFILE=interactive $(RUN) -m jupyter lab --ip=127.0.0.1 notebooks

site: setup ## build the site again from what was run, and print its path
	@$(RUN) -m twins.site build/$(PROFILE)/notebooks build/$(PROFILE)/site --profile $(PROFILE)

lint: setup ## ruff on code and notebooks, actionlint on workflows where it is installed
	@$(RUN) -m ruff check lib tests notebooks
	@$(RUN) -m ruff format --check lib tests notebooks
	@sh .github/actionlint

clean: ## remove everything that was made, except the environment and the records
	rm -rf build
