#!/usr/bin/env bash
# Make this machine ready for the other make targets: system packages, a virtual environment
# in .venv, the package built into install/. A second run only checks that nothing changed,
# and goes on where the first was interrupted.
#
#   tools/setup.sh                              keeps the Python of .venv; at first python3
#   tools/setup.sh test                         also installs what only the tests need
#   tools/setup.sh lint                         also installs what only the linters need
#   tools/setup.sh fuzz                         also installs what only the fuzzer needs
#   PYTHON=/usr/bin/python3.12 tools/setup.sh   uses another interpreter, from then on
#
# Where a ROS installation is sourced it is used; elsewhere ROS 2 Jazzy comes from PyPI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv LOG=log/setup.log STAMPS=.venv/.done BUILD_STAMP=install/.ready
# The interpreter below any virtual environment: that one might be the one to be made anew.
readonly BELOW='import os, sys
print(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))'
readonly NAMESAKE='from importlib.metadata import PackageNotFoundError, distribution
try:
    print(distribution("go2-webrtc-connect").locate_file(""))
except PackageNotFoundError:
    pass'

main() {
    [[ $PWD != *[[:space:]]* ]] ||
        fail "virtual environments and colcon need a path without spaces, this one is '$PWD'"
    # What another environment has there must not get into ours; a sourced ROS is there itself.
    ros_is_sourced || unset PYTHONPATH PYTHONHOME
    mkdir -p log
    choose_python
    python_version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    environment=$(describe_environment)
    is_done environment || make_environment
    tell_of_namesake
    for kind in "$@"; do
        "install_for_$kind"
    done
    build=$(build_key)
    if [[ ! -f $BUILD_STAMP || $(<"$BUILD_STAMP") != "$build" ]]; then
        step 'building the package into install/, about 3 s' build_package
        echo "$build" >"$BUILD_STAMP"
    fi
}

ros_is_sourced() { [[ -n ${ROS_DISTRO:-} ]]; }

choose_python() {
    if [[ -n ${PYTHON:-} ]]; then
        take_python "$PYTHON" || fail "PYTHON=$PYTHON: expected a Python, this does not run"
    elif ! take_python "$VENV/bin/python" || ! has_ros; then
        have python3 || install_packages python3
        take_python python3 || fail 'python3 does not run; set PYTHON='
    fi
    has_ros ||
        fail "ROS 2 $ROS_DISTRO is sourced, but $python cannot import its rclpy; set PYTHON="
}

take_python() { python=$("$1" -ISc "$BELOW" 2>/dev/null); }
has_ros() { ! ros_is_sourced || imports rclpy; }

check_python() {
    "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' ||
        fail "Python 3.10 to 3.14 is needed, $python is $("$python" --version); set PYTHON="
    ros_is_sourced || [[ $(uname -m) == x86_64 ]] ||
        fail "PyPI has ROS 2 for x86-64 only, this is $(uname -m): source a ROS installation"
}

make_environment() {
    check_python
    if is_done venv; then
        echo 'Going on with the set-up that was interrupted.'
    else
        : >"$LOG"
        announce
        install_missing_packages
        step "making the virtual environment $VENV, about 5 s" make_venv
        mark venv
    fi
    local wanted=(-r requirements.txt)
    ros_is_sourced || wanted+=(-r requirements-ros.txt)
    once wheels 'downloading and installing Python packages, about 40 s' \
        install_wheels "${wanted[@]}"
    once tools 'downloading and installing what builds and tests, about 20 s' \
        install_wheels "${wanted[@]}" -r requirements-dev.txt
    ros_is_sourced || once messages 'building the messages that PyPI has not, about 6 s' \
        "$VENV/bin/python" tools/make_messages.py tools/messages
    once environment 'trying them, about 3 s' \
        "$VENV/bin/python" -c 'import cv2, rclpy, unitree_webrtc_connect'
}

