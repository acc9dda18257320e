#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail
usage() {
    cat <<'TEXT'
usage: tools/setup.sh [--build-only] [--question TEXT] [--file FILE]

From a bare Debian 12 (or newer) or Ubuntu 24.04 to an answer: installs what pith needs (as root or with sudo), builds it
in build/release, gets the default model (94 MiB, into the cache directory) and asks it about a whole text that comes
with the repository. What is done already is not done again; then no network is needed.

  --build-only       install and build, no model, no question
  --question TEXT    another question
  --file FILE        about another text; the default model reads about 30 kilobytes (8192 tokens)
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/tools/packages.sh"
build_only=
question='Summarize this story in three sentences.'
file=$here/docs/texts/aunt-cyrillas-christmas-basket.txt
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --build-only) build_only=1 ;;
    --question) question=${2:?--question needs a text} && shift ;;
    --file) file=$(realpath -e "${2:?--file needs a name}") && shift ;;
    *) usage >&2 && fail "unknown argument: $1" ;;
    esac
    shift
done

cd "$here"
# shellcheck disable=SC2086
need_packages $PACKAGES_BUILD $PACKAGES_GPU
if [ ! -f build/release/CMakeCache.txt ]; then
    say "configuring"
    # shellcheck disable=SC2086
    cmake --preset release -DPITH_TESTS=OFF ${PITH_CMAKE_ARGS:-} >&2
fi
say "building"
cmake --build --preset release >&2
[ -z "$build_only" ] || exit 0

pith=build/release/tools/pith
say "getting the default model (pith pull smollm2)"
if ! "$pith" pull smollm2; then
    # shellcheck disable=SC2086
    need_packages $PACKAGES_PULL
    "$pith" pull smollm2 || fail "the model could not be had; 'pith pull --help' tells how to bring it by hand"
fi
say "asking about $(basename "$file"): $question"
exec "$pith" run -f "$file" -p "$question" -n 120 --repeat-penalty 1.15 --penalty-last-n 256
