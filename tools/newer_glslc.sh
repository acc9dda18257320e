#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A shader compiler that knows cooperative matrices and integer dot products, where the system's is too old, and a
# software Vulkan device that has them, without changing the system: the packages of a newer Debian unpacked, not
# installed, in DIR, and two scripts beside them.
#
#   tools/newer_glslc.sh DIR [SUITE]                 SUITE: a Debian suite with glslc 2025 or later, default forky
#   cmake -S . -B build -DPITH_GLSLC=DIR/glslc       the compiler
#   DIR/with COMMAND ...                             runs a program on DIR's loader, device and validation layer
#   cmake ... -DPITH_VK_RUNNER=DIR/with              the Vulkan tests run through it
#
# What is in DIR already is kept: a second run needs no network. Needs apt, dpkg, the package debian-archive-keyring and
# the Debian mirror that this machine already uses (another: PITH_DEBIAN_MIRROR=URL); not root. Where there is none, build
# the shaders elsewhere and carry them: cmake -DPITH_SPV_DIR=FOLDER takes the spv folder of another build tree, and no
# compiler at all.
set -euo pipefail
dir=${1:?usage: newer_glslc.sh DIR [SUITE]}; suite=${2:-forky}; keyring=/usr/share/keyrings/debian-archive-keyring.gpg
fail() { echo "newer_glslc.sh: $*" >&2; exit 1; }
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)

# apt on lists, cache and a list of installed packages of its own, the last one empty: what it fetches for a package
# is then all that the package needs, down to libc.
own_apt() {
    apt-get -q -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User="$(id -un)" \
        -o APT::Install-Recommends=false -o Acquire::Retries=3 -o APT::Get::Assume-Yes=true "$@"
}

fill() {
    local mirror=${PITH_DEBIAN_MIRROR:-} deb
    if ! command -v apt-get || ! command -v dpkg-deb; then fail "apt-get and dpkg-deb are needed"; fi >/dev/null
    [ -e "$keyring" ] || fail "$keyring is needed: package debian-archive-keyring"
    # shellcheck disable=SC2016
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' | awk '/\/debian\/*$/ && !n++')
    [ -n "$mirror" ] || fail "no Debian mirror in this machine's package lists: PITH_DEBIAN_MIRROR=URL names one"
    [ -z "$(ls -A "$dir")" ] || fail "$dir: not empty, and without compiler and device: name another folder, or delete it"
    apt=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$apt"' EXIT
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/sources.list"
    own_apt update || fail "the package lists of $suite cannot be had from $mirror"
    own_apt install --download-only glslc mesa-vulkan-drivers vulkan-validationlayers libvulkan1 ||
        fail "glslc and Mesa of $suite cannot be had from $mirror"
    # Unpacked beside DIR, then moved there: a try that breaks off leaves nothing half done.
    mkdir "$apt/root"
    for d in bin lib lib64 sbin; do mkdir -p "$apt/root/usr/$d" && ln -s "usr/$d" "$apt/root/$d"; done
    for deb in "$apt"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$apt/root" --keep-directory-symlink --no-same-owner || fail "$deb cannot be unpacked"
    done
    rmdir "$dir" && mv "$apt/root" "$dir"
}

vulkan=$dir/usr/share/vulkan
if ! [ -x "$dir/usr/bin/glslc" ] || ! [ -e "$vulkan/icd.d/lvp_icd.json" ] || ! [ -e "$vulkan/explicit_layer.d/VkLayer_khronos_validation.json" ]; then
    fill
fi

lib="" loader=""
for f in "$dir"/usr/lib/*-linux-gnu*/libc.so.6; do lib=${f#"$dir/"}; lib=${lib%/*}; done
for f in "$dir"/lib64/ld-linux*.so.* "$dir"/lib/ld-linux*.so.* "$dir/$lib"/ld-linux*.so.*; do
    if [ -e "$f" ]; then loader=${f#"$dir/"} && break; fi
done
[ -n "$loader" ] || fail "no dynamic loader in $dir"
cat > "$dir/glslc" <<EOF
#!/bin/sh
exec "$dir/$loader" --library-path "$dir/$lib" "$dir/usr/bin/glslc" "\$@"
EOF
cat > "$dir/with" <<EOF
#!/bin/sh
# The newer loader, driver and layers first, this system's libraries behind them.
VK_DRIVER_FILES=$vulkan/icd.d/lvp_icd.json VK_LAYER_PATH=$vulkan/explicit_layer.d VK_LOADER_LAYERS_DISABLE='~implicit~'
export VK_DRIVER_FILES VK_LAYER_PATH VK_LOADER_LAYERS_DISABLE
exec "$dir/$loader" --library-path "$dir/$lib:/${lib}" "\$@"
EOF
chmod +x "$dir/glslc" "$dir/with"
"$dir/glslc" --version | sed -n 1p # head would leave early, and the compiler with a broken pipe
echo "newer_glslc.sh: cmake -DPITH_GLSLC=$dir/glslc -DPITH_VK_RUNNER=$dir/with"
