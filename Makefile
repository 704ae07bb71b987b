# The two commands of the README, each of which sets itself up first. `make run MINUTES=30` takes thirty, not ten.
.PHONY: run check check-all constraints clean

run: .venv/ready
	.venv/bin/groundup run --name quick $(if $(MINUTES),--minutes $(MINUTES))

check: .venv/ready-dev
	./check

check-all: .venv/ready-dev
	./check --all

# Exact versions for every platform; what this one machine is told about package sources stays out of the file.
constraints: .venv/ready-dev
	{ echo '# Exact versions for Python 3.11 and newer on every platform. `make constraints` writes this file from pyproject.toml.'; \
	  echo 'torch==2.13.0' | env -u UV_FIND_LINKS -u UV_INDEX .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	    --extra dev --no-annotate --no-header pyproject.toml -; } > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt
	.ci/install .
	touch $@

.venv/ready-dev: pyproject.toml constraints.txt
	.ci/install '.[dev]'
	touch .venv/ready $@
