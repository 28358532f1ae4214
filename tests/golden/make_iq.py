"""Golden data and grids of GGUF's IQ1, IQ2, IQ3 formats: pip install numpy gguf==0.19 xllamacpp==2026.10.11549

formats/X.blocks.npy     u8 [m, bytes]: what is decoded
formats/X.values.npy     f32 [m, 256]: the values of gguf.quants.dequantize
formats/iq.weights.npy   f32 [n, 256]: weights of several distributions
formats/X.llama.npy      u8 [n, bytes]: what llama.cpp makes of them (ggml_quantize_chunk, with an
                         importance of one for every weight), to compare errors with

`make_iq.py --grids` prints src/formats/grids.rs instead.
"""

import ctypes as C
import os
import sys
import warnings

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf import quants

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20241103)

KINDS = [T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ1_S, T.IQ1_M]
GRIDS = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S]

# Largest, one, smallest normal, largest and smallest subnormal, zero; and their negatives.
F16_EDGES = np.array([0x7BFF, 0x3C00, 0x0400, 0x03FF, 0x0001, 0x0000], dtype=np.uint16)
F16_EDGES = np.concatenate([F16_EDGES, F16_EDGES | 0x8000])


def grids():
    print("//! The grids of GGUF's IQ formats, as words: two points each, the even one in the low half. A point")
    print("//! has 8 coordinates of 2 bits (IQ1, IQ2) or 4 of 4 bits (IQ3), the first lowest; they number the")
    print("//! levels of its format. Tables of constants of ggml-common.h, packed as in the gguf package's")
    print("//! quants.py; printed by `tests/golden/make_iq.py --grids`.")
    for kind in GRIDS:
        # The package's own packing: 2 bytes a point, in hexadecimal.
        points = np.frombuffer(bytes.fromhex(kind.grid_hex.decode()), dtype="<u2")
        words = points.view("<u4")
        name = kind.__name__.split("_", 1)
        print(f"\n/// {len(points)} points of {kind.grid_shape[1]} coordinates.")
        print(f"pub(super) static {name[0]}_{name[1]}: [u32; {len(words)}] = [")
        for i in range(0, len(words), 8):
            print("    " + " ".join(f"0x{w:08x}," for w in words[i : i + 8]))
        print("];")


def points(kind):
    """Every point of the grid in some block, and every combination of signs where they have a code:
    the fields that hold them, as bytes [blocks, size of the field], by their place in a block."""
    def shuffled(n, per_block, top=None):
        all_of_them = np.concatenate([rng.permutation(n), rng.integers(0, n, -n % per_block)])
        return all_of_them.reshape(-1, per_block)

    if kind == T.IQ2_XXS:
        i = shuffled(256, 32).reshape(-1, 8, 4).astype(np.uint8)
        aux = rng.integers(0, 2**32, i.shape[:2]).astype(np.uint32)
        both = np.concatenate([i, aux[..., None].view(np.uint8)], axis=2)
        return {2: both.reshape(len(i), -1)}
    if kind == T.IQ2_XS:
        i = shuffled(512, 32).astype(np.uint16)
        return {2: (i | rng.integers(0, 128, i.shape).astype(np.uint16) << 9).view(np.uint8)}
    if kind == T.IQ2_S:
        i = shuffled(1024, 32)
        high = (i >> 8).reshape(len(i), 8, 4) << np.array([0, 2, 4, 6])
        return {2: i & 255, 66: high.sum(2)}
    if kind == T.IQ3_XXS:
        return {2: shuffled(256, 64)}
    if kind == T.IQ3_S:
        i = shuffled(512, 64)
        high = (i >> 8).reshape(len(i), 8, 8) << np.arange(8)
        return {2: i & 255, 66: high.sum(2)}
    i = shuffled(2048, 32)
    if kind == T.IQ1_S:
        high = ((i >> 8).reshape(len(i), 8, 4) << np.array([0, 3, 6, 9])).sum(2)
        high = (high | rng.integers(0, 16, high.shape) << 12).astype(np.uint16)
        return {2: i & 255, 34: high.view(np.uint8)}
    high = (i >> 8).reshape(len(i), 16, 2) << np.array([0, 4])
    return {0: i & 255, 32: high.sum(2) | rng.integers(0, 2, (len(i), 16, 2)) @ [8, 128]}


