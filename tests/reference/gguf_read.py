# SPDX-License-Identifier: MIT
"""Read a GGUF v2/v3 file (or all parts of a split one) and dequantise its tensors with numpy.

Written from the format description alone, independently of the C loader, so that the two check each other.
usage: gguf_read.py FILE              metadata and tensor table
       gguf_read.py --vectors JSON    check every dequantiser against a file of block vectors
"""
import json
import os
import re
import struct
import sys

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
KIND_NAMES = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "arr", "u64", "i64", "f64"]
# id: (name, elements in a block, bytes in a block)
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 30: ("BF16", 1, 2), 39: ("MXFP4", 32, 17),
}
IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
FP4 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)


def half(b, at):
    """The half-precision field at byte `at` of every block, as a float32 column."""
    return np.ascontiguousarray(b[:, at:at + 2]).view("<f2").astype(np.float32)


def nibbles16(b, at):
    """16 bytes to 32 values: the low nibbles are elements 0..15, the high ones 16..31."""
    qs = b[:, at:at + 16]
    return np.concatenate([qs & 15, qs >> 4], axis=1)


def fifth_bits(b, at):
    word = np.ascontiguousarray(b[:, at:at + 4]).view("<u4")
    return ((word >> np.arange(32, dtype=np.uint32)) & 1).astype(np.uint8) << 4


def planes2(b, at):
    """64 bytes to 256 two-bit values: element 128c + 32j + l sits in bits 2j of byte 32c + l."""
    qs = b[:, at:at + 64].reshape(-1, 2, 1, 32)
    shift = np.arange(0, 8, 2, dtype=np.uint8).reshape(1, 1, 4, 1)
    return ((qs >> shift) & 3).reshape(-1, 256)


def deq_q4_0(b):
    return half(b, 0) * (nibbles16(b, 2).astype(np.float32) - 8)


def deq_q4_1(b):
    return half(b, 0) * nibbles16(b, 4).astype(np.float32) + half(b, 2)


def deq_q5_0(b):
    return half(b, 0) * ((nibbles16(b, 6) | fifth_bits(b, 2)).astype(np.float32) - 16)


def deq_q5_1(b):
    return half(b, 0) * (nibbles16(b, 8) | fifth_bits(b, 4)).astype(np.float32) + half(b, 2)


def deq_q8_0(b):
    return half(b, 0) * b[:, 2:34].view(np.int8).astype(np.float32)


def deq_iq4_nl(b):
    return half(b, 0) * IQ4[nibbles16(b, 2)]


def deq_mxfp4(b):
    return np.exp2(b[:, :1].astype(np.float32) - 128) * FP4[nibbles16(b, 1)]


def deq_q2_k(b):
    sc = b[:, :16]
    d = half(b, 80) * (sc & 15).astype(np.float32)
    m = half(b, 82) * (sc >> 4).astype(np.float32)
    q = planes2(b, 16).astype(np.float32)
    return np.repeat(d, 16, axis=1) * q - np.repeat(m, 16, axis=1)


