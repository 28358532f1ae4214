"""`mantissa op`: each kernel alone, held against numpy and the `gguf` package on both adapters."""

import os
import stat

import numpy as np
import pytest
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

FORMATS = {t.name.lower(): t for t in (
    T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0)}
# Where the block's f16 fields lie (ggml-common.h); the rest is quants, any bits of which are valid.
F16_FIELDS = {"q4_0": (0,), "q4_1": (0, 2), "q5_0": (0,), "q5_1": (0, 2), "q8_0": (0,), "f16": (0,)}
# What is added to every weight of a block: w = d·q − offset·d. Zero where w = d·q + m.
OFFSETS = {"q4_0": 8, "q5_0": 16}
U = 2.0**-24  # unit roundoff of float32
SUBNORMAL = 2.0**-126


def generator(*seed):
    return np.random.default_rng([sum(map(ord, str(s))) for s in seed])


def blocks_of(name, w):
    """Weights as the format's bytes, uint8 [rows, bytes]."""
    if name in ("f32", "f16"):
        return w.astype({"f32": "<f4", "f16": "<f2"}[name]).view(np.uint8)
    return quantize(w, FORMATS[name]).view(np.uint8)


def decoded(name, blocks):
    """What gguf makes of the bytes, float32 [rows, K]."""
    if name in ("f32", "f16"):
        return blocks.view({"f32": "<f4", "f16": "<f2"}[name]).astype(np.float32)
    return dequantize(blocks, FORMATS[name])


