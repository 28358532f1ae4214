"""Golden data of the minifloats: pip install numpy ml_dtypes==0.6

Values of codes are made from the definition, rounding by comparison with the exact middles of
neighbours; where ml_dtypes has the element, it must agree on both.

minifloat.values.npy    f32 [k, 256]: of each kind of element, in the order of KINDS, the value of each
                        code (narrow kinds: 0 behind their codes)
minifloat.weights.npy   f32 [k, 416]: middles of neighbours, the floats beside them, the largest element
minifloat.codes.npy     u8 [k, 416]: their codes
X.blocks, X.values, X.encoded, X.weights: as in make_formats.py, for the members in SAMPLES
"""

import os

import ml_dtypes as ml
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formats")
rng = np.random.default_rng(20250303)

SIZES = [(e, m) for e in range(1, 8) for m in range(8 - e) if e + m > 1]
KINDS = [(e, m, False) for e, m in SIZES] + [(e, m, True) for e, m in SIZES if e > 1 and m > 0]
# As in src/formats/minifloat.rs.
SAMPLES = """e4m3:n32 e5m2:ieee:row e2m0:n16 e2m1:n16 e1m3:n64 e3m2:n64 e2m4:ieee:n128 e7m0:n32""".split()
KNOWN = {
    (3, 4, True): ml.float8_e3m4,
    (4, 3, True): ml.float8_e4m3,
    (5, 2, True): ml.float8_e5m2,
    (2, 3, False): ml.float6_e2m3fn,
    (3, 2, False): ml.float6_e3m2fn,
    (2, 1, False): ml.float4_e2m1fn,
}


def positive(kind):
    """The values of the codes without a sign, in f64; exact."""
    e, m, ieee = kind
    code = np.arange(1 << (e + m))
    field, mantissa = code >> m, (code & ((1 << m) - 1)) / 2.0**m
    bias = 2 ** (e - 1) - 1
    normal = np.ldexp(1 + mantissa, field - bias)
    value = np.where(field == 0, np.ldexp(mantissa, 1 - bias), normal)
    special = np.where(mantissa == 0, np.inf, np.nan)
    return np.where((field == 2**e - 1) & ieee, special, value)


def numbers(kind):
    values = positive(kind)
    return values[np.isfinite(values)]


def table(kind):
    values = positive(kind)
    return np.concatenate([values, -values]).astype(np.float32)


def encode(kind, x):
    """Nearest codes, ties to even, saturating. x is f32, so that all comparisons in f64 are exact."""
    values = numbers(kind)
    middles = (values[1:] + values[:-1]) / 2
    size = np.abs(x).astype(np.float64)
    code = np.searchsorted(middles, size, side="left")
    tie = size == np.append(middles, np.inf)[code]
    code = code + (tie & (code % 2 == 1))
    code = (code | np.where(np.signbit(x), len(positive(kind)), 0)).astype(np.uint8)
    if kind in KNOWN:
        top = np.float32(values[-1])
        assert (np.clip(x, -top, top).astype(KNOWN[kind]).view(np.uint8) == code).all()
    return code


def ties(kind):
    values = numbers(kind)
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    x = np.stack([middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(np.inf))])
    x = x.reshape(-1) * rng.choice([-1, 1], x.size)
    rest = rng.uniform(-1, 1, 415 - len(x)) * 2.0 ** rng.uniform(-9, 0, 415 - len(x)) * values[-1]
    return np.concatenate([[values[-1]], x, rest]).astype(np.float32)


def parse(name):
    parts = name.split(":")
    e, m = parts[0][1:].split("m")
    scope = 0 if parts[-1] == "row" else int(parts[-1][1:])
    return (int(e), int(m), "ieee" in parts), scope


def power(kind):
    """2^k: the largest element is 1 to 2 times that."""
    return np.float32(2.0 ** np.floor(np.log2(numbers(kind)[-1])))


def stream(codes, bits):
    each = (codes[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(each.reshape(len(codes), -1), axis=1, bitorder="little")


def bits(kind):
    return 1 + kind[0] + kind[1]


def in_front(scales, codes):
    """Scales [n] of any type in front of rows of bytes."""
    return np.concatenate([scales.view(np.uint8).reshape(len(codes), -1), codes], axis=1)


def encode_rows(name, x):
    kind, scope = parse(name)
    largest = np.float32(numbers(kind)[-1])
    block = x.reshape(-1, scope or 32)
    peak = np.abs(block).max(axis=1)
    if scope == 0:
        stored = scale = peak / largest
    else:
        stored = (peak / (largest / power(kind))).astype(np.float16)
        scale = stored.astype(np.float32) / power(kind)
    quotient = np.divide(block, scale[:, None], where=scale[:, None] > 0, out=np.zeros_like(block))
    zero = (scale[:, None] == 0) | ~np.isfinite(scale[:, None])
    # Where a row's scale is 0, so is each quotient; where a block's is none, each code is 0.
    codes = np.where(zero, 0, encode(kind, np.where(zero, np.float32(0), quotient))).astype(np.uint8)
    return in_front(stored, stream(codes, bits(kind))).reshape(len(x), -1)


def blocks(name):
    """Every code under scales of every kind."""
    kind, scope = parse(name)
    values = table(kind)
    length = scope or 32
    codes = np.resize(np.arange(len(values), dtype=np.uint8), max(len(values), length))
    codes = codes.reshape(-1, length)
    if scope == 0:
        edges = np.array([1, 1e-3, -2.5, 1e-38, 1e-44, 0, -0.0, np.inf, np.nan, 3e38], dtype=np.float32)
    else:
        edges = np.array(
            [0, 1, 2, 0x3FF, 0x400, 0x401, 0x3C00, 0x3555, 0x7BFF, 0x7C00, 0x7E01, 0x8000, 0x8001, 0xBC01],
            dtype=np.uint16).view(np.float16)
    scales = np.repeat(edges, len(codes))
    codes = np.concatenate([codes] * len(edges))
    d = scales if scope == 0 else scales.astype(np.float32) / power(kind)
    return in_front(scales, stream(codes, bits(kind))), values[codes] * d[:, None]


def save(name, array):
    np.save(os.path.join(OUT, name.replace(":", "-") + ".npy"), np.ascontiguousarray(array))


def main():
    tables, weights, codes = [], [], []
    for kind in KINDS:
        values = table(kind)
        if kind in KNOWN:
            known = np.arange(len(values), dtype=np.uint8).view(KNOWN[kind]).astype(np.float32)
            assert np.array_equal(values, known, equal_nan=True)
            assert (np.signbit(values) == np.signbit(known))[~np.isnan(values)].all()
        tables.append(np.pad(values, (0, 256 - len(values))))
        weights.append(ties(kind))
        codes.append(encode(kind, weights[-1]))
    save("minifloat.values", tables)
    save("minifloat.weights", weights)
    save("minifloat.codes", codes)
    shared = np.load(os.path.join(OUT, "weights.npy"))
    for name in SAMPLES:
        columns = max(parse(name)[1], 32)
        x = shared[: len(shared) * 32 // columns * columns // 32].reshape(-1, columns)
        with np.errstate(all="ignore"):
            save(name + ".encoded", encode_rows(name, x))
            raw, values = blocks(name)
        if columns > 32:
            save(name + ".weights", x)
        save(name + ".blocks", raw)
        save(name + ".values", values)


main()
