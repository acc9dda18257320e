# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Sourced by setup.sh, test.sh and .ci/run: says what is going on, and installs Debian or Ubuntu packages that are not
# there. apt is called only when something is missing, so all of this works offline once it was done.

PACKAGES_BUILD="gcc libc6-dev cmake ninja-build pkg-config libpcre2-dev libjansson-dev zlib1g-dev libopenblas-dev
  libedit-dev libcurl4-openssl-dev ca-certificates"
PACKAGES_GPU="libvulkan-dev libvulkan-volk-dev glslc" # the Vulkan backend is left out of a build without them
PACKAGES_GPU_TEST="mesa-vulkan-drivers vulkan-validationlayers" # software and null devices; without them those tests are skipped
PACKAGES_PULL="python3 python3-pip"
PACKAGES_TEST="g++ python3 libcmocka-dev zstd binutils"

say() { printf '\n== %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# need_packages NAME...: installs those that are missing.
need_packages() {
    command -v dpkg-query >/dev/null 2>&1 || {
        say "no dpkg here: packages are yours to install; docs/DEPENDENCIES.md has their names on other systems"
        return 0
    }
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "not root and no sudo; as root: apt-get install$missing"
        as_root=sudo
    fi
    $as_root apt-get update -q || fail "apt-get update failed; with network, as root: apt-get install$missing"
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing ||
        fail "apt-get install failed; the packages are:$missing"
}

# A Python 3 with NumPy, for the reference scripts of the tests: the first on the path that has it, else Debian's.
need_numpy() {
    python=$(command -v python3 || true)
    if [ -z "$python" ] || ! "$python" -c 'import numpy' 2>/dev/null; then
        need_packages python3 python3-numpy
        python=/usr/bin/python3
        "$python" -c 'import numpy' 2>/dev/null || fail "python3 cannot import numpy; install it (python3-numpy)"
    fi
}
