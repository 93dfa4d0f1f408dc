# From a clone to figures: `make figures`. Works with GNU make 3.81 and newer.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

PROFILE ?= quick
PYTHON  ?= python3
VENV    ?= .venv

# Must be set before a process starts that loads both torch and faiss: their waiting threads otherwise spin against each other.
export OMP_WAIT_POLICY := PASSIVE

RUN      := $(VENV)/bin/python
STAMP    := $(VENV)/.installed
SETTINGS := notebooks/profiles/$(PROFILE).yaml

PROFILES := $(basename $(notdir $(wildcard notebooks/profiles/*.yaml)))

ifeq ($(filter $(PROFILE),$(PROFILES)),)
$(error PROFILE: found $(PROFILE); expected one of $(PROFILES))
endif

# Notebooks of the profile, and all that there are.
NUMBERS   := $(shell sed -n 's/^"\([0-9][0-9]\)":.*/\1/p' $(SETTINGS))
ALL       := $(sort $(NUMBERS) $(foreach file,$(notdir $(wildcard notebooks/[0-9][0-9]_*.ipynb)),$(firstword $(subst _, ,$(file)))))
NOTEBOOKS := $(wildcard notebooks/[0-9][0-9]_*.ipynb)
CHECKED   := $(wildcard lib tests benchmarks notebooks)

.PHONY: help figures plan report lab notebooks test check benchmark lock clean distclean validated $(ALL)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo "make NUMBER     one notebook: $(ALL)"
	@echo "Set PROFILE=$(PROFILE) (there are $(PROFILES)), PYTHON=$(PYTHON), VENV=$(VENV), DATA_MIRROR=$(DATA_MIRROR) (a local copy of pictures and weights)."

figures: $(NUMBERS) ## all figures and tables of the profile; what is up to date is not run again

# Each notebook decides by the content of what it is made from whether it has to run.
$(ALL): $(STAMP) validated
	@$(RUN) -m lib run $@ --profile $(PROFILE)

# Parameters of all notebooks are checked before the first one runs.
validated: $(STAMP)
	@$(RUN) -m lib plan --profile $(PROFILE) > /dev/null

plan: $(STAMP) ## the parameters and the cost of every notebook; runs nothing
	@$(RUN) -m lib plan --profile $(PROFILE)

report: figures ## one HTML page with all claims and figures of the profile
	@$(RUN) -m lib report --profile $(PROFILE)

lab: $(STAMP) ## the notebooks in JupyterLab
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks

notebooks: $(STAMP) ## run the quick profile and store its outputs in notebooks/
	$(RUN) -m lib notebooks

test: $(STAMP) ## everything CI does: lint, all tests, and the notebooks against their stored outputs
	$(VENV)/bin/ruff check $(CHECKED)
	$(RUN) -m pytest
ifneq ($(NOTEBOOKS),)
	$(RUN) -m pytest --nbval-lax --nbval-current-env --nbval-sanitize-with notebooks/sanitize.cfg --nbval-cell-timeout=1800 --timeout=0 $(NOTEBOOKS)
endif

check: $(STAMP) ## the fast tier: lint, and the tests that are not slow
	$(VENV)/bin/ruff check $(CHECKED)
	$(RUN) -m pytest -m "not slow"

benchmark: $(STAMP) ## the measurements of speed that the README shows
	@for file in $(wildcard benchmarks/*.py); do echo "$$file"; $(RUN) "$$file" || exit 1; done

# torch and torchvision are a pair: keep both, or change both.
lock: ## pin the newest versions that pyproject.toml allows in requirements.lock, except torch and torchvision (needs uv)
	mkdir -p build
	grep -E '^torch(vision)?==' requirements.lock > build/pair.txt
	uv pip compile --universal --python-version 3.11 --extra test --extra saliency --extra text --no-annotate --no-header --upgrade -c build/pair.txt pyproject.toml -o requirements.lock

clean: ## remove build/ and the caches of tools
	rm -rf build .pytest_cache .ruff_cache .hypothesis .coverage

distclean: clean ## remove the environment and data/cache too; downloads in data/weights and data/images stay
	rm -rf $(VENV) data/cache *.egg-info

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; found = sys.version_info[:2]; (3, 11) <= found < (3, 14) or sys.exit("PYTHON: found Python %d.%d as $(PYTHON); expected 3.11 to 3.13 (for example: make PYTHON=python3.12)" % found)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -c 'import torch, torchvision' || { echo "torch and torchvision do not fit together; both must come from the same package index" >&2; exit 1; }
	@touch $@
