# make demo   sets up and runs the main job on the built-in head; ends with the report's path
# make test   sets up and runs lint, types and tests, as CI does
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check --progress-bar off -qq -c constraints/cpu.txt
MINUTES ?= 60

.PHONY: setup demo test test-rooms test-demo test-slow lint checkpoint docs gallery gpu-check bench-cpu clean
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

# Two runs side by side, of one thread each: the rooms' tests, and those that need a finished demo,
# which takes minutes. Training has a process of its own: in one, torch once crashed after every
# runtime had been loaded beside it.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -m "not gpu and not slow"
DEMO_TESTS = $(sort $(shell grep -rl --include='test_*.py' 'demo: Demo' tests))
TRAINING_TESTS := tests/trans3dhead/training tests/benchmarks/throughput/test_loader.py

test: lint
	$(MAKE) --no-print-directory -j2 --output-sync=line test-rooms test-demo

test-rooms: $(VENV)/.ready-test
	$(PYTEST) tests $(foreach tests,$(DEMO_TESTS) $(TRAINING_TESTS),--ignore=$(tests))

test-demo: $(VENV)/.ready-test
	$(PYTEST) $(DEMO_TESTS)
	$(PYTEST) $(TRAINING_TESTS)

test-slow: $(VENV)/.ready-test
	$(BIN)/pytest -m "not gpu"

# A full-size trained checkpoint, kept outside git under its configuration's hash; in bfloat16 where
# the processor multiplies it, which makes more steps in the hour. START=CHECKPOINT goes on from one,
# with whole crops alone.
PRECISION ?= $(if $(shell grep -s -m1 -o -w 'amx_bf16\|avx512_bf16' /proc/cpuinfo),bfloat16,float32)
checkpoint: $(VENV)/.ready
	$(BIN)/trans3dhead train --preset paper-hour --synthetic 3000 --minutes $(MINUTES) --out checkpoints $(if $(START),--start $(START)) --set precision=$(PRECISION) $(if $(START),quarter_until=0 half_until=0)

# The documentation as a site, in build/site; a broken link stops it.
docs: $(VENV)/.ready-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pictures of docs/outputs.md, read by the engine that `make demo` left.
gallery: $(VENV)/.ready
	$(BIN)/python docs/make_gallery.py --engine demo/mesh/engines/onnxruntime-fp32

# On a machine with an NVIDIA GPU: the tests marked gpu, a training, parity and the benchmark at full
# size by every runtime that is there. What it found comes to lie in build/gpu-check.
gpu-check: $(VENV)/.ready-test
	$(BIN)/python -m benchmarks.gpu_check

# The CPU table of README and docs: every engine that this CPU can run, of a trained full-size
# checkpoint, at batch 1, 4 and 16. For a machine that does nothing else, for 45 minutes of two fast
# cores. MACHINE is the word for it in the published files' names.
CHECKPOINT ?= build/full.safetensors
MACHINE ?= cpu
bench-cpu: $(VENV)/.ready
	rm -rf build/bench-cpu
	$(BIN)/python -m benchmarks.cpu_check $(CHECKPOINT) --publish --machine $(MACHINE)

clean:
	rm -rf demo build *.egg-info
