"""Golden data of GGUF's formats with blocks of 256, and IQ4_NL: pip install numpy gguf==0.19 xllamacpp

formats/X.blocks.npy     u8 [m, bytes]: what is decoded
formats/X.values.npy     f32 [m, weights]: the values of gguf.quants.dequantize
formats/X.weights.npy    f32 [n, 256]: what is encoded, where the gguf package encodes (TQ1_0, TQ2_0)
formats/X.encoded.npy    u8 [n, bytes]: the bytes of gguf.quants.quantize
formats/k_normal.npy     f32 [64, 256]: normal weights
k_rmse.json              root mean square error that ggml's own quantizers (ggml_quantize_chunk, no
                         importance matrix) leave on k_normal, by format
"""

import ctypes
import json
import os
import warnings

import numpy as np
import xllamacpp
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20251104)

# Where a block's f16 scales stand.
SCALES = {
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
}
TERNARY = [T.TQ1_0, T.TQ2_0]

# Largest, one, smallest normal, largest and smallest subnormal, zero; and their negatives.
EDGES = np.array([0x7BFF, 0x3C00, 0x0400, 0x03FF, 0x0001, 0x0000], dtype=np.uint16)
EDGES = np.concatenate([EDGES, EDGES | 0x8000])
NOT_FINITE = np.array([0x7C00, 0xFC00, 0x7E00], dtype=np.uint16)


def blocks(kind):
    """Random bytes under each scale, every byte value in every place of some block, one-byte blocks."""
    size, at = GGML_QUANT_SIZES[kind][1], SCALES[kind]
    scales = [np.concatenate([np.roll(EDGES, 5 * i), NOT_FINITE]) for i in range(len(at))]
    random = rng.integers(0, 0x7C00, (24, len(at))) | rng.integers(0, 2, (24, len(at))) << 15
    scales = np.concatenate([np.stack(scales, axis=1), random.astype(np.uint16)])
    rows = rng.integers(0, 256, (len(scales), size)).astype(np.uint8)
    rows[-8:] = (np.arange(8 * size).reshape(8, size) % 256).astype(np.uint8)
    rows[-10:-8] = [[0], [255]]
    for i, offset in enumerate(at):
        rows[:, offset:offset + 2] = scales[:, i:i + 1].view(np.uint8)
    return rows


def ternary_weights():
    """Normal at many scales, ties, constants, tiny, huge."""
    rows = [rng.standard_normal(256) * s for s in [1e-39, 1e-30, 3e-8, 1e-6, 0.02, 1.0, 6e4, 1e9]]
    rows += [np.resize([1.0, 0.5, -0.5, 0.0, -1.0, 0.4999999, -0.50000006], 256)]
    rows += [np.full(256, x) for x in [0.0, -0.0, 1.0, -1.0, 1e-45, 65504.0, 65520.0, 3e38]]
    rows += [rng.integers(-1, 2, 256) * s for s in [1.0, 0.37, 2.0**-24, 2.0**-25]]
    row = rng.standard_normal(256) * 1e-3
    row[rng.integers(256)] = -1e4
    return np.array(rows + [row]).astype(np.float32)


def ggml_rmse(x, kind):
    """The error of ggml's own quantizer."""
    lib = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    weights, bytes_ = GGML_QUANT_SIZES[kind]
    out = np.zeros((len(x), x.shape[1] // weights * bytes_), dtype=np.uint8)
    written = lib.ggml_quantize_chunk(
        int(kind), x.ctypes.data, out.ctypes.data, 0, len(x), x.shape[1], None)
    assert written == out.size
    values = dequantize(out, kind).astype(np.float64)
    return float(np.sqrt(np.mean((values - x) ** 2)))


def save(name, array):
    np.save(os.path.join(HERE, "formats", name + ".npy"), np.ascontiguousarray(array))


def main():
    warnings.simplefilter("ignore")
    normal = rng.standard_normal((64, 256)).astype(np.float32)
    save("k_normal", normal)
    rmse = {}
    for kind in SCALES:
        name = kind.name.lower()
        raw = blocks(kind)
        save(name + ".blocks", raw)
        save(name + ".values", dequantize(raw, kind))
        if kind in TERNARY:
            x = ternary_weights()
            save(name + ".weights", x)
            save(name + ".encoded", quantize(x, kind))
        else:
            rmse[name] = ggml_rmse(normal, kind)
    with open(os.path.join(HERE, "k_rmse.json"), "w") as file:
        json.dump(rmse, file, indent=1)
        file.write("\n")


main()
