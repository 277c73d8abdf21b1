PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test docs dist test-kill test-postgres test-cluster test-export test-browser test-installed test-snippets

# Set everything up, then train the depth-scaling study (or resume it) and draw its report.
run: .venv/installed
	$(BIN)/python -m sret_search.run studies/depth_scaling.yaml

# Lint, types, and every fast test.
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Kill drivers, workers and nodes at every moment: long.
test-kill: .venv/installed
	$(BIN)/pytest -m slow tests/kill

# A study in PostgreSQL, on a server that the tests start: apt-get install postgresql.
test-postgres: .venv/installed
	$(BIN)/pytest -m "" -rs tests/trials/test_postgres.py

# Clusters of several nodes on this machine, and the documentation's own example of one.
test-cluster: .venv/installed
	$(BIN)/pytest -m slow tests/execution/test_ray_cluster.py tests/test_docs.py

# Graphs, the Hugging Face hub and timm, with their extras.
test-export: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test,onnx,hub,timm]'
	$(BIN)/pytest -rs tests/export tests/commands/test_export_command.py

# The page of a report in a real browser: apt-get install chromium chromium-driver.
test-browser: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test,browser]'
	$(BIN)/pytest -m browser -rs tests/browser

# Every command and every piece of code in README and docs, on shortened studies.
test-snippets: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test,onnx,hub,timm]'
	$(BIN)/pytest -m "" -rs tests/test_snippets.py

# Wheel and source distribution in empty environments, and each extra alone: some 20 minutes.
test-installed: .venv/installed
	$(BIN)/pytest -m "" -rs tests/installed

# A wheel and a source distribution, in dist/.
dist: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build
	rm -rf dist build/lib
	$(BIN)/python -m build

# The documentation as a site, in build/site/; a link that leads nowhere is an error. With --quiet MkDocs
# does not count warnings, and none would be an error.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test]'
	touch $@
