# make demo   sets up and runs the main job on the built-in head; ends with the report's path
# make test   sets up and runs lint, types and tests, as CI does
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check --progress-bar off -qq -c constraints/cpu.txt
MINUTES ?= 60

.PHONY: setup demo test test-slow lint checkpoint gallery gpu-check clean
.DELETE_ON_ERROR:

# Two stamps: the demo does not wait for the test tools, and a second run installs nothing.
$(VENV)/.ready: pyproject.toml constraints/cpu.txt
	@echo "setting up $(VENV): about two minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e '.[train,cpu]'
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@$(PIP) -e '.[train,cpu,test]'
	@touch $@

setup: $(VENV)/.ready-test

demo: $(VENV)/.ready
	@$(BIN)/trans3dhead demo --out demo

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three processes: in one, torch's training once crashed after every runtime had been loaded beside it.
DEMO_TESTS := tests/test_demo.py tests/test_readme.py tests/benchmarks/parity/test_trained.py
TRAINING_TESTS := tests/trans3dhead/training

test: lint
	$(BIN)/pytest -m "not gpu and not slow" tests \
	    $(foreach tests,$(DEMO_TESTS) $(TRAINING_TESTS),--ignore=$(tests))
	$(BIN)/pytest -m "not gpu and not slow" $(TRAINING_TESTS)
	$(BIN)/pytest -m "not gpu and not slow" $(DEMO_TESTS)

test-slow: $(VENV)/.ready-test
	$(BIN)/pytest -m "not gpu"

# A full-size trained checkpoint, kept outside git under its configuration's hash.
checkpoint: $(VENV)/.ready
	$(BIN)/trans3dhead train --preset paper-hour --synthetic 3000 --minutes $(MINUTES) --out checkpoints

# The pictures of docs/outputs.md, read by the engine that `make demo` left.
gallery: $(VENV)/.ready
	$(BIN)/python docs/make_gallery.py --engine demo/mesh/engines/onnxruntime-fp32

# On a machine with an NVIDIA GPU.
gpu-check: $(VENV)/.ready-test
	$(BIN)/pytest -m gpu

clean:
	rm -rf demo build *.egg-info
