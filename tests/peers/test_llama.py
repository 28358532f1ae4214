"""Against llama.cpp over 512 positions of prose."""

import numpy as np
import pytest

import llama
from oracle import log_softmax

POSITIONS = 512
WINDOW = 300


def compare(peer_logits, our_logits):
    """Top-1 agreement, and mean KL(peer || ours) in nats."""
    p, q = log_softmax(peer_logits), log_softmax(our_logits)
    agreement = np.mean(p.argmax(axis=1) == q.argmax(axis=1))
    return agreement, float(np.mean(np.sum(np.exp(p) * (p - q), axis=1)))


@pytest.fixture(scope="module")
def ours(mantissa, lavapipe, model, prose):
    return mantissa.logits(model, prose[:POSITIONS], adapter=lavapipe)


@pytest.fixture(scope="module")
def theirs(model_f32, prose):
    return llama.logits(model_f32, prose[:POSITIONS])


def test_agrees_on_f32(ours, theirs, capsys):
    agreement, kl = compare(theirs, ours)
    with capsys.disabled():
        print(f"\nllama.cpp on the F32 file: top-1 agreement {agreement:.2%}, mean KL {kl:.1e}")
    assert agreement >= 0.995
    assert kl <= 1e-4


def test_report_on_the_file_itself(ours, model, prose, capsys):
    """llama.cpp quantizes its activations to 8 bits here and we do not: a report, with no limit but
    that it is the same model (an unrelated one agrees on next to nothing)."""
    agreement, kl = compare(llama.logits(model, prose[:POSITIONS]), ours)
    with capsys.disabled():
        print(f"\nllama.cpp on the Q4_1 file: top-1 agreement {agreement:.2%}, mean KL {kl:.1e}")
    assert agreement > 0.5


def test_the_comparison_can_fail(theirs):
    """Logits of the neighbouring position, or sharpened by 5 %, are told apart."""
    agreement, kl = compare(theirs, np.roll(theirs, 1, axis=0))
    assert agreement < 0.995 and kl > 1e-4
    assert compare(theirs, theirs * 1.05)[1] > 1e-4


def test_perplexity(mantissa, lavapipe, model, theirs, prose, peer, scratch):
    """exp of the mean negative log-likelihood of tokens 1.., for a text that fits one window.

    Logits within 2e-3 put each log-probability within 4e-3, and so their mean.
    """
    text = peer.detokenize(prose[:WINDOW]).decode()
    assert peer.tokenize(text) == prose[:WINDOW]
    (scratch / "window.txt").write_text(text)
    answer = mantissa.json("perplexity", "--model", model, "--file", scratch / "window.txt",
                           "--adapter", lavapipe.substring, adapter=lavapipe)
    rows = log_softmax(theirs[: WINDOW - 1])
    right = -np.mean(rows[np.arange(WINDOW - 1), prose[1:WINDOW]])
    assert abs(np.log(answer["perplexity"]) - right) <= 4e-3