def random_blocks(name, rows, k, rng):
    """Random bytes, so every quant and scale, the extreme ones too; no infinity and no NaN."""
    length, size = GGML_QUANT_SIZES[FORMATS[name]]
    blocks = rng.integers(0, 256, (rows, k // length, size), dtype=np.uint8)
    if name in ("f32", "bf16"):
        bits = blocks.view({"f32": "<u4", "bf16": "<u2"}[name])
        exponent = {"f32": 0x7F800000, "bf16": 0x7F80}[name]
        bits[(bits & exponent) == exponent] &= ~np.array(exponent, bits.dtype)
    for at in F16_FIELDS.get(name, ()):
        half = blocks[..., at + 1]
        half[(half & 0x7C) == 0x7C] &= 0x83  # exponent 31 becomes 0: a subnormal
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("name", FORMATS)
def test_dequantize_is_exact(name, mantissa, adapter):
    """Bit for bit, but for the sign of a zero, and for results that are subnormal in float32, which
    WGSL allows a device to flush (SwiftShader does)."""
    blocks = random_blocks(name, 37, 96, generator(name))
    right = decoded(name, blocks)
    given = mantissa.op("dequantize", adapter, arguments=("--format", name), x=blocks)
    assert given.shape == right.shape and given.dtype == np.float32
    flushed = (np.abs(right) < SUBNORMAL) & (given == 0)
    assert np.array_equal(np.where(flushed, 0, right), given)


@pytest.mark.parametrize("name", FORMATS)
def test_dequantize_rounds_to_bits(name, mantissa, adapter):
    """One block, and more rows than a dispatch's dimension holds groups of some hundreds."""
    for rows, k in [(1, 32), (2049, 32)]:
        blocks = blocks_of(name, generator(name, rows).standard_normal((rows, k)).astype(np.float32))
        given = mantissa.op("dequantize", adapter, arguments=("--format", name), x=blocks)
        assert np.array_equal(given, decoded(name, blocks))


def quantize_input(rng):
    """Rows of ordinary values, plus the awkward ones."""
    x = rng.standard_normal((40, 96)).astype(np.float32)
    x[1] = 0
    x[2] = 3.25  # a range of zero
    x[3, ::7] *= 1e4
    x[4] *= 1e-9  # the scale is zero in f16
    x[5] = np.abs(x[5]) + 1
    x[6] = -np.abs(x[6])
    x[7, 5] = 6e4
    return x


@pytest.mark.parametrize("name", FORMATS)
def test_quantize(name, mantissa, adapter):
    """Plain formats bit for bit; block formats as near to the weights as gguf's own quantizer.

    WGSL divides within 2.5 ulp, so a scale may round to the neighbouring f16, 2^-10 away at most:
    times the largest quant (16 for the four-bit types, 128 for Q8_0), plus a quant on a tie that
    rounds the other way, which costs nothing.
    """
    x = quantize_input(generator("quantize", name))
    given = mantissa.op("quantize", adapter, arguments=("--format", name), x=x)
    right = blocks_of(name, x)
    assert given.dtype == np.uint8 and given.shape == right.shape
    if name in ("f32", "f16", "bf16"):
        assert np.array_equal(given, right)
        return
    length, size = GGML_QUANT_SIZES[FORMATS[name]]
    shape = (len(x), -1, length)
    ours = np.abs(decoded(name, given).astype(np.float64) - x).reshape(shape)
    theirs = np.abs(decoded(name, right).astype(np.float64) - x).reshape(shape)
    step = np.abs(right.reshape(len(x), -1, size)[..., :2].copy().view("<f2").astype(np.float64))
    slack = step * (16 if length == 32 and name != "q8_0" else 128) * 2.0**-10
    # The offset (m, or the block's largest value) is itself rounded to f16.
    slack = slack + np.abs(x).reshape(shape).max(axis=-1, keepdims=True) * 2.0**-10 * (name[-1] == "1")
    assert np.all(ours <= theirs + slack)
    same = np.mean(np.all(given.reshape(-1, size) == right.reshape(-1, size), axis=1))
    assert same >= 0.9, f"only {same:.1%} of the blocks are gguf's"


def matmul_limit(name, blocks, w, x):
    """(K + 2)·u·Σ|w·x|, the bound of a dot product of K float32 products in any order.

    A kernel may split w = d·q + m into two sums, which then cancel: |d·q| ≤ |w| + |m|, so the sum
    is over |w| + 2|m|, m being the block's minimum or offset·d. Products below 2^-126 may flush.
    """
    k = w.shape[1]
    magnitude = np.abs(w).astype(np.float64)
    if name in OFFSETS or name in ("q4_1", "q5_1"):
        _, size = GGML_QUANT_SIZES[FORMATS[name]]
        fields = blocks.reshape(len(w), -1, size)[..., :4].copy().view("<f2").astype(np.float64)
        m = fields[..., 1] if name not in OFFSETS else fields[..., 0] * OFFSETS[name]
        magnitude += 2 * np.repeat(np.abs(m), 32, axis=1)
    return (k + 2) * U * (np.abs(x).astype(np.float64) @ magnitude.T) + k * SUBNORMAL


SHAPES = [  # (M, N, K): decode, few rows, a prompt; sizes that no tile divides
    (1, 1, 32), (1, 257, 576), (3, 31, 96), (9, 5, 1056), (33, 129, 160), (128, 67, 352),
]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
def test_matmul(name, shape, mantissa, adapter):
    m, n, k = shape
    rng = generator("matmul", name, shape)
    blocks = blocks_of(name, rng.standard_normal((n, k)).astype(np.float32))
    x = rng.standard_normal((m, k)).astype(np.float32)
    check_matmul(mantissa, adapter, name, blocks, x)


def check_matmul(mantissa, adapter, name, blocks, x, *arguments):
    w = decoded(name, blocks)
    given = mantissa.op("matmul", adapter, arguments=("--format", name, *arguments),
                        weights=blocks, x=x)
    right = x.astype(np.float64) @ w.astype(np.float64).T
    assert given.shape == right.shape and given.dtype == np.float32
    assert np.all(np.abs(given - right) <= matmul_limit(name, blocks, w, x))


@pytest.mark.parametrize("name", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("k", [65, 80, 588])
def test_matmul_odd_k(name, k, mantissa, adapter):
    """Plain formats have a block of one: any K (ggml's own list of lengths)."""
    rng = generator("odd", name, k)
    blocks = blocks_of(name, rng.standard_normal((17, k)).astype(np.float32))
    for m in (1, 16):
        check_matmul(mantissa, adapter, name, blocks, rng.standard_normal((m, k)).astype(np.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_matmul_extremes(name, mantissa, adapter):
    """Activations of very different sizes, zeros, and outliers in one channel."""
    rng = generator("extremes", name)
    blocks = blocks_of(name, rng.standard_normal((45, 192)).astype(np.float32) * 0.02)
    x = (rng.standard_normal((5, 192)) * 10.0 ** rng.integers(-4, 4, (5, 192))).astype(np.float32)
    x[1] = 0
    x[2, 17] = 1e6
    check_matmul(mantissa, adapter, name, blocks, x)
    check_matmul(mantissa, adapter, name, blocks, x[2:3])


@pytest.mark.parametrize("without", ["f16", "subgroups", "limits", "f16,subgroups,limits"])
@pytest.mark.parametrize("name", ["f16", "q4_1", "q8_0"])
def test_matmul_without(name, without, mantissa, adapter):
    rng = generator("without", name)
    blocks = blocks_of(name, rng.standard_normal((130, 288)).astype(np.float32))
    for m in (1, 20):
        x = rng.standard_normal((m, 288)).astype(np.float32)
        check_matmul(mantissa, adapter, name, blocks, x, "--without", without)


@pytest.mark.parametrize("name", FORMATS)
def test_matmul_quantizes_f32_weights(name, mantissa, adapter):
    """Weights given in f32 are quantized first, as `op quantize` does it."""
    rng = generator("f32 weights", name)
    w = rng.standard_normal((19, 64)).astype(np.float32)
    x = rng.standard_normal((4, 64)).astype(np.float32)
    blocks = mantissa.op("quantize", adapter, arguments=("--format", name), x=w)
    given = mantissa.op("matmul", adapter, arguments=("--format", name), weights=w, x=x)
    right = x.astype(np.float64) @ decoded(name, blocks).astype(np.float64).T
    assert np.all(np.abs(given - right) <= matmul_limit(name, blocks, decoded(name, blocks), x))


def softmax(x):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_limit(x, y):
    """WGSL's exp is within 3 + 2|x| ulp (6 + 4|x| roundings) of its argument x − max, whose own
    rounding costs |x − max| more. The sum inherits its terms' errors, weighted by y, and adds at
    most N/32 times in a lane and 32 times across; division is within 2.5 ulp.
    """
    distance = np.minimum(x.max(axis=-1, keepdims=True).astype(np.float64) - x, 104)
    term = 6 + 5 * distance
    total = np.sum(y * term, axis=-1, keepdims=True) + x.shape[-1] / 32 + 32
    return y * (term + total + 5) * U + SUBNORMAL


def softmax_cases():
    rng = generator("softmax")
    normal = rng.standard_normal
    huge = normal((3, 129)) * 1e4
    masked = normal((6, 77))
    masked[:, 50:] = -np.inf
    masked[2, 1:] = -np.inf
    far = normal((4, 1000)) * 30
    extreme = normal((2, 65))
    extreme[0, 3], extreme[1, 4] = 3e38, -3e38
    cases = {
        "one": normal((1, 1)), "odd": normal((3, 7)), "three_axes": normal((2, 3, 33)),
        "vector": normal(500), "rows": normal((64, 257)), "workgroup": normal((5, 1024)),
        "vocabulary": normal((1, 49152)) * 4, "long": normal((2, 200001)), "equal": np.ones((2, 333)),
        "huge": huge, "masked": masked, "far": far, "extreme": extreme,
    }
    return {name: x.astype(np.float32) for name, x in cases.items()}


@pytest.mark.parametrize("case", softmax_cases())
def test_softmax(case, mantissa, adapter):
    x = softmax_cases()[case]
    right = softmax(x)
    given = mantissa.op("softmax", adapter, x=x)
    assert given.shape == x.shape and given.dtype == np.float32
    assert np.all(np.abs(given - right) <= softmax_limit(x, right))


@pytest.mark.parametrize("algorithm", ["two-pass", "three-pass", "online"])
def test_softmax_options(algorithm, mantissa, adapter):
    """Scale, temperature, mask and causal limit together, and the logarithm, by each algorithm. The
    argument is rounded twice on its way (scale, mask); its size is what those roundings cost."""
    rng = generator("options")
    x = (rng.standard_normal((6, 300)) * 5).astype(np.float32)
    mask = rng.standard_normal((3, 300)).astype(np.float32)
    mask[1, ::3] = -np.inf
    z = x.astype(np.float64) * np.float64(np.float32(0.5) / np.float32(0.75)) + np.tile(mask, (2, 1))
    z[np.arange(300)[None] > 100 + np.arange(6)[:, None]] = -np.inf
    right = softmax(z)
    limit = softmax_limit(np.where(np.isinf(z), -104, z), right) + right * 4 * U * 30
    common = ("--algorithm", algorithm, "--scale", "0.5", "--temperature", "0.75", "--causal", "100",
              "--deterministic")
    given = mantissa.op("softmax", adapter, arguments=common, x=x, mask=mask)
    logs = mantissa.op("softmax", adapter, arguments=(*common, "--log"), x=x, mask=mask)
    assert np.all(np.abs(given - right) <= limit)
    seen = right > 0
    assert np.all(np.isneginf(logs[~seen]))
    assert np.all(np.abs(logs[seen] - np.log(right[seen])) <= 1e-5)


def test_softmax_of_nothing_and_of_nan(mantissa, adapter):
    """An all-masked row gives zeros; +inf or NaN gives NaN across that row and no other."""
    x = generator("nan").standard_normal((5, 70)).astype(np.float32)
    x[1], x[2, 9], x[3, 60] = -np.inf, np.inf, np.nan
    given = mantissa.op("softmax", adapter, x=x)
    assert np.all(given[1] == 0)
    assert np.all(np.isnan(given[2])) and np.all(np.isnan(given[3]))
    assert np.all(np.abs(given[[0, 4]] - softmax(x[[0, 4]])) <= 1e-6)


@pytest.mark.parametrize("arguments,arrays", [
    (("matmul", "q4_1"), {"weights": np.zeros((4, 21), np.uint8), "x": np.zeros((1, 32), np.float32)}),
    (("matmul", "q4_1"), {"weights": np.zeros((4, 20), np.uint8), "x": np.zeros((1, 64), np.float32)}),
    (("matmul", "q4_1"), {"weights": np.zeros((4, 20), np.uint8), "x": np.zeros((1, 32), np.int32)}),
    (("matmul", "q4_1"), {"weights": np.zeros((0, 20), np.uint8), "x": np.zeros((1, 32), np.float32)}),
    (("dequantize", "q8_0"), {"x": np.zeros((4, 33), np.uint8)}),
    (("dequantize", "q8_0"), {"x": np.zeros((4, 34), np.float32)}),
    (("dequantize", "nonesuch"), {"x": np.zeros((4, 34), np.uint8)}),
    (("quantize", "q4_0"), {"x": np.zeros((4, 33), np.float32)}),
    (("quantize", "q4_0"), {"x": np.zeros((), np.float32)}),
    (("softmax", None), {"x": np.zeros((4, 33), np.float64)}),
    (("softmax", None), {"x": np.zeros((0, 33), np.float32)}),
    (("softmax", None), {"x": np.asfortranarray(np.ones((4, 3), np.float32))}),
], ids=lambda v: v[0] if isinstance(v, tuple) else "-".join(f"{a.dtype}{a.shape}" for a in v.values()))
def test_wrong_arrays(arguments, arrays, mantissa, lavapipe):
    """Refused with the shape or type named, or right: never a crash, never a file of nonsense."""
    operation, name = arguments
    options = ("--format", name) if name else ()
    result = mantissa.op(operation, lavapipe, arguments=options, code=None, **arrays)
    if isinstance(result, np.ndarray):
        right = softmax(arrays["x"]) if operation == "softmax" else np.zeros((1, 0))
        assert result.shape == right.shape and np.allclose(result, right, atol=1e-6)
    else:
        assert result.code in (1, 2) and result.err.strip(), str(result)


def test_a_pipe_and_a_link_stay_what_they_are(mantissa, adapter, tmp_path):
    x = generator("pipe").standard_normal((3, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    pipe, link, target = tmp_path / "pipe", tmp_path / "link.npy", tmp_path / "target.npy"
    os.mkfifo(pipe)
    target.touch()
    link.symlink_to(target)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # the pipe holds more than this array
    for out in (pipe, link):
        mantissa.run("op", "softmax", "--in", tmp_path / "x.npy", "--out", out, "--adapter",
                     adapter.substring, adapter=adapter)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and link.is_symlink()
    assert os.read(reader, 1 << 16) == target.read_bytes()
    os.close(reader)
    e = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(np.load(target), e / e.sum(1, keepdims=True), rtol=1e-6)
