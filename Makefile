# Every target makes what it needs: an environment in .venv, unless a conda or virtual environment is active.
# Only what GNU make 3.81 knows, which is macOS's; make splits names at spaces, so no target holds a whole path.
PROFILE ?= quick
SET ?=
SINCE ?=
FILES ?=
PACKAGE ?=

# What is given reaches a program by the environment, where neither make (`value`, `unexport`) nor a shell that has
# "$$GIVEN_SET" in a command reads it: a variable of make's own would be expanded, and its text run by the shell.
GIVEN := PROFILE SET SINCE FILES PACKAGE
GIVEN += MODEL FRAMEWORK NPROC HOSTS STEPS BATCH EVERY SEED LEARNING_RATE PORT BACKEND OUT
unexport $(GIVEN)
$(foreach name,$(GIVEN),$(eval export GIVEN_$(name) := $$(value $(name))))

# An active environment is taken when its Python can run this. conda activates its base by itself: that is not taken.
ACTIVE := $(or $(value VIRTUAL_ENV),$(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(value CONDA_PREFIX)))
TAKEN := $(if $(ACTIVE),$(shell PYTHONPATH=lib "$${VIRTUAL_ENV:-$$CONDA_PREFIX}/bin/python" -m twins.machine.doctor --python >/dev/null 2>&1 && echo yes))
ENVIRONMENT := $(if $(TAKEN),$(ACTIVE),.venv)
export GIVEN_ENVIRONMENT := $(ENVIRONMENT)
RUN := "$$GIVEN_ENVIRONMENT/bin/python"
# A Mac that sleeps measures nothing: caffeinate holds it awake for as long as the shell's process lives.
AWAKE = $(if $(shell command -v caffeinate),caffeinate -i -w $$$$ >/dev/null 2>&1 & exec)
APPLE = PYTHONPATH=tests/coreml_runtime $(RUN) -m pytest -o addopts= -p apple -p no:cacheprovider -q --pyargs

# Every process of a run imports the same modules: each is compiled once.
unexport PYTHONDONTWRITEBYTECODE

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

.PHONY: help setup doctor report train publish record share merge ios test oracle oracle-sample coverage bench bench-diagnosis bench-evidence lab site lint audit clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-zA-Z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Variables: PROFILE=smoke|quick|full|record, SET="name=value ..." (parameters of the notebooks; quotes keep spaces).'

setup: ## make the environment (.venv, or the active one)
	@$(if $(ACTIVE),$(if $(TAKEN),,echo 'the active environment has no Python 3.11 or 3.12 that works here: .venv is used';)) :
	@sh lib/environment.sh ready "$$GIVEN_ENVIRONMENT"

doctor: ## what will run on this machine, what will not and why, and how long; installs nothing
	@sh lib/environment.sh doctor "$$GIVEN_ENVIRONMENT"

report: setup ## run the notebooks that changed, build the site, print its path
	@$(AWAKE) $(RUN) -m twins.series.runner --profile="$$GIVEN_PROFILE" --set="$$GIVEN_SET"

report-%: export GIVEN_PAGE = $*
report-%: setup ## run one notebook, by its number
	@$(AWAKE) $(RUN) -m twins.series.runner --profile="$$GIVEN_PROFILE" --set="$$GIVEN_SET" --only="$$GIVEN_PAGE"

train: setup ## a long training run: MODEL=transformer_lm FRAMEWORK=mlx|torch, and NPROC, HOSTS, STEPS, BATCH, EVERY, OUT, SET
	@$(AWAKE) $(RUN) -m twins.training.distributed.launch

publish: report ## put the executed notebooks into report/ and the headline into README.md
	@$(RUN) -m twins.series.publish --profile="$$GIVEN_PROFILE"

record: setup ## one session of this machine's records; refused where something disturbs it
	@$(AWAKE) $(RUN) -m twins.series.recording

share: setup ## write this machine's records into one file for others (SINCE=time: only later runs)
	@$(RUN) -m twins.series.sharing --since="$$GIVEN_SINCE"

merge: setup ## add records that others shared: make merge FILES="one.jsonl two.jsonl"
	@$(RUN) -m twins.series.sharing --merge="$$GIVEN_FILES"

ios: setup ## write a Swift package around a Core ML package: make ios PACKAGE=Network.mlpackage
	@$(RUN) -W ignore -m mlx_coreml swift "$$GIVEN_PACKAGE" "build/ios/$$(basename -- "$${GIVEN_PACKAGE%.*}")"

test: setup ## check everything that can be checked on this machine
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

oracle: setup ## the Core ML runtime against Apple's own tests and 2,000 random programs, every planted mistake, device tests on a pretended Mac, hostile records, kills (hours)
	@$(RUN) -m pytest tests/coreml_runtime tests/mlx_coreml tests/mac tests/twins -m oracle
	@$(APPLE) coremltools.converters.mil.mil.ops.tests --sample 8
	@$(APPLE) coremltools.converters.mil.frontend.torch.test.test_torch_ops --sample 2

oracle-sample: setup ## a minute of Apple's own tests
	@$(APPLE) coremltools.converters.mil.mil.ops.tests --sample 1 --limit 150

coverage: setup ## how much of MLX converts to Core ML and agrees: a table by group, and why the rest does not
	@$(RUN) -m mlx_coreml coverage

bench: setup ## our steps against their peers as interleaved ratios, and Core ML networks as a table
	@$(AWAKE) $(RUN) -m twins.timing.peers.bench
	@export TQDM_DISABLE=1; $(AWAKE) $(RUN) -W ignore -m twins.export.bench
	@export TQDM_DISABLE=1; $(AWAKE) $(RUN) -W ignore -m twins.export.bench.conversion
	@export TQDM_DISABLE=1; $(AWAKE) $(RUN) -W ignore -m twins.export.bench.checking

bench-diagnosis: setup ## what the gate and the diagnosis say of every mistake planted in a corpus of correct pairs
	@PYTHONPATH=tests/twins/parity TWINS_DEVICE=cpu $(RUN) -W ignore -m pair_corpus.table

bench-evidence: setup ## how often each rule is right, and how often the printed interval holds, by simulation
	@$(RUN) -m twins.evidence.verdicts.power

lab: setup ## open the notebooks to change parameters by hand
	@TWINS_PROFILE=interactive $(RUN) -m jupyter lab --ip=127.0.0.1 notebooks

site: setup ## build the site from what was run here, or else from report/, and print its path
	@$(RUN) -m twins.series.site --profile="$$GIVEN_PROFILE" --otherwise report

lint: setup ## ruff on code and notebooks, mypy on the packages, actionlint on workflows where it is installed
	@$(RUN) -m ruff check lib tests notebooks docs
	@$(RUN) -m ruff format --check lib tests notebooks docs
	@for package in coreml_runtime mlx_coreml twins; do $(RUN) -m mypy --config-file lib/$$package/pyproject.toml || exit; done
	@sh .github/actionlint

audit: ## the pinned packages against the index's list of known faults, in an environment of its own; needs the index
	@"$${PYTHON:-python3}" -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@build/audit/bin/python -m pip_audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

clean: ## remove everything that was made, except the environment and the records
	rm -rf build
