#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny models with every matrix written as the f32 values that its quantised blocks mean: what a backend that rounds
nothing on the way would compute. exact_models.py OUTDIR NAME...   (names as in tests/reference/tiny_models.py)"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
import gguf_read  # noqa: E402
import tiny_models  # noqa: E402


class ExactWriter(tiny_models.Writer):
    def tensor(self, name, dims, type_name, raw):
        n = 1
        for d in dims:
            n *= d
        values = gguf_read.dequantize(tiny_models.TYPE_IDS[type_name], raw, n)
        super().tensor(name, dims, "f32", values.astype("<f4").tobytes())


def main():
    outdir = sys.argv[1]
    os.makedirs(outdir, exist_ok=True)
    tiny_models.Writer = ExactWriter
    for name in sys.argv[2:]:
        tiny_models.build(outdir, name)


if __name__ == "__main__":
    main()
