# Two commands do all the set-up: `make app` opens the dashboard, `make test` passes the tests.
# PYTHON=python3.12 picks the interpreter; PORT=8600 another port.

PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app test lint format clean

app: $(VENV)/.installed-app
	@sh tools/open_dashboard.sh $(BIN) $(PORT)

test: $(VENV)/.installed-test $(VENV)/.installed-oldest-triton
	@sh tools/find_chromium.sh $(BIN)
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# An install is repeated only when its requirements file or the set-up script changed.
$(VENV)/.installed-app: requirements.txt tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.installed-test: requirements.txt requirements-test.txt tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV) requirements-test.txt
	@touch $(VENV)/.installed-app $@

# The GPU kernels are checked with the oldest Triton, too. Failing to install it is no reason to stop: those
# checks are skipped then, and the next `make test` tries again.
$(VENV)/.installed-oldest-triton: requirements-oldest-triton.txt $(VENV)/.installed-test
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --upgrade --no-deps \
		--target $(VENV)/triton-3.6 -r requirements-oldest-triton.txt && touch $@ || \
		echo "Triton 3.6 does not install here; the checks with it will be skipped."

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts
