#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A shader compiler that knows cooperative matrices and integer dot products, where the system's is too old, without
# changing the system: a small Debian root file system in DIR, and DIR/glslc, a script that runs its compiler.
#
#   tools/newer_glslc.sh DIR [SUITE]                 SUITE: a Debian suite with glslc 2025 or later, default forky
#   cmake -S . -B build -DPITH_GLSLC=DIR/glslc
#   DIR/with COMMAND ...                             runs a program on DIR's newer software Vulkan device
#
# Needs debootstrap (apt-get install debootstrap), root, and the package mirror that this machine already uses.
# Where neither is at hand, build the shaders elsewhere and carry them: cmake -DPITH_SPV_DIR=FOLDER takes the spv folder
# of another build tree, and no compiler at all.
set -euo pipefail
dir=${1:?usage: newer_glslc.sh DIR [SUITE]}; suite=${2:-forky}
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
command -v debootstrap > /dev/null || { echo "newer_glslc.sh: debootstrap is needed: apt-get install debootstrap" >&2; exit 1; }
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v security | head -1)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | grep -v security | head -1)
[ -n "$mirror" ] || { echo "newer_glslc.sh: no Debian mirror is configured on this machine" >&2; exit 1; }
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
[ -e "$dir/usr/bin/apt-get" ] || debootstrap --variant=minbase --include=ca-certificates "$suite" "$dir" "$mirror" "$script"
for m in proc dev; do mountpoint -q "$dir/$m" || mount --bind "/$m" "$dir/$m"; done
printf 'APT::Sandbox::User "root";\nAcquire::Check-Valid-Until "false";\n' > "$dir/etc/apt/apt.conf.d/99pith"
chroot "$dir" apt-get update -qq
chroot "$dir" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends glslc mesa-vulkan-drivers
for m in dev proc; do umount "$dir/$m"; done

lib=$(cd "$dir" && ls -d usr/lib/*-linux-gnu* | head -1)
loader=$(cd "$dir" && ls "$lib"/ld-linux*.so.* lib64/ld-linux*.so.* lib/ld-linux*.so.* 2>/dev/null | head -1)
cat > "$dir/glslc" <<EOF
#!/bin/sh
exec "$dir/$loader" --library-path "$dir/$lib" "$dir/usr/bin/glslc" "\$@"
EOF
cat > "$dir/with" <<EOF
#!/bin/sh
# The newer loader and driver first, this system's libraries behind them.
VK_DRIVER_FILES=$dir/usr/share/vulkan/icd.d/lvp_icd.json
export VK_DRIVER_FILES
exec "$dir/$loader" --library-path "$dir/$lib:/${lib}" "\$@"
EOF
chmod +x "$dir/glslc" "$dir/with"
"$dir/glslc" --version | head -1
echo "newer_glslc.sh: cmake -DPITH_GLSLC=$dir/glslc"
