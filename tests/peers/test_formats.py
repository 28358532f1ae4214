"""Every GGUF type: one multiplication against float64 and ggml's; and end to end, a model that
`mantissa quantize` puts into it, against float64 on the weights as the `gguf` package decodes them and
against llama.cpp on the same file.
"""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

import ggml
import llama
import oracle
import tiny
from test_shapes import FACTOR, SAME_FILE_NMSE

SOURCE = "blocks_of_256"
POSITIONS = 12
# Models of legacy types and floats are in tiny.SPECS.
LEGACY = "f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0".split()
TYPES = ("q2_k q3_k q4_k q5_k q6_k iq1_s iq1_m iq2_xxs iq2_xs iq2_s iq3_xxs iq3_s iq4_nl iq4_xs "
         "tq1_0 tq2_0 mxfp4 nvfp4").split()


# MUL_MAT's limit in ggml's tests/test-backend-ops, for their rounding of x to 8 bits. Ours is float32's:
# K = 256 roundings at worst are 1.5e-5 of Σ|w·x|, at random 16 times less; squared, 1e-12, and 1e-10
# leaves room for rows in which the products cancel.
MUL_MAT_NMSE, FLOAT32_NMSE = 5e-4, 1e-10


def nmse(given, right):
    return ((given - right) ** 2).sum() / (right**2).sum()


@pytest.mark.parametrize("name", LEGACY + TYPES)
def test_multiplication(name, mantissa, adapter):
    """ggml's own shapes: 16 rows of 256 weights, 1 to 9 rows of x."""
    rng = np.random.default_rng(7)
    kind = GGMLQuantizationType[name.upper()]
    w = rng.standard_normal((16, 256)).astype(np.float32)
    blocks = mantissa.op("quantize", adapter, x=w, arguments=["--format", name])
    decoded = dequantize(blocks, kind).reshape(w.shape).astype(np.float64)
    for m in (1, 2, 8, 9):
        x = rng.standard_normal((m, 256)).astype(np.float32)
        y = mantissa.op("matmul", adapter, weights=blocks, x=x, arguments=["--format", name])
        right, peer = x @ decoded.T, ggml.mul_mat(kind, blocks, x).astype(np.float64)
        assert nmse(y, right) <= FLOAT32_NMSE
        assert nmse(y, peer) <= MUL_MAT_NMSE


@pytest.mark.parametrize("name", TYPES)
def test_model(name, mantissa, adapter, tiny_model, tmp_path):
    path = tmp_path / f"{name}.gguf"
    mantissa.run("quantize", tiny_model(SOURCE), "--format", name, "--out", path)
    kinds = {t.tensor_type for t in GGUFReader(path).tensors if len(t.shape) > 1}
    assert kinds == {GGMLQuantizationType[name.upper()]}
    tokens = tuple(tiny.tokens(tiny.by_name(SOURCE), POSITIONS))
    model = oracle.Llama(path)
    right, limit = model.logits(tokens), FACTOR * model.float32_error(tokens)
    given = mantissa.logits(path, tokens, adapter=adapter).astype(np.float64)
    error = np.abs(given - right).max()
    print(f"{name}: |mantissa - f64| {error:.1e}, limit {limit:.1e}")
    assert error <= limit
    peer = llama.logits(path, tokens).astype(np.float64)
    assert nmse(given, peer) <= SAME_FILE_NMSE
