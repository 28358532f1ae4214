"""Other llama-shaped models, from their metadata alone: tiny random files of many shapes and types.

Each is held against float64, against llama.cpp on the same file, and against llama.cpp on its F32
copy.
"""

from functools import lru_cache

import numpy as np
import pytest

import llama
import oracle
import tiny

POSITIONS = 48
# The limit is measured per model and input by evaluating the same formulas in float32 (oracle.py);
# that twin adds in blocks and vectors, with an error of some sqrt(K) roundings per dot product. A
# kernel may add one after the other, K roundings at worst: for K = 544, the longest here, a ratio of
# sqrt(544) = 23. exp and division of WGSL (3 + 2|x| and 2.5 ulp) come on top: hence 32.
FACTOR = 32
# On the same file llama.cpp quantizes its activations (Q8_0 and so on); its own yardstick for whole
# tiny models is a normalised mean squared error of 2e-3 (ggml, tests/test-backend-ops).
SAME_FILE_NMSE = 2e-3


@lru_cache
def truths(path, path_f32, tokens):
    """Float64's logits, the limit, and llama.cpp's on the F32 copy and on the file itself."""
    model = oracle.Llama(path)
    limit = FACTOR * model.float32_error(tokens)
    return model.logits(tokens), limit, llama.logits(path_f32, tokens), llama.logits(path, tokens)


def check(mantissa, adapter, name, tiny_model, *arguments):
    """All three comparisons of one model."""
    path, tokens = tiny_model(name), tuple(tiny.tokens(tiny.by_name(name), POSITIONS))
    right, limit, peer_f32, peer = truths(path, tiny_model(name, f32=True), tokens)
    given = mantissa.logits(path, tokens, *arguments, adapter=adapter).astype(np.float64)
    assert given.shape == right.shape
    error = np.abs(given - right).max()
    print(f"{name} on {adapter}: |mantissa - f64| {error:.1e}, limit {limit:.1e}")
    assert error <= limit
    assert np.abs(given - peer_f32).max() <= 2 * limit
    assert ((given - peer) ** 2).sum() / (peer.astype(np.float64) ** 2).sum() <= SAME_FILE_NMSE


@pytest.mark.parametrize("name", [spec.name for spec in tiny.SPECS])
def test_shape(name, mantissa, adapter, tiny_model):
    check(mantissa, adapter, name, tiny_model)


@pytest.mark.parametrize("chunk", [1, 7, 16])
@pytest.mark.parametrize("name", ["gqa3_head80_bf16", "gqa8_head32_q5_0", "mixed_types"])
def test_chunks(name, chunk, mantissa, adapter, tiny_model):
    """However the prompt is cut, the kernels for few and for many rows agree."""
    check(mantissa, adapter, name, tiny_model, "--chunk", chunk)


@pytest.mark.parametrize("without", ["f16", "subgroups", "limits", "f16,subgroups,limits"])
@pytest.mark.parametrize("name", ["gqa1_head128_f16", "mixed_types"])
def test_capabilities(name, without, mantissa, adapter, tiny_model):
    """Every fallback, on every machine."""
    check(mantissa, adapter, name, tiny_model, "--without", without)
