#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail
usage() {
    cat <<'TEXT'
usage: tools/test.sh [--preset NAME] [arguments of ctest...]

Installs what the tests need (as root or with sudo), builds pith with its tests and runs all of them. What is done already
is not done again; then no network is needed. Tests that need data which is not here are skipped, and counted as such.

  --preset NAME      a preset of CMakePresets.json, default release: debug, asan, tsan, no-blas, scalar, portable
  -L unit            ctest: only tests with this label (unit, kernels, ops, model, fuzz, tree)
  -R name            ctest: only tests whose name matches
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/tools/packages.sh"
preset=release
case ${1:-} in
-h | --help) usage && exit 0 ;;
--preset) preset=${2:?--preset needs a name} && shift 2 ;;
esac

cd "$here"
# shellcheck disable=SC2086
need_packages $PACKAGES_BUILD $PACKAGES_GPU $PACKAGES_TEST $PACKAGES_GPU_TEST
need_numpy
say "configuring $preset"
# shellcheck disable=SC2086
cmake --preset "$preset" -DPITH_TESTS=ON -DPython3_EXECUTABLE="$python" ${PITH_CMAKE_ARGS:-} >&2
say "building $preset"
cmake --build --preset "$preset" >&2
say "testing $preset"
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j 2 "$@"
