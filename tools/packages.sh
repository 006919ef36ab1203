#!/usr/bin/env bash
# Install the package in every way that there is, with the setuptools of Humble, Jazzy and today.
#
#   tools/packages.sh [PYTHON]
#
# For each: pip install ., pip install -e ., a wheel, colcon, colcon --symlink-install; then the
# simulated robot is started, without rclpy, and the files that are not code are looked for.
# Needs what make setup has installed, a network, and 2 min. Ends with the first that fails.
set -euo pipefail

readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly BASE=$("${1:-python3}" -ISc 'import sys; print(sys._base_executable)')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly SOURCE=$work/source VENV=$work/venv LOG=$work/said.txt

main() {
    git clone --quiet "$HERE" "$SOURCE"
    local version
    for version in 59.6.0 68.1.2 ''; do
        if [[ $version == 59.* ]] && ! "$BASE" -c 'import imp' 2>/dev/null; then
            echo "setuptools $version: not for this Python"
            continue
        fi
        "$BASE" -m venv --clear "$VENV"
        pip install -r "$SOURCE/requirements.txt" wheel "setuptools${version:+==$version}"
        [[ -n $version ]] || pip install --upgrade setuptools
        try_pip
        # What colcon asks for is older than today's.
        pip install colcon-common-extensions
        try_colcon
        try_colcon --symlink-install
    done
}

try_pip() {
    pip install --no-build-isolation "$SOURCE"
    check 'pip install .' "$VENV/bin/sim_robot" "$VENV/share"
    pip uninstall --yes go2_webrtc_driver
    pip wheel --no-deps --no-build-isolation --wheel-dir "$work/dist" "$SOURCE"
    pip install "$work"/dist/*.whl
    check 'a wheel' "$VENV/bin/sim_robot" "$VENV/share"
    pip uninstall --yes go2_webrtc_driver
    # Builds with the newest setuptools: before 64 it has no editable wheels.
    pip install -e "$SOURCE"
    check 'pip install -e .' "$VENV/bin/sim_robot" "$SOURCE"
    pip uninstall --yes go2_webrtc_driver
}

try_colcon() {
    rm -rf "$work/build" "$work/install"
    (
        cd "$work"
        logged "$VENV/bin/python" -c 'from colcon_core.command import main; raise SystemExit(main())' \
            build --paths "$SOURCE" "$@"
    )
    local place=$work/install/go2_webrtc_driver
    (
        # shellcheck disable=SC1091
        set +u && . "$work/install/setup.bash"
        check "colcon build $*" "$place/lib/go2_webrtc_driver/sim_robot" "$place/share"
    )
}

# check WHAT EXECUTABLE SHARE: the robot starts and ends, the files are there.
check() {
    local said
    said=$(cd / && PATH=$VENV/bin:$PATH timeout --signal=INT 6 "$2" --ip 127.0.0.77 2>&1) ||
        [[ $? -eq 124 ]]
    [[ $said == *'listens on 127.0.0.77'* ]] || fail "$1: the robot did not start: $said"
    [[ -n $(find -L "$3" -name fastdds.xml) ]] || fail "$1: no config files in $3"
    ! "$VENV/bin/python" -c 'import rclpy' 2>/dev/null || fail 'there is an rclpy'
    echo "setuptools $("$VENV/bin/python" -c 'import setuptools as s; print(s.__version__)'): $1"
}

pip() { logged "$VENV/bin/python" -m pip "$@"; }

logged() { "$@" >"$LOG" 2>&1 || fail "$* failed: $(tail -n 20 "$LOG")"; }

fail() {
    echo "packages: $*" >&2
    exit 1
}

main
