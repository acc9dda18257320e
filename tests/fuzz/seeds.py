# SPDX-License-Identifier: MIT
"""Write seeds for the fuzz targets: whole models of a few kilobytes, one per architecture.

usage: seeds.py OUTDIR
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "reference"))
import tiny_models  # noqa: E402

SEEDS = ["llama-q8_0", "spm-q4_0", "qwen2-q4_1", "qwen3-f16", "ropefreqs-q5_0", "yarn-q5_1"]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    tiny_models.D_MODEL, tiny_models.D_FF, tiny_models.CONTEXT = 32, 32, 256
    for variant in tiny_models.VARIANTS.values():
        variant.update(layers=1, heads=2, kv=1, hd=16)
    for name in SEEDS:
        tiny_models.build(sys.argv[1], name)


if __name__ == "__main__":
    main()
