#!/usr/bin/env bash
# The whole suite: first the tests that may share the machine, two at a time, then the others.
# Arguments are for pytest; it is no failure if they select tests of one of the two kinds alone.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NO_TESTS=5

python -m pytest -q -rs -m shared -n 2 --dist loadfile "$@"
shared=$?
python -m pytest -q -rs -m 'not shared' "$@"
others=$?
[[ $shared -eq 0 || $shared -eq $NO_TESTS ]] || exit "$shared"
[[ $others -eq $NO_TESTS && $shared -eq 0 ]] || exit "$others"
