#!/usr/bin/env bash
# Run what the README promises in bare Debian systems, and print a table of what came of it.
#
#   tools/platforms.sh [--keep] [--in FOLDER] [--only TRIES] [SUITE...]
#
# SUITE: bookworm, trixie and sid by default. TRIES: 'demo test workspace packages' by default.
#
# As root, on a Debian or Ubuntu with debootstrap; 10 to 20 min a system, 4 GB of disk. Each
# system is made by debootstrap in FOLDER (${TMPDIR:-/tmp}/go2-platforms), with what the README
# says is needed: git and make. Then, of a clone of this checkout's HEAD: make demo, make test,
# the lines for a ROS workspace as far as they need no ROS, and tools/packages.sh. Mirrors,
# proxies, certificates and pip's settings are those of this machine. What the commands say
# stays in FOLDER; the systems are removed, unless --keep says otherwise. Mounts, processes and
# shared memory are in namespaces of their own, and end with the script.
set -euo pipefail

readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly DEMO_SECONDS=15
readonly CHECKOUT=/root/go2_webrtc_driver WORKSPACE=/root/ros2_ws
keep='' folder=${TMPDIR:-/tmp}/go2-platforms only='demo test workspace packages' suites=()

main() {
    parse "$@"
    mkdir -p "$folder"
    rm -f "$folder"/*.row
    for suite in "${suites[@]}"; do
        root=$folder/$suite
        make_system
        try_system
        [[ -n $keep ]] || remove_system
    done
    print_table
}

parse() {
    while [[ $# -gt 0 ]]; do
        case $1 in
            --keep) keep=yes ;;
            --in) folder=$2 && shift ;;
            --only) only=$2 && shift ;;
            -*) sed -n '2,6s/^# \?//p' "${BASH_SOURCE[0]}" && exit 2 ;;
            *) suites+=("$1") ;;
        esac
        shift
    done
    [[ ${#suites[@]} -gt 0 ]] || suites=(bookworm trixie sid)
}

make_system() {
    say "debootstrap $suite"
    remove_system
    rm -f "$folder/$suite".*.log
    debootstrap --variant=minbase --include=ca-certificates,git,make \
        "$suite" "$root" "$(mirror)" >"$folder/$suite.debootstrap.log" 2>&1
    # Services that packages want to start would run outside of the system.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    copy_settings
    mount_all
    git clone --quiet "$HERE" "$root$CHECKOUT"
}

# The first Debian archive of this machine; nothing, and with it debootstrap's own, elsewhere.
mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" {print $2; exit}'
}

copy_settings() {
    apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90of-this-machine"
    local each
    for each in /etc/resolv.conf /etc/hosts /etc/apt/auth.conf.d /etc/apt/auth.conf \
        /usr/local/share/ca-certificates /etc/ssl/certs/ca-certificates.crt \
        /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip; do
        if [[ -e $each ]]; then
            mkdir -p "$root$(dirname "$each")"
            cp -rL --remove-destination "$each" "$root$(dirname "$each")/"
        fi
    done
}

mount_all() {
    # A root that is no mount point itself would not let the tests have mounts of their own.
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    local each
    for each in $(local_sources); do
        mkdir -p "$root$each"
        mount --rbind "$each" "$root$each"
    done
}

# Folders of this machine that pip is told to look for packages in.
local_sources() {
    python3 -m pip config list | grep -E 'index-url|find-links' |
        grep -oE '/[^] ,'\'']+' | sed -E 's#^/+#/#; s#/simple/?$##' | sort -u |
        while read -r each; do
            [[ ! -d $each ]] || echo "$each"
        done
}

remove_system() {
    umount --recursive --lazy "$root" 2>/dev/null || true
    ! findmnt --noheadings --list --output TARGET | grep -qE "^$root(/|$)" ||
        { echo "still mounted below $root" >&2 && exit 1; }
    rm -rf --one-file-system "$root"
}

try_system() {
    local demo test workspace packages of_it="cd $CHECKOUT && .venv/bin/python"
    try demo "cd $CHECKOUT && DEMO_SECONDS=$DEMO_SECONDS make demo"
    try test "cd $CHECKOUT && make test"
    try workspace "$(workspace_commands)"
    try packages "cd $CHECKOUT && tools/packages.sh"
    {
        printf '| %s ' "$(inside_now ". /etc/os-release && echo \$PRETTY_NAME")" \
            "$(inside_now "$of_it -c 'import platform as p; print(p.python_version())'")" \
            "$(inside_now "$of_it -m pip list 2>/dev/null | awk '/^ros-rclpy/ {print \$2}'")" \
            "$(seconds_of_setup)" "$demo" "$test$(count_of_tests)" "$workspace" "$packages"
        echo '|'
    } >"$folder/$suite.row"
}

# try NAME COMMANDS: note in the variable NAME what came of them.
try() {
    printf -v "$1" 'not run'
    [[ " $only " == *" $1 "* ]] || return 0
    printf -v "$1" failed
    ! inside "$@" || printf -v "$1" passed
}

# The README's lines for a ROS workspace, without rosdep and launch, which only ROS has; what
# rosdep would bring comes from apt by its own names.
workspace_commands() {
    local packages
    packages=$(sed -n 's#.*_depend>\(python3-[^<]*\|portaudio[^<]*\)<.*#\1#p' "$HERE/package.xml")
    echo "set -e
        apt-get install --yes -qq --no-install-recommends colcon \
            python3-colcon-{ros,package-selection,recursive-crawl,bash} \
            gcc libc6-dev python3-dev $(echo $packages) >/dev/null
        mkdir -p $WORKSPACE/src && cp -r $CHECKOUT $WORKSPACE/src/ && cd $WORKSPACE
        rm -rf src/*/.venv src/*/install src/*/build
        set -x"
    sed -n '/^## Use it with ROS 2/,/^## /p' "$HERE/README.md" |
        grep -E '^(python3 -m venv|pip install|colcon build) ' | sed 's/source /. /'
    echo "timeout --signal=INT 5 install/go2_webrtc_driver/lib/go2_webrtc_driver/sim_robot |
        grep 'listens on'"
}

