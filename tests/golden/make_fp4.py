"""Golden data of GGUF's MXFP4 and NVFP4 and of NVFP4 with a scale for the tensor:
pip install numpy gguf==0.19 ml_dtypes==0.6 xllamacpp

formats/mxfp4.*         gguf.quants, which must agree with ggml's C on what both define
formats/nvfp4.*         values of gguf.quants; bytes of ggml's own quantizer, out of xllamacpp's library,
                        since gguf.quants has none
formats/nvfp4_scaled.*  the definition, by ml_dtypes's casts

X.weights.npy f32 [n, k] are what X.encoded.npy u8 [n, bytes] is made of.
"""

import ctypes
import glob
import os

import ml_dtypes as ml
import numpy as np
import xllamacpp
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20250302)
GGML = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])


def ggml(quantizer, x, size):
    """A row quantizer of ggml's, `size` bytes to a row of x."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    out = np.zeros((len(x), size), dtype=np.uint8)
    function = getattr(GGML, quantizer)
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function(x.ctypes.data, out.ctypes.data, x.size)
    return out


def near_powers():
    """Rows whose peak is one of the floats just below or above a power of two."""
    rows = []
    for exponent in [-149, -140, -128, -126, -125, -65, -64, -33, -17, -8, -3, -2, -1, 0]:
        for power in {exponent, min(-exponent, 127)}:
            bits = int(np.float32(2.0**power).view(np.uint32))
            for below in [0, 1, 2, 3, 5, 6, 11, 12, 22, 23, 44, 45, 88, 89]:
                peak = np.array([max(bits - below, 0)], dtype=np.uint32).view(np.float32)
                with np.errstate(under="ignore"):
                    row = rng.uniform(-1, 1, 32).astype(np.float32) * peak
                row[rng.integers(32)] = rng.choice([-1, 1]) * peak[0]
                rows.append(row)
    return np.array(rows)


def middles(d):
    """Middles between neighbours under d, and the floats around them, in rows of 16."""
    k = np.array([0, 1, 2, 3, 4, 6, 8, 12], dtype=np.float32)
    middle = ((k[1:] + k[:-1]) / 2).astype(np.float32) * d
    x = np.concatenate([middle, np.nextafter(middle, np.float32(1e30)), np.nextafter(middle, np.float32(0))])
    x = x * rng.choice([-1, 1], len(x)).astype(np.float32)
    x = np.concatenate([x[:15], [12 * d], x[15:], np.full(10, -12 * d, dtype=np.float32)])
    return x[:32].reshape(2, 16)


def mxfp4():
    ties = [middles(np.float32(2.0**e)).reshape(32) for e in (-120, -30, -3, 0, 20, 120)]
    x = np.concatenate([np.load(os.path.join(OUT, "weights.npy")), near_powers(), ties])
    x = x.astype(np.float32)
    with np.errstate(all="ignore"):
        encoded = quantize(x, T.MXFP4)
    assert (encoded == ggml("quantize_row_mxfp4_ref", x, 17)).all()
    save("mxfp4.weights", x)
    save("mxfp4.encoded", encoded)
    # All codes under every scale.
    qs = np.resize(np.arange(256, dtype=np.uint8), 8192)[rng.permutation(8192)][:4096].reshape(256, 16)
    qs[:, :4] = np.arange(0x10, 0x110, 0x44, dtype=np.uint8) ^ rng.integers(0, 256, (256, 1), dtype=np.uint8)
    save_blocks("mxfp4", np.concatenate([np.arange(256, dtype=np.uint8)[:, None], qs], axis=1), T.MXFP4)


def sixteens(rows):
    """Rows of 64, each 16 at a scale of its own: E4M3's rounding at and near its ties, and beyond."""
    x = list(rng.standard_normal((rows, 4, 16)) * 2.0 ** rng.uniform(-14, 14, (rows, 4, 1)))
    codes = np.arange(0x80, dtype=np.uint8).view(ml.float8_e4m3fn).astype(np.float32)[:0x7F]
    for scale in [(a + b) / 2 for a, b in zip(codes[:-1], codes[1:])]:
        four = rng.uniform(-6, 6, (4, 16)).astype(np.float32) * scale
        peak = np.float32(6 * scale)
        four[:, 3] = [peak, -peak, np.nextafter(peak, np.float32(0)), np.nextafter(peak, np.float32(1e9))]
        x.append(four)
    for code in [1, 7, 8, 9, 30, 0x38, 0x39, 0x3F, 0x70, 0x77, 0x7E]:
        x.append(middles(codes[code] / 2)[[0, 1, 0, 1]])
    # So far above the largest scale that distances are equal once rounded.
    for power in [11, 20, 30, 33, 34, 35, 40, 100, 127]:
        x.append(rng.uniform(-1, 1, (4, 16)) * 2.0**power)
    return np.array(x).astype(np.float32).reshape(-1, 64)


