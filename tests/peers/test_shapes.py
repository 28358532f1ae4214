"""Other llama-shaped models, from their metadata alone: tiny random files of many shapes and types.

Each is held against float64, against llama.cpp on the same file, and against llama.cpp on its F32
copy.
"""

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


def check(mantissa, adapter, spec, path, path_f32, *arguments):
    """All three comparisons of one model."""
    tokens = tiny.tokens(spec, POSITIONS)
    truth = oracle.Llama(path)
    right = truth.logits(tokens)
    limit = FACTOR * truth.float32_error(tokens)
    given = mantissa.logits(path, tokens, *arguments, adapter=adapter)
    assert given.shape == right.shape
    error = np.abs(given - right).max()
    print(f"{spec.name} on {adapter}: |mantissa - f64| {error:.1e}, limit {limit:.1e}")
    assert error <= limit
    assert np.abs(given - llama.logits(path_f32, tokens)).max() <= 2 * limit
    same = llama.logits(path, tokens).astype(np.float64)
    assert ((given - same) ** 2).sum() / (same**2).sum() <= SAME_FILE_NMSE


@pytest.mark.parametrize("spec", tiny.SPECS, ids=lambda s: s.name)
def test_shape(spec, mantissa, adapter, tiny_model):
    check(mantissa, adapter, spec, tiny_model(spec.name), tiny_model(spec.name, f32=True))


@pytest.mark.parametrize("chunk", [1, 7, 16])
@pytest.mark.parametrize("name", ["gqa3_head80_bf16", "gqa8_head32_q5_0", "mixed_types"])
def test_chunks(name, chunk, mantissa, adapter, tiny_model):
    """However the prompt is cut, the kernels for few and for many rows agree."""
    check(mantissa, adapter, tiny.by_name(name), tiny_model(name), tiny_model(name, f32=True),
          "--chunk", chunk)


@pytest.mark.parametrize("without", ["f16", "subgroups", "limits", "f16,subgroups,limits"])
@pytest.mark.parametrize("name", ["gqa1_head128_f16", "mixed_types"])
def test_capabilities(name, without, mantissa, adapter, tiny_model):
    """Every fallback, on every machine."""
    check(mantissa, adapter, tiny.by_name(name), tiny_model(name), tiny_model(name, f32=True),
          "--without", without)
