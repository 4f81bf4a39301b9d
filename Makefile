# What a person types. CI calls the same. Every verb sets up `.venv` by itself first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup run demo test check conformance format chaos chaos-all sim scenarios bench bench-cluster image up down clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Kith needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@echo "setting up $(VENV) (once) …"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(VENV)/.ready  ## create .venv with everything in it

run: setup  ## a cluster of three on this machine with a demo service; Ctrl-C ends it
	@exec $(BIN)/kith dev --nodes 3

demo: setup  ## the README's session, scripted: register, look up, kill, watch it go
	@exec $(BIN)/python -m deploy.demo

test: setup  ## the tests, in random order
	$(BIN)/pytest

check: setup  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## rewrite the code as ruff likes it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

CONFORMANCE := .venv-conformance
$(CONFORMANCE)/.ready: pyproject.toml constraints.txt constraints-conformance.txt
	@$(PYTHON) -m venv $(CONFORMANCE)
	@$(CONFORMANCE)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-conformance.txt --editable '.[conformance]'
	@touch $@

conformance: $(CONFORMANCE)/.ready  ## schemathesis against the HTTP API of a throw-away node, in an environment of its own
	$(CONFORMANCE)/bin/pytest -s tests/conformance

SEEDS ?= 1..100
JOBS ?= 2

chaos: setup  ## the short set of scenarios on real clusters, in minutes; needs root for networks that are cut, else says so
	$(BIN)/kith chaos run --quick --keep-going --skip-impossible

OLD_BUILD ?= .chaos-old

chaos-all: setup  ## every scenario three times in namespaces, then those that can be cut in containers (hours)
	@test -d $(OLD_BUILD) || git worktree add --detach $(OLD_BUILD) HEAD~1
	$(BIN)/kith chaos run --all --repeat 3 --keep-going --cluster namespaces --old-build $(OLD_BUILD)
	$(BIN)/kith chaos run --all --repeat 3 --keep-going --cluster compose --skip-impossible

sim: setup  ## simulated clusters, a hundred seeds (SEEDS=1..500 JOBS=2), up to the first failure
	$(BIN)/kith sim --seeds $(SEEDS) --jobs $(JOBS)

scenarios: setup  ## rewrite the golden scenarios, to be read as a diff
	$(BIN)/python -m chaos.sim.scenario --rewrite tests/scenarios/*.txt

BENCH ?=

bench: setup  ## everything measured beside its peers, into bench/results (BENCH=--quick, BENCH="--only cluster")
	$(BIN)/python -m benchmarks $(BENCH)

bench-cluster: setup  ## 32 real nodes beside 32 Serf agents: update, detection, idle traffic
	$(BIN)/python -m benchmarks.cluster

BASE_IMAGE ?= python:3.11-slim
WHEELS ?= yes
COMPOSE ?= $(shell command -v docker-compose 2>/dev/null || echo docker compose)
IMAGE_SOURCES = $(shell find protocol storage node mesh chaos -name '*.py')

deploy/wheels/.dependencies: pyproject.toml constraints.txt | $(VENV)/.ready
	@mkdir -p deploy/wheels && rm -f deploy/wheels/*.whl
	@echo "collecting the dependencies' wheels in deploy/wheels (once) …"
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --wheel-dir deploy/wheels --constraint constraints.txt .
	@touch $@

deploy/wheels/.kith: deploy/wheels/.dependencies pyproject.toml README.md $(IMAGE_SOURCES)
	@rm -f deploy/wheels/kith-*.whl
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir deploy/wheels .
	@touch $@

image: $(if $(filter no,$(WHEELS)),,deploy/wheels/.kith)  ## the container image kith:dev; BASE_IMAGE=any image with Python ≥ 3.11, WHEELS=no builds inside
	$(if $(filter no,$(WHEELS)),rm -rf deploy/wheels)
	docker build --build-arg BASE_IMAGE=$(BASE_IMAGE) --tag kith:dev .

up:  ## five nodes and two services in containers (make image first); http://127.0.0.1:8400
	$(COMPOSE) up -d
	@$(PYTHON) deploy/wait_healthy.py $(COMPOSE)

down:  ## stop the containers and remove their data
	$(COMPOSE) down --volumes

clean:  ## remove .venv and caches
	rm -rf $(VENV) $(CONFORMANCE) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
