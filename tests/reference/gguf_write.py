# SPDX-License-Identifier: MIT
"""Write GGUF v3 files, whole or split, with numpy only. Used by tiny_models.py to make test models.

Weights are never quantised here: random_blocks() draws block bytes at random with scales set so that the
dequantised values have a wanted spread. What such a block means is then defined by the format alone.
"""
import struct

import numpy as np

from gguf_read import TYPES, dequantize

TYPE_IDS = {name.lower(): i for i, (name, _, _) in TYPES.items()}
KINDS = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"), "i32": (5, "i"),
         "f32": (6, "f"), "bool": (7, "?"), "u64": (10, "Q"), "i64": (11, "q"), "f64": (12, "d")}


def pack_string(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def pack_value(kind, value):
    if kind == "str":
        return struct.pack("<I", 8) + pack_string(value)
    if kind.endswith("[]"):
        kind = kind[:-2]
        head = struct.pack("<IIQ", 9, 8 if kind == "str" else KINDS[kind][0], len(value))
        if kind == "str":
            return head + b"".join(map(pack_string, value))
        return head + struct.pack("<%d%s" % (len(value), KINDS[kind][1]), *value)
    return struct.pack("<I" + KINDS[kind][1], KINDS[kind][0], value)


class Writer:
    """Collect keys (kept in order) and tensors, then write one file or several parts."""

    def __init__(self, align=32):
        self.keys, self.tensors, self.align = [], [], align

    def key(self, name, kind, value):
        self.keys.append((name, kind, value))

    def tensor(self, name, dims, type_name, raw):
        """`dims` in file order, the row length first; `raw` is the encoded data."""
        _, elems, size = TYPES[TYPE_IDS[type_name]]
        if len(raw) != int(np.prod(dims)) // elems * size:
            raise ValueError("%s: %d bytes do not fit %s" % (name, len(raw), dims))
        self.tensors.append((name, dims, type_name, raw))

    def write(self, path):
        write_file(path, self.keys, self.tensors, self.align)

    def write_split(self, prefix, n_parts):
        """<prefix>-00001-of-0000N.gguf and so on: all keys in the first part, tensors in listing order."""
        cuts = [len(self.tensors) * i // n_parts for i in range(n_parts + 1)]
        for i in range(n_parts):
            own = [("split.no", "u16", i), ("split.count", "u16", n_parts),
                   ("split.tensors.count", "i32", len(self.tensors))]
            write_file("%s-%05d-of-%05d.gguf" % (prefix, i + 1, n_parts), (self.keys if i == 0 else []) + own,
                       self.tensors[cuts[i]:cuts[i + 1]], self.align if i == 0 else 32)


def write_file(path, keys, tensors, align):
    def pad(n):
        return b"\0" * (-n % align)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, kind, value in keys:
        head += pack_string(name) + pack_value(kind, value)
    offset = 0
    for name, dims, type_name, raw in tensors:
        head += pack_string(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims)
        head += struct.pack("<IQ", TYPE_IDS[type_name], offset)
        offset += len(raw) + len(pad(len(raw)))
    with open(path, "wb") as f:
        f.write(head + (pad(len(head)) if tensors else b""))
        for _, _, _, raw in tensors:
            f.write(raw + pad(len(raw)))


def put_half(b, at, values):
    b[:, at:at + 2] = np.asarray(values, "<f2").reshape(-1, 1).view(np.uint8)


def pack_scale_min_6bit(s, m):
    """The inverse of the 12-byte packing of Q4_K and Q5_K: 8 scales and 8 mins below 64."""
    b = np.empty((len(s), 12), np.uint8)
    b[:, 0:4] = s[:, :4] | ((s[:, 4:] >> 4) << 6)
    b[:, 4:8] = m[:, :4] | ((m[:, 4:] >> 4) << 6)
    b[:, 8:12] = (s[:, 4:] & 15) | ((m[:, 4:] & 15) << 4)
    return b


def random_blocks(rng, type_name, n, std):
    """`n` random weights of spread about `std`, encoded as `type_name`.

    Block scales vary by a factor of two and, where the format has no minimum, carry random signs; the
    formats with minimums get them near the middle of the levels, so the mean is near zero as well.
    """
    if type_name in ("f32", "f16", "bf16"):
        x = rng.standard_normal(n, dtype=np.float32) * np.float32(std)
        if type_name == "bf16":
            return (x.view("<u4") >> 16).astype("<u2").tobytes()
        return x.astype({"f32": "<f4", "f16": "<f2"}[type_name]).tobytes()
    type_id = TYPE_IDS[type_name]
    _, elems, size = TYPES[type_id]
    nb = n // elems
    b = rng.integers(0, 256, (nb, size), dtype=np.uint8)
    if type_name == "mxfp4":
        b[:, 0] = int(round(128 + np.log2(std / 5.9)))
        return b.tobytes()
    scale = rng.uniform(0.7, 1.4, nb).astype(np.float32)
    sign = rng.choice(np.array([-1, 1], np.float32), nb)
    centre = rng.uniform(0.9, 1.1, nb).astype(np.float32)
    if type_name == "q2_k":
        b[:, :16] |= 0x88                     # scales and mins 8..15
    if type_name in ("q4_k", "q5_k"):
        s, m = rng.integers(32, 64, (2, nb, 8), dtype=np.uint8)
        b[:, 4:16] = pack_scale_min_6bit(s, m)
    # (offset of the scale, offset of the minimum or None, minimum in units of the scale)
    at, at_min, middle = {"q4_0": (0, None, 0), "q5_0": (0, None, 0), "q8_0": (0, None, 0),
                          "iq4_nl": (0, None, 0), "iq4_xs": (0, None, 0), "q3_k": (108, None, 0),
                          "q6_k": (208, None, 0), "q4_1": (0, 2, -7.5), "q5_1": (0, 2, -15.5),
                          "q2_k": (80, 82, 1.5), "q4_k": (0, 2, 7.5), "q5_k": (0, 2, 15.5)}[type_name]

    def set_scales(unit):
        if at_min is None:
            put_half(b, at, unit * scale * sign)
        else:
            put_half(b, at, unit * scale)
            put_half(b, at_min, unit * scale * centre * middle)

    set_scales(1 / 64)
    set_scales(std / 64 / float(dequantize(type_id, b.tobytes(), nb * elems).std()))
    return b.tobytes()