def put_scale(kind, blocks, bits):
    """The f16 scale: in front, or in the top four bits of IQ1_M's four words of scales."""
    if kind != T.IQ1_M:
        blocks[:, :2] = bits[:, None].view(np.uint8)
        return
    nibbles = bits[:, None] >> np.array([0, 4, 8, 12], dtype=np.uint16) & 15
    words = np.ascontiguousarray(blocks[:, 48:]).view(np.uint16)
    blocks[:, 48:] = (words & 0x0FFF | nibbles.astype(np.uint16) << 12).view(np.uint8)


def blocks(kind):
    """Every point; random bytes under each edge of the scale; blocks of one byte, NaN among them."""
    size = GGML_QUANT_SIZES[kind][1]
    fields = points(kind)
    count = len(next(iter(fields.values())))
    covering = rng.integers(0, 256, (count, size)).astype(np.uint8)
    for at, field in fields.items():
        covering[:, at : at + field.shape[1]] = field
    put_scale(kind, covering, rng.integers(0x0800, 0x7000, count).astype(np.uint16))
    edges = rng.integers(0, 256, (len(F16_EDGES), size)).astype(np.uint8)
    put_scale(kind, edges, F16_EDGES)
    flat = np.array([[byte] * size for byte in [0, 0xFF, 0x55, 0xAA, 0x0F, 0xF0]], dtype=np.uint8)
    return np.concatenate([covering, edges, flat])


def weights():
    """Rows of 256: normal, Laplace, uniform, of mixed sizes, with outliers, at several scales."""
    rows = list(rng.standard_normal((8, 256)) * 0.05)
    rows += list(rng.laplace(size=(4, 256)) * 3)
    rows += list(rng.uniform(-1, 1, (4, 256)) * 1e-3)
    rows += list(rng.standard_normal((4, 256)) * np.exp(rng.standard_normal((4, 8, 1))).repeat(32, 1).reshape(4, 256))
    outliers = rng.standard_normal((4, 256))
    outliers[:, rng.integers(0, 256, 3)] *= 12
    return np.array(rows + list(outliers)).astype(np.float32)


def llama(kind, x):
    """llama.cpp's bytes; its library ships inside xllamacpp."""
    import xllamacpp

    lib = C.CDLL(xllamacpp.xllamacpp.__file__)
    lib.ggml_quantize_chunk.restype = C.c_size_t
    lib.ggml_quantize_chunk.argtypes = [C.c_int, C.c_void_p, C.c_void_p] + [C.c_int64] * 3 + [C.c_void_p]
    out = np.zeros((len(x), GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    importance = np.ones(256, dtype=np.float32)
    size = lib.ggml_quantize_chunk(
        int(kind), x.ctypes.data, out.ctypes.data, 0, len(x), 256, importance.ctypes.data)
    assert size == out.nbytes, size
    return out


def save(name, array):
    np.save(os.path.join(OUT, name + ".npy"), np.ascontiguousarray(array))


def main():
    warnings.simplefilter("ignore")
    x = weights()
    save("iq.weights", x)
    for kind in KINDS:
        name = kind.name.lower()
        raw = blocks(kind)
        save(name + ".blocks", raw)
        save(name + ".values", quants.dequantize(raw, kind))
        theirs = llama(kind, x)
        save(name + ".llama", theirs)
        error = quants.dequantize(theirs, kind) - x
        print(name, len(raw), "relative RMSE of llama.cpp", np.sqrt((error**2).sum() / (x**2).sum()))


if "--grids" in sys.argv:
    grids()
else:
    main()
