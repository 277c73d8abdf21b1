PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test

# Set everything up, then train the depth-scaling study (or resume it) and draw its report.
run: .venv/installed
	$(BIN)/python -m sret_search.run studies/depth_scaling.yaml

# Lint, types, and every fast test.
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto --dist loadfile

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test]'
	touch $@
