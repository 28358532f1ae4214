"""Every GGUF type, end to end: a model that `mantissa quantize` puts into it, run by Mantissa, against
float64 on the weights as the `gguf` package decodes them, and against llama.cpp on the same file.
"""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

import llama
import oracle
import tiny
from test_shapes import FACTOR, SAME_FILE_NMSE

SOURCE = "blocks_of_256"
POSITIONS = 12
# Those of legacy types and floats are in tiny.SPECS.
TYPES = ("q2_k q3_k q4_k q5_k q6_k iq1_s iq1_m iq2_xxs iq2_xs iq2_s iq3_xxs iq3_s iq4_nl iq4_xs "
         "tq1_0 tq2_0 mxfp4 nvfp4").split()


@pytest.mark.parametrize("name", TYPES)
def test_type(name, mantissa, lavapipe, tiny_model, tmp_path):
    path = tmp_path / f"{name}.gguf"
    mantissa.run("quantize", tiny_model(SOURCE), "--format", name, "--out", path)
    kinds = {t.tensor_type for t in GGUFReader(path).tensors if len(t.shape) > 1}
    assert kinds == {GGMLQuantizationType[name.upper()]}
    tokens = tuple(tiny.tokens(tiny.by_name(SOURCE), POSITIONS))
    model = oracle.Llama(path)
    right, limit = model.logits(tokens), FACTOR * model.float32_error(tokens)
    given = mantissa.logits(path, tokens, adapter=lavapipe).astype(np.float64)
    error = np.abs(given - right).max()
    print(f"{name}: |mantissa - f64| {error:.1e}, limit {limit:.1e}")
    assert error <= limit
    peer = llama.logits(path, tokens).astype(np.float64)
    assert ((given - peer) ** 2).sum() / (peer**2).sum() <= SAME_FILE_NMSE
