# Penstock's commands. They need python3 (3.11 or newer) and make: the first one makes the environment
# .venv from hash-pinned requirements, later ones find it there. `make help` lists them.

# Another interpreter for the environment: make PYTHON=python3.12 …
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
INSTALL := $(PIP) install --require-hashes --only-binary :all:
CACHES := .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# One package has no wheel for Linux on ARM: there, and only there, it is built from its hashed source.
ifeq ($(shell uname -sm),Linux aarch64)
INSTALL += --no-binary faust-streaming
endif

# Whatever the calling shell has activated or exported must not leak into our environment.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_USER

.DEFAULT_GOAL := help
.PHONY: help run test check lint interop fault bench bench-engine bench-triage bench-memory bench-dispatch bench-scaling bench-packing soak broker schemas lock reset clean new-environment

help:  ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo '  Some take arguments: make run ARGS="--until 200", make test T=tests/unit ARGS="-x"'

run: $(VENV)/.run-ready  ## Kafka, a node, a worker and demo traffic, until Ctrl-C (ARGS=…).
	@exec $(BIN)/penstock up --demo $(ARGS)

# A part of the tests finds the broker that `make broker` has left running, and is quicker for it; the whole
# always starts a fresh one.
test: $(VENV)/.test-ready  ## All tests but interop; T=path runs a part, on `make broker` if it is up.
ifdef T
	@PENSTOCK_TEST_DATA_DIR=.penstock/test $(BIN)/python -m pytest $(T) $(ARGS)
else
	@$(BIN)/python tests/lanes.py $(ARGS)
endif

check: lint  ## Lint, types, import order, and the quick tests without a broker; under a minute.
	@$(BIN)/python -m pytest -q -m "not slow" tests/unit $(wildcard tests/golden) $(ARGS)

lint: $(VENV)/.test-ready  ## Lint, formatting, types, import order.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

interop: $(VENV)/.test-ready  ## Tests with foreign tools: kcat, Node.js (see CONTRIBUTING).
	@$(BIN)/python -m pytest -m interop tests/interop $(ARGS)

# One of them waits for ten minutes.
fault: $(VENV)/.test-ready  ## The tests that kill and break things, the engine's fault suite at full size.
	@$(BIN)/python -m pytest -m fault tests/fault --full -o faulthandler_timeout=1200 $(ARGS)

bench: $(VENV)/.run-ready  ## All benchmarks, with a report and an exit code (ARGS=…).
	@$(BIN)/python -m infra.bench $(ARGS)

bench-engine: $(VENV)/.run-ready  ## The engine beside raw loops, aiokafka and stock Faust (ARGS="--rounds 1").
	@$(BIN)/python -m infra.bench.engine_suite $(ARGS)

# The peers are installed on first use, into the user's cache.
bench-triage: $(VENV)/.run-ready  ## The fast path beside a plain loop, Bytewax and Quix Streams (ARGS="--rounds 1").
	@$(BIN)/python -m infra.bench.triage_suite $(ARGS)

bench-memory: $(VENV)/.run-ready  ## Remembering beside a dict and SQLite, at a million entries (ARGS="--rounds 1").
	@$(BIN)/python -m infra.bench.memory_suite $(ARGS)

# Most of it in virtual time; what a post costs is measured over real HTTP, beside clients that are installed
# on first use, into the user's cache.
bench-dispatch: $(VENV)/.run-ready  ## The dispatch beside fixed limits, semaphores and other clients (ARGS="--only steady").
	@$(BIN)/python -m infra.bench.dispatch_suite $(ARGS)

bench-scaling: $(VENV)/.run-ready  ## The scaling table: users without a pause, over more and more slots.
	@$(BIN)/python -m infra.bench.dispatch_suite --only scaling $(ARGS)

bench-packing: $(VENV)/.run-ready  ## Ten posts on a sequential node, one by one and in packs.
	@$(BIN)/python -m infra.bench.packing_suite $(ARGS)

soak: $(VENV)/.run-ready  ## Two million records, and slow ones by the ten thousand: memory and CPU must not grow.
	@$(BIN)/python -m infra.bench.engine_suite --rounds 3 --only memory --only slow $(ARGS)

