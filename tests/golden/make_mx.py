"""Golden data of the OCP MX formats, from ml_dtypes: pip install numpy ml_dtypes==0.6

formats/X.blocks.npy    u8 [m, bytes]: every code under scales of every kind, then random blocks
formats/X.values.npy    f32 [m, 32]: 2^(s - 127) · element, both as ml_dtypes casts them to f32
formats/X.encoded.npy   u8 [n, bytes]: formats/weights.npy, encoded as OCP MX v1.0, 6.3, has it, with
                        ml_dtypes's cast of a saturated value for the elements

A block is a byte E8M0, then the codes as a little-endian stream of bits.
"""

import os

import ml_dtypes as ml
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20250301)

# Type, bits, floor(log2(largest)).
FORMATS = {
    "mxfp4_ocp": (ml.float4_e2m1fn, 4, 2),
    "mxfp6_e2m3": (ml.float6_e2m3fn, 6, 2),
    "mxfp6_e3m2": (ml.float6_e3m2fn, 6, 4),
    "mxfp8_e4m3": (ml.float8_e4m3fn, 8, 8),
    "mxfp8_e5m2": (ml.float8_e5m2, 8, 15),
}


def stream(codes, bits):
    """Codes [n, 32] as bytes [n, 4·bits], the first in the lowest bits."""
    each = (codes[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(each.reshape(len(codes), -1), axis=1, bitorder="little")


def encode(x, dtype, bits, largest_exponent):
    peak = np.abs(x).max(axis=1)
    s = np.where(peak > 0, np.frexp(peak)[1] - 1 - largest_exponent + 127, 0)
    s = np.clip(s, 0, 254).astype(np.int32)
    limit = np.float32(ml.finfo(dtype).max)
    scaled = np.clip(np.ldexp(x, 127 - s[:, None]).astype(np.float32), -limit, limit)
    codes = scaled.astype(dtype).view(np.uint8)
    return np.concatenate([s.astype(np.uint8)[:, None], stream(codes, bits)], axis=1)


def blocks(bits):
    """Every code under the scales at the edges, where products are subnormal, and some others."""
    every = np.resize(np.arange(1 << bits, dtype=np.uint8), max(1 << bits, 32)).reshape(-1, 32)
    edges = [0, 1, 2, 3, 8, 9, 10, 15, 16, 17, 18, 110, 127, 140, 238, 239, 252, 253, 254, 255]
    codes = [every for _ in edges] + [rng.integers(0, 1 << bits, (40, 32)).astype(np.uint8)]
    s = np.concatenate([np.repeat(edges, len(every)), rng.integers(0, 256, 40)]).astype(np.uint8)
    return s, np.concatenate(codes)


def save(name, array):
    np.save(os.path.join(OUT, name + ".npy"), np.ascontiguousarray(array))


def main():
    x = np.load(os.path.join(OUT, "weights.npy"))
    for name, (dtype, bits, largest_exponent) in FORMATS.items():
        save(name + ".encoded", encode(x, dtype, bits, largest_exponent))
        s, codes = blocks(bits)
        save(name + ".blocks", np.concatenate([s[:, None], stream(codes, bits)], axis=1))
        scale = s.view(ml.float8_e8m0fnu).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            save(name + ".values", scale[:, None] * codes.view(dtype).astype(np.float32))


main()