def nvfp4():
    shared = np.load(os.path.join(OUT, "weights.npy"))
    x = np.concatenate([shared[: len(shared) // 2 * 2].reshape(-1, 64), sixteens(40)])
    save("nvfp4.weights", x)
    save("nvfp4.encoded", ggml("quantize_row_nvfp4_ref", x, 36))
    scales = rng.permutation(np.arange(256, dtype=np.uint8)).reshape(64, 4)
    blocks = np.concatenate([scales, rng.integers(0, 256, (64, 32)).astype(np.uint8)], axis=1)
    save_blocks("nvfp4", blocks, T.NVFP4)


def e4m3(x):
    return np.clip(x, 0, 448).astype(ml.float8_e4m3fn)


def e2m1(x):
    return np.clip(x, -6, 6).astype(ml.float4_e2m1fn)


def pack(scales, codes):
    """Scales u8 [n, 4] and codes u8 [n, 64] as blocks."""
    c = codes.reshape(-1, 4, 16)
    return np.concatenate([scales, (c[:, :, :8] | c[:, :, 8:] << 4).reshape(-1, 32)], axis=1)


def with_scale(scale, blocks):
    """The tensor's f32 in front of each row."""
    front = np.full((len(blocks), 1), scale, dtype="<f4").view(np.uint8)
    return np.concatenate([front, blocks], axis=1)


def nvfp4_scaled():
    # One tensor of many scales, with 16s so small that d becomes subnormal, and then 0.
    x = rng.standard_normal((48, 4, 16)) * 0.02 * 2.0 ** rng.uniform(-20, 0, (48, 4, 1))
    x[0, 0, 0] = -0.125
    x = x.astype(np.float32).reshape(-1, 64)
    scale = np.abs(x).max() / np.float32(2688)
    y = (x / scale).reshape(-1, 16)
    d = e4m3(np.abs(y).max(axis=1) / np.float32(6))
    step = d.astype(np.float32)[:, None]
    with np.errstate(all="ignore"):
        codes = np.where(step > 0, e2m1(np.nan_to_num(y / step)).view(np.uint8), 0).astype(np.uint8)
    save("nvfp4_scaled.weights", x)
    save("nvfp4_scaled.encoded", with_scale(scale, pack(d.view(np.uint8).reshape(-1, 4), codes)))
    # Every E4M3 that is a number. Code 8 is −0 in ml_dtypes and +0 here.
    scales = np.resize(rng.permutation(np.arange(0x7F, dtype=np.uint8)), 128)
    codes = rng.integers(0, 16, (128, 16)).astype(np.uint8)
    values = np.where(codes == 8, 0, codes.view(ml.float4_e2m1fn).astype(np.float32))
    values = values * scales.view(ml.float8_e4m3fn).astype(np.float32)[:, None]
    scale = np.float32(1.2345e-3)
    save("nvfp4_scaled.blocks", with_scale(scale, pack(scales.reshape(-1, 4), codes)))
    save("nvfp4_scaled.values", (values * scale).reshape(-1, 64))


def save_blocks(name, blocks, kind):
    save(name + ".blocks", blocks)
    with np.errstate(over="ignore"):
        save(name + ".values", dequantize(blocks, kind))


def save(name, array):
    np.save(os.path.join(OUT, name + ".npy"), np.ascontiguousarray(array))


mxfp4()
nvfp4()
nvfp4_scaled()
