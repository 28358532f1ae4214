"""The measures themselves: float64 against llama.cpp, and proof that the comparison can fail."""

import numpy as np
import pytest

import llama
import oracle
import tiny

# Two float32 evaluations of one model, in different orders of summation: both stray from float64 by
# about the model's condition, llama.cpp by its own kernels' amount (its RoPE multiplies angles up in
# float32, its exp is an approximation). Measured: at most 2.2 times the float32 twin's error.
PEER_FACTOR = 8


@pytest.mark.parametrize("spec", tiny.SPECS, ids=lambda s: s.name)
def test_tiny_models(spec, tiny_model):
    tokens = tiny.tokens(spec, 40)
    truth = oracle.Llama(tiny_model(spec.name))
    given = llama.logits(tiny_model(spec.name, f32=True), tokens)
    limit = PEER_FACTOR * truth.float32_error(tokens)
    assert np.abs(given - truth.logits(tokens)).max() <= limit


def test_default_model(truth, model_f32, prose):
    tokens = prose[:128]
    assert np.abs(llama.logits(model_f32, tokens) - truth.logits(tokens)).max() <= 5e-4


def test_cache_gives_the_same(tiny_model):
    """A prefix in the cache changes nothing, wherever it was cut."""
    spec = tiny.by_name("gqa3_head64_q4_1")
    tokens = tiny.tokens(spec, 20)
    model = oracle.Llama(tiny_model(spec.name))
    whole = model.logits(tokens)
    for cut in (1, 7, 19):
        cache = oracle.Cache(model.layers)
        parts = [model.logits(tokens[:cut], cache), model.logits(tokens[cut:], cache)]
        assert np.abs(np.concatenate(parts) - whole).max() < 1e-10


def test_greedy(tiny_model):
    spec = tiny.by_name("gqa3_head80_bf16")
    tokens = tiny.tokens(spec, 8)
    ids, steps = oracle.Llama(tiny_model(spec.name)).greedy(tokens, 24, stop=(0, 2))
    with llama.Llama(tiny_model(spec.name, f32=True)) as peer:
        assert peer.end_tokens() == [0, 2]
        assert min(gap for _, _, gap in steps) > 1e-3, "no tie that rounding could decide"
        assert peer.greedy(tokens, 24) == ids


def mutants():
    """Wrong engines: (name of the model that should show it, what is wrong, how to break it)."""
    def pairs(m): m.pairs = "neox"
    def scaling(m): m.frequencies = m.frequencies * 4.0
    def factors(m): m.frequencies = m.frequencies * m.weights["rope_freqs.weight"]
    def base(m): m.frequencies = 10000.0 ** (-2 * np.arange(m.rotary // 2) / m.rotary)
    def eps(m): m.eps = 1e-6 + 1e-4
    def bias(m): m.weights["blk.0.attn_k.bias"] = 0 * m.weights["blk.0.attn_k.bias"]
    def head(m): m.weights["output.weight"] = m.weights["token_embd.weight"]

    def group(m):  # query heads read the other group's keys
        k = "blk.0.attn_k.weight"
        m.weights[k] = np.roll(m.weights[k], m.head, axis=0)

    def nibble(m):  # one quant of one block is off by one
        row = m.weights["blk.1.ffn_down.weight"][3, 32:64]
        row[5] += (row.max() - row.min()) / 15

    return [
        ("gqa1_head32_f32", pairs), ("linear_scaling", scaling), ("rope_factors", factors),
        ("gqa1_head64_q4_0", base), ("gqa1_head32_f32", eps), ("bias_attention", bias),
        ("mixed_types", head), ("gqa3_head64_q4_1", nibble), ("rope_factors", group),
    ]


@pytest.mark.parametrize("name,mutate", mutants(), ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_the_net_is_proven(name, mutate, tiny_model):
    """An engine with this one mistake would be caught by the limit that test_shapes.py sets."""
    from test_shapes import FACTOR, POSITIONS
    tokens = tiny.tokens(tiny.by_name(name), POSITIONS)
    right = oracle.Llama(tiny_model(name))
    wrong = oracle.Llama(tiny_model(name))
    mutate(wrong)
    difference = np.abs(wrong.logits(tokens) - right.logits(tokens)).max()
    assert difference > 2 * FACTOR * right.float32_error(tokens)
