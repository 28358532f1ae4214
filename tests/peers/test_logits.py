"""The default model against float64: logits of every position, and the greedy continuation."""

import numpy as np
import pytest

POSITIONS = 128
LIMIT = 2e-3  # absolute; the float32 twin of the oracle strays by 1.2e-4 on this text
GREEDY = 64
TIE = 0.01  # where float64's two best are closer than this, either may be chosen

EVERY_CHUNK = (POSITIONS, 7, 1)  # at once; in a size that divides nothing; token by token
# What is run: with and without f16 and subgroups in every chunk size. SwiftShader has no f16, so
# masking it off would run the same kernels twice; it goes token by token in the greedy runs, which
# take a minute each. WebGPU's default limits change only where a tensor is cut, so they are run at
# once and not token by token.
RUNS = [("lavapipe", without, chunk)
        for without in ("", "f16", "subgroups") for chunk in EVERY_CHUNK]
RUNS += [("lavapipe", without, POSITIONS) for without in ("limits", "f16,subgroups,limits")]
RUNS += [("swiftshader", without, chunk)
         for without in ("", "subgroups") for chunk in EVERY_CHUNK if chunk > 1]
RUNS += [("swiftshader", "limits", POSITIONS)]

GREEDY_RUNS = [("lavapipe", w) for w in ("", "f16", "subgroups", "f16,subgroups,limits")]
GREEDY_RUNS += [("swiftshader", w) for w in ("", "subgroups")]
PROMPT = "The harbour at Lindow had been built for larger ships than those that came to it now."


def options(without):
    return ("--without", without) if without else ()


@pytest.fixture(scope="module")
def right(truth, prose):
    """Float64 logits of the text, computed once."""
    return truth.logits(prose[:POSITIONS])


@pytest.mark.parametrize("name,without,chunk", RUNS)
def test_every_position(name, without, chunk, request, mantissa, model, prose, right):
    adapter = request.getfixturevalue(name)
    given = mantissa.logits(model, prose[:POSITIONS], "--chunk", chunk, *options(without),
                            adapter=adapter)
    assert given.shape == right.shape
    error = np.abs(given - right)
    print(f"largest |difference| {error.max():.2e} at position {error.max(axis=1).argmax()}")
    assert error.max() <= LIMIT


def greedy_errors(truth, prompt, ids):
    """Places where `ids` is not float64's greedy continuation, each (step, why).

    One float64 pass over prompt and continuation gives its choice after every prefix: the same as
    decoding step by step, up to the first difference, and it goes on checking behind a tie.
    """
    rows = truth.logits(prompt + ids)[len(prompt) - 1:]
    errors = []
    for step, chosen in enumerate(ids):
        row = rows[step]
        second, best = np.argsort(row)[-2:]
        gap = row[best] - row[second]
        if chosen != best and not (gap < TIE and chosen == second):
            errors.append((step, f"chose {chosen}, float64 {best}, ahead by {gap:.4f}"))
    return errors, int(rows[len(ids)].argmax())


@pytest.mark.parametrize("name,without", GREEDY_RUNS)
def test_greedy(name, without, request, mantissa, model, truth, peer):
    adapter = request.getfixturevalue(name)
    prompt = peer.tokenize(PROMPT)
    answer = mantissa.json(
        "run", "--model", model, "--raw", "--prompt", PROMPT, "--temperature", 0,
        "--max-tokens", GREEDY, "--adapter", adapter.substring, *options(without), adapter=adapter)
    assert answer["prompt_tokens"] == len(prompt)
    ids = [t for t in answer["token_ids"] if not peer.is_end(t)]
    errors, after = greedy_errors(truth, prompt, ids)
    assert not errors
    assert len(ids) == GREEDY or peer.is_end(after), f"stopped after {len(ids)}"
    assert answer["text"] == peer.detokenize(ids).decode(errors="replace")


def test_the_greedy_check_can_fail(truth, peer):
    prompt = peer.tokenize(PROMPT)
    ids, _ = truth.greedy(prompt, 6)
    assert greedy_errors(truth, prompt, ids)[0] == []
    ids[3] = (ids[3] + 1) % truth.vocabulary
    assert greedy_errors(truth, prompt, ids)[0][0][0] == 3
