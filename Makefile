# Two commands need nothing done by hand: `make demo` and `make test`. The rest is for development.
VENV   ?= .venv
PYTHON ?= python3
export PYTHON

PY := $(VENV)/bin/python
BIN := $(CURDIR)/$(VENV)/bin

# What changes the compiled host runtime. Folders are listed too, so that a removed file counts.
C_TREE := $(shell find cmsis_kernels) $(wildcard edgebnn/host/*.py)

DEMO_TOOLS := arm-none-eabi-gcc qemu-system-arm
TEST_TOOLS := $(DEMO_TOOLS) qemu-arm qemu-aarch64 aarch64-linux-gnu-gcc arm-linux-gnueabihf-gcc clang
BENCH_TOOLS := aarch64-linux-gnu-gcc llvm-mca
LINT_TOOLS := clang-format cppcheck

# The rules share one virtual environment.
.NOTPARALLEL:

.PHONY: help demo test sanitize lint bench-cortex-m bench-x86 results-kws results-ptq clean distclean
help:
	@echo "make demo            convert, run and profile the shipped keyword spotter"
	@echo "make test            every test"
	@echo "make sanitize        every kernel under AddressSanitizer and UBSan, by gcc and clang, many calls"
	@echo "make lint            ruff, mypy, clang-format, cppcheck"
	@echo "make bench-cortex-m  the Cortex-M kernel table"
	@echo "make bench-x86       this machine's kernels and networks beside other libraries' (LITERT=, LARQ=: their Pythons)"
	@echo "make results-kws     trains the keyword spotters and writes their table (hours; needs EDGEBNN_DATA)"
	@echo "make results-ptq     post-training quantisation beside training with quantisation"
	@echo "make clean           remove what was built; distclean: also the virtual environment"

# Requirements: those of the tests include those of the demo.
$(VENV)/.stamp: requirements.txt scripts/setup-venv.sh
	@scripts/setup-venv.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.stamp-dev: requirements.txt requirements-dev.txt scripts/setup-venv.sh
	@scripts/setup-venv.sh $(VENV) requirements-dev.txt
	@touch $(VENV)/.stamp $@

# An editable install does not notice changed C files, and setuptools not changed headers.
$(VENV)/.stamp-ext: pyproject.toml setup.py $(C_TREE) | $(VENV)/.stamp
	@echo "building the host runtime"
	@rm -f edgebnn/host/_ebnn*.so
	@$(PY) -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@$(PY) -c "import edgebnn.host._ebnn"
	@touch $@

demo: $(VENV)/.stamp $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(DEMO_TOOLS)
	@PATH="$(BIN):$$PATH" $(PY) scripts/demo.py

test: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(TEST_TOOLS)
	@PATH="$(BIN):$$PATH" $(PY) -m pytest -n $(or $(JOBS),2) $(ARGS)

sanitize: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh gcc clang-sanitizers
	@PATH="$(BIN):$$PATH" EDGEBNN_SANITIZE=$(or $(CALLS),60) $(PY) -m pytest tests/test_sanitizers.py $(ARGS)

# shiftTooManyBitsSigned: arithmetic shifts of signed words are meant. preprocessorErrorDirective: headers that a
# macro names.
lint: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(LINT_TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find cmsis_kernels firmware edgebnn -name '*.[ch]' -not -name '_ebnn.c' -not -path '*/build/*' -print0 \
	    | xargs -0 clang-format --dry-run -Werror
	cppcheck --quiet --error-exitcode=1 --std=c99 --enable=warning,portability --inline-suppr \
	    --suppress=shiftTooManyBitsSigned --suppress=preprocessorErrorDirective \
	    -I cmsis_kernels/include cmsis_kernels/src

bench-cortex-m: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(DEMO_TOOLS)
	@PATH="$(BIN):$$PATH" $(PY) -m benchmarks.cortex_m $(ARGS)

# LITERT and LARQ: Python interpreters of environments that have these peers.
bench-x86: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(BENCH_TOOLS)
	@PATH="$(BIN):$$PATH" $(PY) -m benchmarks.x86 $(if $(LITERT),--litert-python $(LITERT)) \
	    $(if $(LARQ),--larq-python $(LARQ)) $(ARGS)

# Resumable: run it again after an interruption. ARGS="--refresh-costs" measures what is trained anew.
results-kws: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@scripts/setup-system.sh $(DEMO_TOOLS)
	@PATH="$(BIN):$$PATH" $(PY) -m benchmarks.training $(ARGS)

results-ptq: $(VENV)/.stamp-dev $(VENV)/.stamp-ext
	@$(PY) scripts/ptq_report.py $(ARGS)

clean:
	rm -rf build dist *.egg-info edgebnn/host/_ebnn*.so edgebnn/host/_ebnn.c .pytest_cache .mypy_cache .ruff_cache
	rm -f $(VENV)/.stamp-ext

distclean: clean
	rm -rf $(VENV)
