# Two commands: `make demo` and `make test`. Each makes its own environment in .venv.
# Threads that wait should not spin: tests share their cores.
export OMP_WAIT_POLICY ?= passive

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
DATA := artifacts/ml-100k
OUTPUT := artifacts/demo

.PHONY: demo serve test chaos lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   train on MovieLens-100k, start the service, ask it for recommendations"
	@echo "make serve  serve the demo's bundle on http://127.0.0.1:8000"
	@echo "make test   lint, types and all tests"
	@echo "make chaos  do every fault of docs/benchmarks/reliability.md to the service (20 minutes)"
	@echo "make clean  remove the environment and everything that was trained"

demo: $(VENV)/installed $(DATA)
	$(BIN)/bbqrec-train run configs/demo.toml
	$(BIN)/python scripts/demo.py $(OUTPUT)

serve: $(VENV)/installed
	$(BIN)/bbqrec-serve $(OUTPUT)

# A file of tests is run by one process.
test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

chaos: $(VENV)/installed
	$(BIN)/python -m benchmarks.reliability

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/installed: pyproject.toml constraints.txt scripts/install.sh
	PYTHON=$(PYTHON) scripts/install.sh $(VENV) train,serve,cpu,dev
	@touch $@

$(DATA): | $(VENV)/installed
	$(BIN)/bbqrec-train demo-data $@

clean:
	rm -rf $(VENV) artifacts
