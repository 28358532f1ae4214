"""The KV cache's formats on the default model: what they cost, and what is refused."""

import functools
from pathlib import Path

import numpy as np
import pytest

TOKENS = 512
# Within 0.1 % of f32's perplexity. f16 keeps 11 bits of each value where Q8_0
# keeps 8 of a block's largest, so it may cost no more.
SHARE = 1e-3


@pytest.fixture(scope="module")
def perplexity(mantissa, lavapipe, model, tmp_path_factory):
    """Perplexity of the start of the test text, by format."""
    text = tmp_path_factory.mktemp("kv") / "text.txt"
    prose = (Path(__file__).parent / "prose.txt").read_text()
    text.write_text(prose[: 4 * TOKENS])

    @functools.cache
    def of(kv_format):
        answer = mantissa.json("perplexity", "--model", model, "--file", text, "--kv-cache",
                               kv_format, adapter=lavapipe)
        return answer["perplexity"]

    return of


def test_perplexity_is_that_of_f32(perplexity):
    right = perplexity("f32")
    for kv_format in ("f16", "q8_0"):
        assert abs(perplexity(kv_format) / right - 1) <= SHARE, kv_format


def test_a_coarse_format_shows(perplexity):
    """The flag must reach the kernel: 3 bits of mantissa cannot be as good as f32."""
    assert perplexity("bfp:m3:n32") > 1.01 * perplexity("f32")


def test_formats_that_cannot_be_appended_to_are_wrong_usage(mantissa):
    for kv_format in ("q2_k", "iq2_xs", "int8", "nonesuch"):
        said = mantissa.run("run", "--prompt", "x", "--kv-cache", kv_format, code=2).err
        assert kv_format in said


@pytest.mark.parametrize("extra", [(), ("--temperature", "0.8", "--repeat-penalty", "1.3")])
def test_log_probabilities_are_those_of_float64(mantissa, lavapipe, model, extra, scratch):
    """log softmax of the prompt's last row of logits, in float64, and its best K."""
    prompt, most = "The harbour at Lindow had been built for", 7
    answer = mantissa.json("run", "--model", model, "--raw", "--prompt", prompt, "--max-tokens", 1,
                           "--logprobs", most, *extra, adapter=lavapipe)
    path = scratch / "row.npy"
    mantissa.run("logits", "--model", model, "--prompt", prompt, "--out", path, adapter=lavapipe)
    row = np.load(path)[-1].astype(np.float64)
    right = row - row.max() - np.log(np.exp(row - row.max()).sum())
    (token,) = answer["logprobs"]
    assert token["id"] == answer["token_ids"][0]
    assert [t["id"] for t in token["top"]] == list(np.argsort(-right, kind="stable")[:most])
    for one in [token, *token["top"]]:
        assert abs(one["logprob"] - right[one["id"]]) <= 1e-5
    mantissa.run("run", "--prompt", "x", "--logprobs", 3, code=2)
