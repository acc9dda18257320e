#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a GPU machine without a shader compiler needs, in one folder: pith, the Vulkan tests and benchmark, tiny models,
# and the shared libraries that such a machine may lack (never the C library: the machine's own must be as new).
#
#   cmake -S . -B BUILD -G Ninja -DPITH_GLSLC=DIR/glslc -DPITH_BLAS=OFF       a newer compiler: tools/newer_glslc.sh
#   ninja -C BUILD && tools/bundle_gpu.sh BUILD OUT
#   on the GPU machine:  OUT/run bench_vulkan NVIDIA
#                        PITH_TEST_DEVICE=NVIDIA OUT/run test_vk_matmul      (and test_vk_attn, test_vk_lookup)
#                        PITH_TEST_DEVICE=NVIDIA OUT/run test_vk_model OUT/tiny OUT/exact llama-q8_0 mixed-q4_k
#                        OUT/run pith bench -m MODEL.gguf --device gpu
set -euo pipefail
build=${1:?usage: bundle_gpu.sh BUILD OUT}; out=${2:?usage: bundle_gpu.sh BUILD OUT}
mkdir -p "$out/bin" "$out/lib" "$out/tiny"
for program in tools/pith $(printf 'tests/vulkan/%s ' bench_vulkan test_vk_{device,matmul,attn,lookup,model}); do
    [ -x "$build/$program" ] || { echo "bundle_gpu.sh: $build/$program is not built" >&2; exit 1; }
    install -s -m 755 "$build/$program" "$out/bin/"
    ldd "$build/$program" | awk '$2 == "=>" && $3 ~ "^/" {print $3}' |
        { grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so' || true; } | xargs -r cp -Lu -t "$out/lib"
done
models="llama-q8_0 mixed-q4_k"
here=$(cd "$(dirname "$0")" && pwd)
python3 "$here/../tests/vulkan/exact_models.py" "$out/exact" $models
for model in $models; do
    python3 "$here/../tests/reference/tiny_models.py" --only "$model" "$out/tiny" > /dev/null
done
cat > "$out/run" <<'EOF'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
program=$1; shift
LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$here/bin/$program" "$@"
EOF
chmod +x "$out/run"
du -sh "$out" | cut -f1
