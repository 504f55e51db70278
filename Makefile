# make book, make test: the two commands of the README. `make help` lists the others.
PYTHON ?= python3
BIN := .venv/bin
export SDL_VIDEODRIVER ?= dummy
export PATH := $(CURDIR)/$(BIN):$(PATH)

BUDGET ?= cpu
DATASET ?=
SEED ?= 0
NB ?=
ONLY ?=

.PHONY: help book site serve lab test test-all units nbval torch-of-the-day check arithmetics torch train \
  train-all execute student bench families slips steps tiny pdf nbgrader lint lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Rebuilt only when the lock changes: a second call installs nothing again
.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}: call make with PYTHON=python3.12, say.")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

book: site  ## build the site and say where it is
	@echo "The book is ready: open _build/html/index.html, or call make serve"

site: .venv/installed
	$(BIN)/python -m scripts.site_pages
	$(BIN)/jupyter-book build -W --keep-going --quiet .

serve: site  ## serve the site on http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory _build/html 8000

lab: .venv/installed  ## open JupyterLab on copies of your own [EDIT=1: on the book's notebooks]
	EDIT=$(EDIT) $(BIN)/python scripts/lab.py

# The site is built by one process: two notebooks on PyTorch take the time that the others have
test: .venv/installed  ## the tests: package, mathematics, site, every cell of every notebook
	$(MAKE) --no-print-directory --jobs=2 site torch-of-the-day
	$(MAKE) --no-print-directory units nbval

test-all: export GENBOOK_DAY := every
test-all: site units nbval torch arithmetics slips  ## also what takes turns in make test, in hours

# Two tests, two notebooks at a time, with one thread each
units: .venv/installed
	$(BIN)/python -m pytest tests --numprocesses=2 --durations=10

nbval: .venv/installed
	$(BIN)/python scripts/check_notebooks.py $(NB)

torch-of-the-day: .venv/installed
	@if $(BIN)/python -c "import torch" 2>/dev/null; \
	then $(BIN)/python scripts/check_notebooks.py --of-the-day 2 --on torch; \
	else echo "PyTorch is not installed (pip install torch): no notebook was run on it."; fi

check: .venv/installed  ## all tests of one notebook, NB=notebooks/..., in two minutes
	@test -n "$(NB)" || { echo "Name the notebook: make check NB=notebooks/03_autoencoders/vae.ipynb"; exit 1; }
	$(BIN)/python scripts/lint.py
	$(BIN)/python -m pytest tests -m "not browser and not torch" -k "$(basename $(notdir $(NB)))" --numprocesses=2
	$(BIN)/python scripts/check_notebooks.py $(NB)

arithmetics: .venv/installed  ## compare outputs of notebooks [NB=...] in the arithmetic of three processors
	$(BIN)/python scripts/check_notebooks.py --on committed no_onednn avx2 -- $(NB)

torch: .venv/installed  ## run notebooks [NB=...] on PyTorch
	$(BIN)/python scripts/check_notebooks.py --on torch -- $(NB)

# The budget cpu is meant for two cores
train bench families: export TF_NUM_INTRAOP_THREADS ?= 2
train bench families: export TF_NUM_INTEROP_THREADS ?= 2
train bench families: export OMP_NUM_THREADS ?= 2

train: .venv/installed  ## full run of NB=notebooks/... [BUDGET=cpu DATASET=... SEED=0]; releases weights, results
	$(BIN)/python scripts/execute.py --budget $(BUDGET) --dataset "$(DATASET)" --seed $(SEED) $(NB)

ENGINE ?= local

train-all: .venv/installed  ## full runs of what is out of date [NB=... ENGINE=local or tcp://... DRY=1]
	$(BIN)/python scripts/train_all.py --engine "$(ENGINE)" $(if $(DRY),--dry-run) $(NB)

execute: .venv/installed  ## run notebooks [NB=...] under quick and write them normalised
	$(BIN)/python scripts/execute.py $(NB)

student: .venv/installed  ## write copies without solutions to student/
	$(BIN)/python scripts/student.py

bench: .venv/installed  ## measure speed and memory of the models
	$(BIN)/python scripts/bench.py

families: .venv/installed  ## measure all families on one data set, for the page of that name
	$(BIN)/python scripts/families.py

slips: .venv/installed  ## plant mistakes [NB=... ONLY="name"], say which check notices each
	$(BIN)/python scripts/slips.py --write $(if $(ONLY),--only "$(ONLY)") $(NB)

steps: .venv/installed  ## take a training and a sampling step with every model of the budget gpu
	GENBOOK_BUDGET=gpu $(BIN)/python scripts/models.py $(basename $(notdir $(NB)))

tiny: .venv/installed  ## run notebooks [NB=...] on a few items, through every branch of a full run
	$(BIN)/python scripts/tiny.py $(NB)

lint: .venv/installed  ## check style, copy the repository's address into the setup cells
	$(BIN)/python scripts/lint.py
	$(BIN)/ruff check helpers tests scripts
	$(BIN)/ruff format --check helpers tests scripts
	$(BIN)/mypy

pdf: site  ## print handouts and keys [NB=vae] to _build/pdf
	$(BIN)/python scripts/print_pages.py $(basename $(notdir $(NB)))

nbgrader: .venv/installed  ## write the exercises [NB=vae] as nbgrader assignments
	$(BIN)/python scripts/nbgrader.py $(basename $(notdir $(NB)))

lock:  ## resolve requirements.lock anew for Python 3.11 to 3.13
	$(PYTHON) -m venv _build/lock && _build/lock/bin/pip install --quiet uv
	_build/lock/bin/uv pip compile --universal --python-version 3.11 --upgrade --quiet \
	  --extra book --extra test --constraint constraints.txt --no-emit-index-url --no-header \
	  --output-file requirements.lock pyproject.toml

clean:  ## remove the built site
	rm -rf _build/html _build/.doctrees
