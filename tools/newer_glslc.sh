#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A shader compiler that knows cooperative matrices and integer dot products, where the system's is too old, and a
# software Vulkan device that has them, without changing the system: a small Debian root file system in DIR, and two
# scripts in it.
#
#   tools/newer_glslc.sh DIR [SUITE]                 SUITE: a Debian suite with glslc 2025 or later, default forky
#   cmake -S . -B build -DPITH_GLSLC=DIR/glslc       the compiler
#   DIR/with COMMAND ...                             runs a program on DIR's loader, device and validation layer
#   cmake ... -DPITH_VK_RUNNER=DIR/with              the Vulkan tests run through it
#
# What is in DIR already is kept: a second run needs no network. Needs debootstrap (apt-get install debootstrap), root, and
# the package mirror that this machine already uses. Where neither is at hand, build the shaders elsewhere and carry
# them: cmake -DPITH_SPV_DIR=FOLDER takes the spv folder of another build tree, and no compiler at all.
set -euo pipefail
dir=${1:?usage: newer_glslc.sh DIR [SUITE]}; suite=${2:-forky}
fail() { echo "newer_glslc.sh: $*" >&2; exit 1; }
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)

# The machine's /proc and /dev must never stay behind in a folder that someone will delete.
let_go() { for m in dev proc; do if mountpoint -q "$dir/$m"; then umount "$dir/$m"; fi; done; }

fill() {
    command -v debootstrap > /dev/null || fail "debootstrap is needed: apt-get install debootstrap"
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v security | head -1)
    [ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | grep -v security | head -1)
    [ -n "$mirror" ] || fail "no Debian mirror is configured on this machine"
    script=/usr/share/debootstrap/scripts/$suite
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    if [ ! -e "$dir/etc/debian_version" ] || [ -e "$dir/debootstrap" ]; then # the latter: an earlier try broke off
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$dir" "$mirror" "$script" ||
            fail "debootstrap of $suite failed; its log: $dir/debootstrap/debootstrap.log"
    fi
    trap let_go EXIT
    for m in proc dev; do mountpoint -q "$dir/$m" || mount --bind "/$m" "$dir/$m"; done
    printf 'APT::Sandbox::User "root";\nAcquire::Check-Valid-Until "false";\n' > "$dir/etc/apt/apt.conf.d/99pith"
    chroot "$dir" apt-get update -qq || fail "the package lists of $suite cannot be had from $mirror"
    chroot "$dir" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends glslc mesa-vulkan-drivers \
        vulkan-validationlayers libvulkan1 || fail "installing glslc and Mesa of $suite failed"
    rm -f "$dir"/var/cache/apt/archives/*.deb
    let_go
}

vulkan=$dir/usr/share/vulkan
[ -x "$dir/usr/bin/glslc" ] && [ -e "$vulkan/icd.d/lvp_icd.json" ] && [ -e "$vulkan/explicit_layer.d/VkLayer_khronos_validation.json" ] || fill

lib= loader=
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
"$dir/glslc" --version | head -1
echo "newer_glslc.sh: cmake -DPITH_GLSLC=$dir/glslc -DPITH_VK_RUNNER=$dir/with"