def deq_q3_k(b):
    sc = b[:, 96:108]
    k = np.arange(16)
    low = (sc[:, k % 8] >> (4 * (k // 8)).astype(np.uint8)) & 15
    high = (sc[:, 8 + k % 4] >> (2 * (k // 4)).astype(np.uint8)) & 3
    d = half(b, 108) * ((low | (high << 4)).astype(np.float32) - 32)
    bit = np.arange(8, dtype=np.uint8).reshape(1, 8, 1)
    kept = ((b[:, :32].reshape(-1, 1, 32) >> bit) & 1).reshape(-1, 256)
    q = planes2(b, 32).astype(np.float32) - np.where(kept, 0, 4).astype(np.float32)
    return np.repeat(d, 16, axis=1) * q


def scale_min_6bit(sc):
    """The twelve packed bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit mins."""
    s = np.empty((len(sc), 8), np.uint8)
    m = np.empty_like(s)
    s[:, :4], m[:, :4] = sc[:, :4] & 63, sc[:, 4:8] & 63
    s[:, 4:] = (sc[:, 8:12] & 15) | ((sc[:, :4] >> 6) << 4)
    m[:, 4:] = (sc[:, 8:12] >> 4) | ((sc[:, 4:8] >> 6) << 4)
    return s.astype(np.float32), m.astype(np.float32)


def nibbles64(b, at):
    """128 bytes to 256 values: 32 low nibbles then 32 high nibbles of each run of 32 bytes."""
    qs = b[:, at:at + 128].reshape(-1, 4, 1, 32)
    return np.concatenate([qs & 15, qs >> 4], axis=2).reshape(-1, 8, 32)


def deq_q45_k(b, q):
    s, m = scale_min_6bit(b[:, 4:16])
    d, dmin = half(b, 0) * s, half(b, 2) * m
    return (d[:, :, None] * q.astype(np.float32) - dmin[:, :, None]).reshape(-1, 256)


def deq_q4_k(b):
    return deq_q45_k(b, nibbles64(b, 16))


def deq_q5_k(b):
    bit = np.arange(8, dtype=np.uint8).reshape(1, 8, 1)
    high = ((b[:, 16:48].reshape(-1, 1, 32) >> bit) & 1) << 4
    return deq_q45_k(b, nibbles64(b, 48) | high)


def deq_q6_k(b):
    ql = b[:, :128].reshape(-1, 2, 2, 32)
    low = np.stack([ql & 15, ql >> 4], axis=2).reshape(-1, 256)
    q = (low | (planes2(b, 128) << 4)).astype(np.float32) - 32
    d = half(b, 208) * np.ascontiguousarray(b[:, 192:208]).view(np.int8).astype(np.float32)
    return np.repeat(d, 16, axis=1) * q


def deq_iq4_xs(b):
    k = np.arange(8)
    low = (b[:, 4 + k // 2] >> (4 * (k % 2)).astype(np.uint8)) & 15
    high = (np.ascontiguousarray(b[:, 2:4]).view("<u2") >> (2 * k).astype(np.uint16)) & 3
    d = half(b, 0) * ((low | (high << 4).astype(np.uint8)).astype(np.float32) - 32)
    qs = b[:, 8:136].reshape(-1, 8, 16)
    v = IQ4[np.concatenate([qs & 15, qs >> 4], axis=2)]
    return (d[:, :, None] * v).reshape(-1, 256)


BLOCKS = {2: deq_q4_0, 3: deq_q4_1, 6: deq_q5_0, 7: deq_q5_1, 8: deq_q8_0, 10: deq_q2_k, 11: deq_q3_k,
          12: deq_q4_k, 13: deq_q5_k, 14: deq_q6_k, 20: deq_iq4_nl, 23: deq_iq4_xs, 39: deq_mxfp4}
PLAIN = {0: "<f4", 1: "<f2", 24: "<i1", 25: "<i2", 26: "<i4", 27: "<i8", 28: "<f8"}


def dequantize(type_id, raw, n):
    """`n` elements of ggml type `type_id` from the bytes `raw`, as a flat float32 array."""
    if type_id in PLAIN:
        return np.frombuffer(raw, PLAIN[type_id], n).astype(np.float32)
    if type_id == 30:
        return (np.frombuffer(raw, "<u2", n).astype(np.uint32) << 16).view(np.float32)
    _, elems, size = TYPES[type_id]
    b = np.frombuffer(raw, np.uint8, n // elems * size).reshape(-1, size)
    return BLOCKS[type_id](b).astype(np.float32, copy=False).reshape(-1)


class Tensor:
    """Where a tensor lies; `shape` is numpy's order, so W @ x maps inputs to outputs."""

    def __init__(self, name, dims, type_id, data, start):
        self.name, self.dims, self.type_id = name, dims, type_id
        self.type_name, elems, size = TYPES[type_id]
        self.n = int(np.prod(dims, dtype=np.int64))
        if dims and dims[0] % elems:
            raise ValueError("%s: row of %d is no multiple of %d" % (name, dims[0], elems))
        self.nbytes = self.n // elems * size
        if start + self.nbytes > len(data):
            raise ValueError("%s ends past the end of the file" % name)
        self.raw = data[start:start + self.nbytes]
        self.shape = tuple(reversed(dims))

    def array(self):
        return dequantize(self.type_id, self.raw, self.n).reshape(self.shape)


class Gguf:
    """`meta` (key: value), `kinds` (key: type name), `tensors` (name: Tensor), over all split parts."""

    def __init__(self, path):
        self.meta, self.kinds, self.tensors, self.n_parts = {}, {}, {}, 1
        self.read_part(path)
        count = int(self.meta.get("split.count", 1))
        if count > 1:
            match = re.match(r"(.*)-(\d{5})-of-(\d{5})\.gguf$", path)
            if not match or self.meta.get("split.no") != 0:
                raise ValueError("a split model is opened by its first part")
            for i in range(1, count):
                self.read_part("%s-%05d-of-%05d.gguf" % (match.group(1), i + 1, count))
            self.n_parts = count
            if len(self.tensors) != self.meta["split.tensors.count"]:
                raise ValueError("the parts hold %d tensors" % len(self.tensors))

    def read_part(self, path):
        data = np.memmap(path, np.uint8, "r")
        self.data, self.at = data, 0
        if bytes(data[:4]) != b"GGUF":
            raise ValueError(path + " is not a GGUF file")
        self.at = 4
        self.version = self.scalar(4)
        if self.version not in (2, 3):
            raise ValueError("GGUF version %d" % self.version)
        n_tensors, n_kv = self.scalar(10), self.scalar(10)
        first = not self.meta
        part = {}
        for _ in range(n_kv):
            key, kind = self.string(), self.scalar(4)
            part[key] = self.value(kind)
            if first:
                self.kinds[key] = KIND_NAMES[kind] + ("[%d]" % len(part[key]) if kind == 9 else "")
        if first:
            self.meta = part
        infos = []
        for _ in range(n_tensors):
            name = self.string()
            dims = [self.scalar(10) for _ in range(self.scalar(4))]
            infos.append((name, dims, self.scalar(4), self.scalar(10)))
        align = int(part.get("general.alignment", 32))
        start = -(-self.at // align) * align
        for name, dims, type_id, offset in infos:
            if name in self.tensors:
                raise ValueError(name + " occurs twice")
            self.tensors[name] = Tensor(name, dims, type_id, data, start + offset)

    def scalar(self, kind):
        fmt = "<" + SCALARS[kind]
        size = struct.calcsize(fmt)
        self.at += size
        return struct.unpack(fmt, bytes(self.data[self.at - size:self.at]))[0]

    def string(self):
        n = self.scalar(10)
        self.at += n
        return bytes(self.data[self.at - n:self.at]).decode("utf-8", "surrogateescape")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind != 9:
            return self.scalar(kind)
        element, n = self.scalar(4), self.scalar(10)
        if element == 8:
            return [self.string() for _ in range(n)]
        dtype = np.dtype(SCALARS[element]).newbyteorder("<")
        self.at += n * dtype.itemsize
        return np.frombuffer(bytes(self.data[self.at - n * dtype.itemsize:self.at]), dtype).tolist()


def check_vectors(path):
    with open(path) as f:
        vectors = json.load(f)
    ids = {name.lower(): i for i, (name, _, _) in TYPES.items()}
    failures = 0
    for name, v in vectors.items():
        got = dequantize(ids[name.lower()], bytes.fromhex(v["dequant_in_hex"]), v["block_elems"])
        want = np.array(v["dequant_out_f32"], np.float32)
        bad = int(np.sum(got != want))
        failures += bad > 0
        print("%-8s %3d elements, %d differ, largest difference %g" % (name, len(want), bad, np.abs(got - want).max()))
    return failures


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--vectors":
        sys.exit(1 if check_vectors(sys.argv[2]) else 0)
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    g = Gguf(sys.argv[1])
    print("%s: version %d, %d part(s), %d keys, %d tensors" %
          (os.path.basename(sys.argv[1]), g.version, g.n_parts, len(g.meta), len(g.tensors)))
    for key, value in g.meta.items():
        print("%-44s %-12s %s" % (key, g.kinds[key], ascii(value)[:100]))
    for t in g.tensors.values():
        print("%-32s %-7s %s" % (t.name, t.type_name, " x ".join(map(str, t.dims))))


if __name__ == "__main__":
    main()