# inside NAME COMMANDS: run it in the system, its output in FOLDER.
inside() {
    local start=$SECONDS status=0
    say "$suite: $1"
    inside_now "$2" >"$folder/$suite.$1.log" 2>&1 || status=$?
    say "$suite: $1 ended with status $status after $((SECONDS - start)) s"
    return $status
}

inside_now() {
    local settings
    mapfile -t settings < <(env | grep -iE \
        '^((https?|ftp|no|all)_proxy|PIP_|SSL_CERT|REQUESTS_CA|CURL_CA|OPENBLAS_)')
    chroot "$root" env -i "${settings[@]}" HOME=/root USER=root LANG=C.UTF-8 TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c "$1" </dev/null
}

seconds_of_setup() {
    [[ -e $folder/$suite.demo.log ]] || { echo - && return; }
    grep -oE 'done \([0-9]+ s\)' "$folder/$suite.demo.log" | grep -oE '[0-9]+' |
        awk '{sum += $1} END {print sum " s"}'
}

# Of the last lines of pytest: what passed, was skipped and failed, and the time.
count_of_tests() {
    [[ -e $folder/$suite.test.log ]] || return 0
    grep -E '^(FAILED|ERROR)|(passed|failed).* in [0-9.]+s' "$folder/$suite.test.log" |
        grep -oE '[0-9]+ (passed|failed|skipped|error)' |
        awk '{sum[$2] += $1}
            END {split("passed failed error skipped", kinds)
                for (n = 1; n <= 4; n++) if (kinds[n] in sum) printf ", %d %s", sum[kinds[n]], kinds[n]}'
}

print_table() {
    echo '| system | Python | rclpy from PyPI | set-up | `make demo` | `make test`' \
        '| workspace with a venv | packages |'
    echo '|---|---|---|---|---|---|---|---|'
    cat "$folder"/*.row
}

say() { echo "$(date +%H:%M:%S) $*" >&2; }

if [[ ${IN_NAMESPACES:-} != yes ]]; then
    [[ $EUID -eq 0 ]] || { echo 'platforms: needs root' >&2 && exit 1; }
    command -v debootstrap >/dev/null ||
        { echo 'platforms: needs debootstrap: apt-get install debootstrap' >&2 && exit 1; }
    IN_NAMESPACES=yes exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi
# The first process of a namespace has no default for these.
trap 'exit 130' INT TERM
main "$@"
exit
