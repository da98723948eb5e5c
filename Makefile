PYTHON ?= python3
TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_CPP_MIN_LOG_LEVEL

.PHONY: demo docs lint lock test wheel

demo: .venv/stamp
	.venv/bin/python -m reproduce.cifar_ablation \
	    --flagfile=reproduce/flags/cifar_ablation_demo.flags

test: .venv/stamp
	.venv/bin/python -m tests.run

lint: .venv/stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/mypy --strict --follow-imports=silent tests/typed_use.py

# The exact versions that Bazel installs: those of .venv, which has nothing else.
lock: .venv/stamp
	.venv/bin/pip freeze --all --exclude pip > requirements_lock.txt

# The site, in site; a broken link is an error. To look at it:
# python3 -m http.server --directory site
docs: .venv-docs/stamp .venv/stamp
	.venv/bin/python -m docs.run_notebooks
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

# The wheel, in dist/, tried out in an environment and a folder of its own.
wheel:
	.ci/wheel

# The stamp comes last: an install that was cut short starts again from nothing.
# `venv --clear` follows links and would empty the environment of another clone.
.venv/stamp: requirements.txt requirements-dev.txt
	@echo "Installing the requirements into .venv. This takes some minutes, once."
	@test ! -L .venv || { echo 'Error: .venv is a link: update what it leads to.' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check \
	    -r requirements-dev.txt
	touch $@

.venv-docs/stamp: requirements-docs.txt
	@test ! -L .venv-docs || { echo 'Error: .venv-docs is a link: update what it leads to.' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check \
	    -r requirements-docs.txt
	touch $@
