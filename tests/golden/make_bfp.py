"""Golden data of the formats that no package has: pip install numpy ml_dtypes

Block floating point (arXiv 2403.20137), MXINT8 (OCP MX v1.0), NF4 (QLoRA, arXiv 2305.14314) and
row-wise int8 (arXiv 2208.07339), each from its definition, in float64 or exact fractions and without
a line of Mantissa's. E8M0 scales are ml_dtypes'.

formats/X.weights.npy   f32 [n, k]: rows to encode; k is one block, or 32
formats/X.encoded.npy   u8 [n, bytes]: their bytes
formats/X.blocks.npy    u8 [m, bytes]: rows to decode
formats/X.values.npy    f32 [m, k]: their values
"""

import os
from fractions import Fraction

import ml_dtypes
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20261122)


def save(name, array):
    np.save(os.path.join(OUT, name + ".npy"), np.ascontiguousarray(array))


def weights(k):
    """Rows at many scales, subnormal ones too; ties; zeros of both signs; extremes."""
    scales = [1e-44, 1e-40, 3e-38, 1e-30, 1e-3, 0.02, 1.0, 1e4, 1e30, 3e37]
    rows = [rng.standard_normal(k) * scale for scale in scales]
    # Exact ties of every step 2^-7 .. 2^0 below a largest weight of 1 or 1.75.
    for bits in range(1, 8):
        for top in [1.0, -1.75]:
            row = (rng.integers(-(2**bits), 2**bits, k) + 0.5) / 2**bits
            row[rng.integers(k)] = top
            rows.append(row)
    rows += [np.full(k, x) for x in [0.0, -0.0, 1.0, -1e-45, 3.4e38, 1.17e-38]]
    row = rng.standard_normal(k) * 1e-3
    row[3] = -1e3
    return np.array(rows + [row, np.linspace(-1, 1, k)]).astype(np.float32)


def pack(codes, width):
    """Codes of a block as a little-endian stream of bits."""
    bits = (np.asarray(codes)[:, None] >> np.arange(width)) & 1
    return np.packbits(bits.reshape(-1).astype(np.uint8), bitorder="little")


def unpack(raw, width, n):
    bits = np.unpackbits(raw, bitorder="little")[: width * n].reshape(n, width)
    return (bits.astype(np.int64) << np.arange(width)).sum(axis=1)


def half_even(x):
    """A Fraction to the nearest integer, ties to even: what Python's round does."""
    return round(x)


def bfp_encode(row, m):
    e = max(int(x.view(np.uint32) >> 23 & 255) for x in row)
    step = Fraction(2) ** (e - 127 - (m - 2))
    top = 2 ** (m - 1) - 1
    q = [max(-top, min(top, half_even(Fraction(float(x)) / step))) for x in row]
    return np.concatenate([[np.uint8(e)], pack(np.array(q) & (2**m - 1), m)]).astype(np.uint8)


def bfp_decode(block, m, n):
    if block[0] == 255:
        return np.full(n, np.nan, np.float32)
    q = unpack(block[1:], m, n)
    q = np.where(q >= 2 ** (m - 1), q - 2**m, q).astype(np.float64)
    return (q * 2.0 ** (int(block[0]) - 127 - (m - 2))).astype(np.float32)


