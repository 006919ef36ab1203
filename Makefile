# The package is an ordinary ament_python one; these targets save typing on a machine without ROS.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint setup soak fuzz clean

# What another environment has in PYTHONPATH must not get in; a sourced ROS is there itself.
ENTER := { [ -n "$$ROS_DISTRO" ] || unset PYTHONPATH PYTHONHOME; } && \
	. .venv/bin/activate && . install/setup.bash
ifeq ($(HOME),)
export ROS_LOG_DIR ?= $(CURDIR)/log/ros
endif

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The demo and the tests talk to nobody but this machine; Humble knows only the older name.
demo test soak: export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
ifeq ($(ROS_DISTRO),humble)
demo test soak: export ROS_LOCALHOST_ONLY := 1
endif

demo: setup ## drive a simulated Go2 and watch it; DEMO_SECONDS=20 ends by itself
	@$(ENTER) && exec python demo/demo.py

test: ## test everything; PYTEST_ARGS='-k velocity' selects
	@tools/setup.sh test
	@$(ENTER) && exec tools/test.sh $(PYTEST_ARGS)

soak: ## an hour: 100 killed robots, 30 min of faults, a flood, 1 000 000 fuzzed messages
	@tools/setup.sh test fuzz
	@$(ENTER) && for what in exits recover faults; do python benchmarks/soak.py $$what || exit; done
	@$(ENTER) && python benchmarks/flood.py
	@$(MAKE) fuzz

fuzz: ## 1 000 000 fuzzed messages; goes on where it was stopped
	@tools/setup.sh fuzz
	@$(ENTER) && python benchmarks/fuzz.py

lint: ## ruff and mypy
	@tools/setup.sh lint
	@$(ENTER) && ruff check && ruff format --check && mypy

setup: ## install what is missing and build the package (the others do this first)
	@tools/setup.sh

clean: ## remove everything the other targets made
	rm -rf .venv build install log demo_output .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