broker: $(VENV)/.run-ready  ## Start a Kafka for `make test T=…` and leave it running until `make reset`.
	@$(BIN)/penstock --data-dir .penstock/test kafka start

schemas: $(VENV)/.run-ready  ## Generate anew what follows from the messages: JSON Schemas, types, tables.
	@$(BIN)/python -m schemas.export

# The versions that stand in the files already are kept; ARGS=--upgrade looks for newer ones. Three steps, so
# that no two files ever name different versions of one package.
lock: $(VENV)/.lock-ready  ## Resolve pyproject.toml into requirements/*.txt (ARGS=--upgrade for newer ones).
	$(UV_COMPILE) pyproject.toml -o $(REQUIREMENTS)/runtime.txt $(ARGS)
	$(UV_COMPILE) --group build -c $(REQUIREMENTS)/runtime.txt -o $(REQUIREMENTS)/build.txt $(ARGS)
	$(UV_COMPILE) --group dev -c $(REQUIREMENTS)/runtime.txt -c $(REQUIREMENTS)/build.txt \
		-o $(REQUIREMENTS)/dev.txt $(ARGS)
	$(UV_COMPILE) --group llama -c $(REQUIREMENTS)/dev.txt -o $(REQUIREMENTS)/llama.txt $(ARGS)
	$(UV_COMPILE) --group lock -o $(REQUIREMENTS)/lock.txt $(ARGS)
	$(UV_COMPILE) --group peer-bytewax -o $(REQUIREMENTS)/peer-bytewax.txt $(ARGS)
	$(UV_COMPILE) --group peer-quixstreams -o $(REQUIREMENTS)/peer-quixstreams.txt $(ARGS)
	$(UV_COMPILE) --group peer-clients -o $(REQUIREMENTS)/peer-clients.txt $(ARGS)
	@! grep -n "://" $(REQUIREMENTS)/*.txt || { echo "A lock file names an address; see above." >&2; exit 1; }

reset:  ## Delete all local state: stop what runs in .penstock, its Kafka too; delete it and caches.
	@for data_dir in .penstock .penstock/test; do \
		if [ -d $$data_dir/run ] && [ -x $(BIN)/penstock ]; then \
			$(BIN)/python -P -m infra.supervise.ending $$data_dir || exit 1; \
		fi; \
		if [ -e $$data_dir/kafka/instance.json ] && [ -x $(BIN)/penstock ]; then \
			echo "Stopping the embedded Kafka of $$data_dir"; \
			$(BIN)/penstock --data-dir $$data_dir kafka stop || exit 1; \
		fi; \
	done
	@echo "Deleting .penstock $(CACHES) and __pycache__ (not .venv: make clean; not the jars in the user's cache)"
	@rm -rf .penstock $(CACHES)
	@find . -path ./$(VENV) -prune -o -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +

clean:  ## Delete what was built: .venv, build, dist.
	@echo "Deleting $(VENV) build dist"
	@rm -rf $(VENV) build dist


# -- the environment, in three stages, so that `make run` need not wait for the developer's tools --

# An interpreter that is gone (an update of the system) makes the environment anew.
$(VENV)/.run-ready: $(if $(wildcard $(BIN)/python),,new-environment) \
		$(REQUIREMENTS)/runtime.txt $(REQUIREMENTS)/build.txt pyproject.toml
	@echo "Installing Penstock and what it stands on into $(VENV) …"
	@$(INSTALL) -r $(REQUIREMENTS)/runtime.txt -r $(REQUIREMENTS)/build.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.test-ready: $(VENV)/.run-ready $(REQUIREMENTS)/dev.txt
	@echo "Installing the tools for tests and checks into $(VENV) …"
	@$(INSTALL) -r $(REQUIREMENTS)/dev.txt
	@touch $@

$(VENV)/.lock-ready: $(VENV)/.run-ready $(REQUIREMENTS)/lock.txt
	@$(INSTALL) -r $(REQUIREMENTS)/lock.txt
	@touch $@

new-environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null || { \
		echo "Penstock needs Python 3.11 or newer, but $(PYTHON) is:" \
			"$$(command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1 || echo missing). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo "$(PYTHON) cannot make an environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