def bfp_blocks(m, n):
    """Every exponent, random mantissas; then every byte."""
    rows = []
    for e in list(range(0, 14)) + list(range(20, 250, 23)) + list(range(251, 256)):
        rows.append(np.concatenate([[e], rng.integers(0, 256, n * m // 8)]))
    stream = np.resize(np.arange(256), (max(1, 256 * 8 // (n * m)), n * m // 8))
    rows += [np.concatenate([[127], part]) for part in stream]
    return np.array(rows).astype(np.uint8)


def bfp(name, m, n):
    x, raw = weights(n), bfp_blocks(m, n)
    save(name + ".weights", x)
    save(name + ".encoded", np.array([bfp_encode(row, m) for row in x]))
    save(name + ".blocks", raw)
    save(name + ".values", np.array([bfp_decode(block, m, n) for block in raw]))


def mxint8():
    """OCP MX v1.0: scale E8M0 with 2^floor(log2 max|x|), elements q/64, nearest even, saturating."""
    x = weights(32)
    encoded = []
    for row in x:
        peak = max(abs(Fraction(float(v))) for v in row)
        s = -127
        while s < 127 and peak >= Fraction(2) ** (s + 1):
            s += 1
        q = [max(-127, min(127, half_even(Fraction(float(v)) * 64 / Fraction(2) ** s))) for v in row]
        encoded.append(np.concatenate([[s + 127], np.array(q) & 255]).astype(np.uint8))
    raw = bfp_blocks(8, 32)
    scales = raw[:, :1].copy().view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    # The scale 2^-127 is subnormal in f32, so the product is made in f64.
    values = raw[:, 1:].view(np.int8) / 64.0 * scales
    save("mxint8.weights", x)
    save("mxint8.encoded", np.array(encoded))
    save("mxint8.blocks", raw)
    save("mxint8.values", values.astype(np.float32))


NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


def nf4():
    table = np.array(NF4, np.float32)
    x = weights(64)
    # Ratios at, just below and just above the middle between two codes.
    middle = np.resize((table[1:] + table[:-1]) / np.float32(2), 64)
    nudged = middle.view(np.int32) + rng.integers(-1, 2, (8, 64)).astype(np.int32)
    nudged = nudged.view(np.float32)
    nudged[:, 63] = 1.0
    x = np.concatenate([x, nudged])
    encoded = []
    for row in x:
        a = np.abs(row).max()
        ratio = row / a if a > 0 else np.zeros_like(row)
        # argmin takes the first, so the lower of two equally near codes.
        gap = np.abs(ratio[:, None].astype(np.float64) - table.astype(np.float64)[None, :])
        codes = gap.argmin(axis=1)
        encoded.append(np.concatenate([np.array([a]).view(np.uint8), pack(codes, 4)]))
    raw = rng.integers(0, 256, (64, 36)).astype(np.uint8)
    edges = [0x7F7FFFFF, 0x3F800000, 0x00800000, 0x007FFFFF, 1, 0, 0x03FFFFFF, 0x04000000]
    edges += [0x7F800000, 0x7FC00000]
    raw[: len(edges), :4] = np.array(edges, np.uint32).view(np.uint8).reshape(-1, 4)
    raw[16:24, :4] = np.array([1.0], np.float32).view(np.uint8)
    raw[16:24, 4:] = np.arange(256).reshape(8, 32)
    a = raw[:, :4].copy().view(np.float32)
    codes = np.array([unpack(block[4:], 4, 64) for block in raw])
    save("nf4.weights", x)
    save("nf4.encoded", np.array(encoded).astype(np.uint8))
    save("nf4.blocks", raw)
    save("nf4.values", a * table[codes])



def int8():
    x = weights(32)
    encoded = []
    for row in x:
        scale = np.abs(row).max() / np.float32(127)
        ratio = row / scale if scale > 0 else np.zeros_like(row)
        q = np.clip(np.rint(ratio), -127, 127).astype(np.int8)
        encoded.append(np.concatenate([np.array([scale], np.float32).view(np.uint8), q.view(np.uint8)]))
    raw = rng.integers(0, 256, (40, 36)).astype(np.uint8)
    edges = [0x7F7FFFFF, 0x3F800000, 0x00800000, 0x007FFFFF, 1, 0, 0x80000001, 0x7F800000, 0x7FC00000]
    raw[: len(edges), :4] = np.array(edges, np.uint32).view(np.uint8).reshape(-1, 4)
    raw[16:24, :4] = np.array([1.0], np.float32).view(np.uint8)
    raw[16:24, 4:] = np.arange(256).reshape(8, 32)
    scale = raw[:, :4].copy().view(np.float32)
    save("int8.weights", x)
    save("int8.encoded", np.array(encoded))
    save("int8.blocks", raw)
    save("int8.values", raw[:, 4:].view(np.int8).astype(np.float32) * scale)


def main():
    np.seterr(all="ignore")
    for m, n in [(4, 64), (2, 16), (3, 32), (5, 16), (7, 128), (8, 64)]:
        bfp(f"bfp-m{m}-n{n}", m, n)
    mxint8()
    nf4()
    int8()


main()
