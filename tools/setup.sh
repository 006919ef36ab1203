#!/usr/bin/env bash
# Make this machine ready for the other make targets: system packages, a virtual environment
# in .venv, the package built into install/. A second run only checks that nothing changed.
#
#   tools/setup.sh                              uses python3
#   tools/setup.sh test                         also installs what only the tests need
#   PYTHON=/usr/bin/python3.12 tools/setup.sh   uses another interpreter
#
# Where a ROS installation is sourced it is used; elsewhere ROS 2 Jazzy comes from PyPI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv LOG=log/setup.log
readonly ENVIRONMENT_STAMP=$VENV/.ready BUILD_STAMP=install/.ready
readonly PYTHON=${PYTHON:-python3}

main() {
    mkdir -p log
    have "$PYTHON" || install_python
    local environment build
    environment=$(environment_key)
    if ! is_stamped "$ENVIRONMENT_STAMP" "$environment"; then
        : >"$LOG"
        install_environment
        echo "$environment" >"$ENVIRONMENT_STAMP"
    fi
    [[ ${1:-} != test ]] || install_test_packages
    build=$(build_key "$environment")
    if ! is_stamped "$BUILD_STAMP" "$build"; then
        step 'building the package into install/, about 3 s' build_package
        echo "$build" >"$BUILD_STAMP"
    fi
}

install_environment() {
    check_python
    echo "Setting up go2_webrtc_driver. Only the first time takes a while: 1 to 3 minutes."
    local origin='a ROS 2 from PyPI' requirements=(-r requirements.txt -r requirements-dev.txt)
    if ros_is_sourced; then
        origin="the sourced ROS 2 $ROS_DISTRO"
    else
        requirements+=(-r requirements-ros.txt)
    fi
    echo "Python $("$PYTHON" --version | cut -d' ' -f2) with $origin; details in $LOG"
    install_missing_packages
    step "making the virtual environment $VENV, about 5 s" make_venv
    step 'downloading and installing Python packages, about 1 min' install_wheels "${requirements[@]}"
    step 'trying them, about 3 s' "$VENV/bin/python" -c 'import cv2, rclpy, unitree_webrtc_connect'
}

install_python() {
    [[ $PYTHON == python3 ]] || fail "PYTHON=$PYTHON: there is no such program"
    install_packages python3
}

check_python() {
    "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' ||
        fail "Python 3.10 to 3.14 is needed, $PYTHON is $("$PYTHON" --version); set PYTHON="
    ros_is_sourced || [[ $(uname -m) == x86_64 ]] ||
        fail "PyPI has ROS 2 for x86-64 only, this is $(uname -m): source a ROS installation"
}

ros_is_sourced() {
    [[ -n ${ROS_DISTRO:-} ]] || return 1
    "$PYTHON" -c 'import rclpy' 2>/dev/null ||
        fail "ROS 2 $ROS_DISTRO is sourced, but $PYTHON cannot import its rclpy; set PYTHON="
}

install_missing_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# Debian packages, one a line, for what is not there. Looking for the thing itself and not for
# the package also suits an interpreter that is not the distribution's.
missing_packages() {
    local version
    version=$("$PYTHON" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    imports ensurepip || echo "$version-venv"
    "$PYTHON" -c 'import os, sysconfig as s
os.stat(os.path.join(s.get_path("include"), "Python.h"))' 2>/dev/null || echo "$version-dev"
    have gcc || echo gcc
    [[ -e /usr/include/stdio.h ]] || echo libc6-dev
    # PyAudio, which unitree_webrtc_connect asks for, is built from source.
    [[ -e /usr/include/portaudio.h ]] || echo portaudio19-dev
    # cv2 is linked to these.
    loads libGL.so.1 || echo libgl1
    loads libgthread-2.0.so.0 || echo libglib2.0-0
    loads libxcb.so.1 || echo libxcb1
}

# A TURN server, and what makes networks for the tests. Installing the first starts it as a
# service on some distributions; the tests run their own.
install_test_packages() {
    local missing=()
    have turnserver || missing+=(coturn)
    have ip || missing+=(iproute2)
    [[ ${#missing[@]} -gt 0 ]] || return 0
    install_packages "${missing[@]}"
    if [[ " ${missing[*]} " == *' coturn '* && -d /run/systemd/system ]]; then
        step 'switching the TURN server off as a service' "${as_root[@]}" \
            systemctl disable --now coturn
    fi
}

have() { command -v "$1" >/dev/null; }
imports() { "$PYTHON" -c "import $1" 2>/dev/null; }
loads() { "$PYTHON" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }

install_packages() {
    have apt-get || fail "missing, and there is no apt-get to install it: $*"
    as_root=(env DEBIAN_FRONTEND=noninteractive)
    if [[ $EUID -ne 0 ]]; then
        have sudo || fail "missing: $*; install as root: apt-get install $*"
        # A question must come here, where it can be seen, and not during a step.
        sudo -n true 2>/dev/null || {
            echo "Installing needs your password for sudo: apt-get install $*"
            sudo -v
        }
        as_root=(sudo "${as_root[@]}")
    fi
    step 'asking for the list of system packages, about 10 s' "${as_root[@]}" apt-get update
    step "installing system packages, about 30 s: $*" \
        "${as_root[@]}" apt-get install --yes --no-install-recommends "$@"
}

make_venv() {
    local options=(--clear)
    ! ros_is_sourced || options+=(--system-site-packages)
    "$PYTHON" -m venv "${options[@]}" "$VENV"
}

install_wheels() {
    "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@"
}

# colcon runs inside the virtual environment: the executables then start its interpreter.
build_package() {
    rm -rf build install
    "$VENV/bin/python" -c 'from colcon_core.command import main; raise SystemExit(main())' \
        --log-base log build --paths .
}

environment_key() {
    {
        cat requirements*.txt tools/setup.sh
        "$PYTHON" -c 'import sys; print(sys.executable, sys.version)'
        echo "$PWD ${ROS_DISTRO:-}"
    } | sha256sum
}

build_key() {
    {
        echo "$1"
        shopt -s nullglob # a folder that is not there yet
        find package.xml setup.* resource* launch* config* urdf* go2_webrtc_driver \
            -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
    } | sha256sum
}

is_stamped() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# Run a command with its output in the log; say what goes on, and how long it took.
step() {
    local text=$1 start=$SECONDS
    shift
    printf -- '-- %s ' "$text"
    { while sleep 2; do printf . >&3; done; } 3>&1 >/dev/null 2>&1 &
    local dots=$!
    # shellcheck disable=SC2064
    trap "kill $dots 2>/dev/null" EXIT
    "$@" >>"$LOG" 2>&1 </dev/null || { show_log; fail "that did not work: $*"; }
    kill "$dots"
    wait "$dots" 2>/dev/null || true
    trap - EXIT
    echo " done ($((SECONDS - start)) s)"
}

show_log() {
    echo " failed. The end of $LOG:"
    tail -n 30 "$LOG"
}

fail() {
    echo "setup: $*" >&2
    exit 1
}

main "$@"
