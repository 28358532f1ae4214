"""Golden data for tests/formats.rs, from the `gguf` package: pip install numpy gguf==0.19

formats/weights.npy      f32 [n, 32]: what is encoded
formats/X.encoded.npy    u8 [n, bytes]: the bytes of gguf.quants.quantize for format X
formats/X.blocks.npy     u8 [m, bytes]: what is decoded
formats/X.values.npy     f32 [m, weights]: the values of gguf.quants.dequantize

Weights so small that 1/d overflows make the package cast infinities and NaNs to integers: the
files hold what x86 does (0), which is also what ggml's C code does there.
"""

import itertools
import os
import warnings

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20240917)

# Largest, one, smallest normal, largest and smallest subnormal, zero; and their negatives.
F16_EDGES = np.array([0x7BFF, 0x3C00, 0x0400, 0x03FF, 0x0001, 0x0000], dtype=np.uint16)
F16_EDGES = np.concatenate([F16_EDGES, F16_EDGES | 0x8000])


def weights():
    """Rows of 32: random at many scales, ties, zeros, tiny, huge, one outlier."""
    rows = []
    for scale in [1e-39, 1e-36, 1e-30, 1e-8, 3e-6, 1e-3, 0.02, 1.0, 50.0, 6e4, 1e6, 1e30]:
        rows += list((rng.standard_normal((8, 32)) * scale).astype(np.float32))
    rows += list(rng.uniform(0, 1, (4, 32))) + list(rng.uniform(-5, -4, (4, 32)))
    # With d = 1, every k + 1/2 is a tie of some format.
    for top in [8, 16, 127, 15, 31]:
        ties = np.resize(np.arange(-top, top, 0.5), 64).reshape(2, 32).copy()
        for sign in [1, -1]:
            rows += list(np.concatenate([ties[:, 1:], np.full((2, 1), sign * top)], axis=1))
        positive = np.resize(np.arange(0, top, 0.5), (2, 32))
        rows += list(np.concatenate([positive[:, 2:], np.full((2, 2), [0.0, top])], axis=1))
    # Two weights of equal magnitude and opposite sign: the first gives the sign of d.
    rows += [np.resize([3.0, -3.0, 1.0], 32), np.resize([-3.0, 3.0, 1.0], 32)]
    rows += [np.full(32, x) for x in [0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, 65504.0]]
    rows += [np.resize([3e38, -3e38, 1.0, 0.0], 32), np.linspace(-1, 1, 32)]
    for outlier in [1e4, -1e4, 1e30]:
        row = rng.standard_normal(32) * 1e-3
        row[rng.integers(32)] = outlier
        rows.append(row)
    # Halfway between neighbours of f16 and bf16, subnormals included.
    bits = rng.integers(0, 0x7C00, 64).astype(np.uint16)
    half = bits.view(np.float16).astype(np.float64)
    above = (bits + 1).astype(np.uint16).view(np.float16).astype(np.float64)
    rows += list(np.where(np.isfinite(above), (half + above) / 2, half).reshape(2, 32))
    bits = rng.integers(0, 0x7F80, 64).astype(np.uint32) << 16 | 0x8000
    rows += list(bits.astype(np.uint32).view(np.float32).reshape(2, 32))
    return np.array(rows).astype(np.float32)


def scales(fields):
    """Bits of the f16 fields of a block: all edges, or pairs of them, then random finite ones."""
    edges = np.array(list(itertools.product(F16_EDGES, repeat=fields)))
    bits = rng.integers(0, 0x10000, (200, fields)).astype(np.uint16)
    finite = (bits & 0x7C00 != 0x7C00).all(axis=1)
    return np.concatenate([edges, bits[finite][:40]])


def blocks(kind, size):
    """Random quants under each of the scales; then every byte among the quants, under d = 1."""
    fields = 2 if kind in (T.Q4_1, T.Q5_1) else 1
    d = np.concatenate([scales(fields), np.full((16, fields), 0x3C00, dtype=np.uint16)])
    quants = rng.integers(0, 256, (len(d), size - 2 * fields)).astype(np.uint8)
    quants[-16:, -16:] = np.arange(256).reshape(16, 16)
    return np.concatenate([d.view(np.uint8).reshape(len(d), -1), quants], axis=1)


def floats(kind):
    """Plain floats: every edge, NaNs and infinities included, then random bits."""
    if kind == T.F32:
        edges = [0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC12345]
        bits = np.array(edges, dtype=np.uint32)
        bits = np.concatenate([bits, bits | 0x80000000, rng.integers(0, 2**32, 112)])
        return bits.astype("<u4").view(np.uint8).reshape(-1, 4)
    top = 0x7C00 if kind == T.F16 else 0x7F80
    edges = [0, 1, 2, top // 31, top - 1, top, top + 1, 0x7FFF, 0x0400, 0x03FF, 0x0080, 0x007F]
    bits = np.array(edges, dtype=np.uint16)
    bits = np.concatenate([bits, bits | 0x8000, rng.integers(0, 0x10000, 1000)])
    return bits.astype("<u2").view(np.uint8).reshape(-1, 2)


def save(name, array):
    np.save(os.path.join(OUT, name + ".npy"), np.ascontiguousarray(array))


def main():
    warnings.simplefilter("ignore")
    os.makedirs(OUT, exist_ok=True)
    x = weights()
    save("weights", x)
    for kind in [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]:
        name = kind.name.lower()
        encoded = quantize(x, kind)
        save(name + ".encoded", encoded.view(np.uint8).reshape(len(x), -1))
        plain = kind in (T.F32, T.F16, T.BF16)
        raw = floats(kind) if plain else blocks(kind, encoded.shape[1])
        save(name + ".blocks", raw)
        save(name + ".values", dequantize(raw, kind))


main()