announce() {
    local origin='a ROS 2 from PyPI'
    ! ros_is_sourced || origin="the sourced ROS 2 $ROS_DISTRO"
    if [[ -f $STAMPS/venv ]]; then
        echo "Making $VENV anew, which was for something else:"
        diff "$STAMPS/venv" <(echo "$environment") | sed -n 's/^</   was:/p; s/^>/   now:/p' || true
    fi
    echo 'Setting up go2_webrtc_driver. Only the first time takes a while: 1 to 3 minutes.'
    echo "Python $("$python" --version | cut -d' ' -f2) with $origin; details in $LOG"
}

install_missing_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# Debian packages, one a line, for what is not there. Looking for the thing itself and not for
# the package also suits an interpreter that is not the distribution's.
missing_packages() {
    imports ensurepip || echo "python$python_version-venv"
    "$python" -c 'import os, sysconfig as s
os.stat(os.path.join(s.get_path("include"), "Python.h"))' 2>/dev/null || echo "python$python_version-dev"
    have gcc || echo gcc
    # The second for the messages that are built here.
    have g++ || echo g++
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
install_for_test() {
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

install_for_lint() {
    local wanted
    wanted=$(<requirements-lint.txt)
    [[ -f $STAMPS/lint && $(<"$STAMPS/lint") == "$wanted" ]] || {
        step 'installing the linters, about 5 s' install_wheels -r requirements-lint.txt
        echo "$wanted" >"$STAMPS/lint"
    }
}

install_for_fuzz() {
    [[ $python_version =~ ^3\.1[123]$ ]] ||
        fail "fuzzing needs atheris, which PyPI has for Python 3.11 to 3.13, this is" \
            "$python_version; PYTHON=... make setup takes another"
    once fuzz 'installing atheris, about 5 s' install_wheels -r requirements-fuzz.txt
}

# An older library that installs its modules as go2_webrtc_driver, too.
tell_of_namesake() {
    local where
    where=$("$VENV/bin/python" -c "$NAMESAKE")
    [[ -z $where ]] || echo "setup: warning: go2-webrtc-connect in $where has a Python package" \
        "of the name go2_webrtc_driver, too, and hides this one or breaks it;" \
        'unless you need it: pip uninstall go2-webrtc-connect' >&2
}

have() { command -v "$1" >/dev/null; }
imports() { "$python" -c "import $1" 2>/dev/null; }
loads() { "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }

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
    "$python" -m venv "${options[@]}" "$VENV"
}

install_wheels() {
    forget_half_installed
    "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@"
}

# pip notes last who installed a package; what it was interrupted in would count as installed.
forget_half_installed() {
    local each
    for each in "$VENV"/lib/python3*/site-packages/*.dist-info; do
        [[ -e $each/INSTALLER ]] || rm -rf "$each"
    done
}

# colcon runs inside the virtual environment: the executables then start its interpreter.
build_package() {
    rm -rf build install
    "$VENV/bin/python" -c 'from colcon_core.command import main; raise SystemExit(main())' \
        --log-base log build --paths .
}

# What an environment is made for; another one of these, and it is made anew.
describe_environment() {
    local files
    files=$(find requirements.txt requirements-dev.txt requirements-ros.txt tools/m* \
        -type f -not -name '*.pyc' | sort | xargs cat | sha256sum)
    echo "Python $python_version, $python"
    echo "ROS ${ROS_DISTRO:-from PyPI}"
    echo "checkout $PWD"
    echo "requirements ${files:0:12}"
}

build_key() {
    {
        echo "$environment"
        shopt -s nullglob # a folder that is not there yet
        find package.xml setup.* resource* launch* config* urdf* go2_webrtc_driver \
            -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
    } | sha256sum
}

# once NAME TEXT COMMAND...: a step of the environment that is not repeated.
once() {
    is_done "$1" || {
        step "${@:2}"
        mark "$1"
    }
}

is_done() { [[ -x $VENV/bin/python && -f $STAMPS/$1 && $(<"$STAMPS/$1") == "$environment" ]]; }
mark() { mkdir -p "$STAMPS" && echo "$environment" >"$STAMPS/$1"; }

# Run a command with its output in the log; say what goes on, and how long it took.
step() {
    local text=$1 start=$SECONDS
    shift
    printf -- '-- %s ' "$text"
    { while sleep 2 && kill -0 $$; do printf . >&3; done; } 3>&1 >/dev/null 2>&1 &
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
