#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny models with every matrix written as the f32 values that its quantised blocks mean: what a backend that rounds
nothing on the way would compute. Beside them, in OUTDIR/noise, the same with every element of a matrix off by a random
part of what a device rounds: how far logits move then says how far those of the device may be off. OUTDIR/noise8: of one
that rounds activations to bytes.
exact_models.py OUTDIR NAME...   (names as in tests/reference/tiny_models.py)"""
import os
import sys
import zlib

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
import gguf_read  # noqa: E402
import tiny_models  # noqa: E402

# Operands become halves, u = 2^-11, unless weights are f32: then sums of some 256 floats count, 16 x 2^-24.
HALF, FLOAT = 2.0 ** -11, 2.0 ** -20
# Bytes: off by at most 1/254 of the largest of 32 activations, some two or three times the usual one.
BYTE = 2.0 ** -7
noise = 0.0


class ExactWriter(tiny_models.Writer):
    def tensor(self, name, dims, type_name, raw):
        n = 1
        for d in dims:
            n *= d
        values = gguf_read.dequantize(tiny_models.TYPE_IDS[type_name], raw, n).astype("<f4")
        if noise and len(dims) > 1:
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            values = (values * (1 + rng.uniform(-noise, noise, n))).astype("<f4")
        super().tensor(name, dims, "f32", values.tobytes())


def main():
    global noise
    outdir = sys.argv[1]
    tiny_models.Writer = ExactWriter
    for folder, rounding in (("", 0.0), ("noise", HALF), ("noise8", BYTE)):
        os.makedirs(os.path.join(outdir, folder), exist_ok=True)
        for name in sys.argv[2:]:
            noise = FLOAT if rounding and name.endswith("-f32") else rounding
            tiny_models.build(os.path.join(outdir, folder), name)


if __name__ == "__main__":
    main()
