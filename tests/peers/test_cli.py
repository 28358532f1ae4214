"""The program as its users meet it: exit codes, --json, bad files, interrupts.

Exit codes: 0 right, 1 a failure (with one sentence on stderr), 2 wrong usage. `Program.run` fails a
test on any panic, signal or other code.
"""

import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import pytest

import hostile
import llama
import tiny
from program import Result, check_no_crash
from test_logits import greedy_errors

RUN_FIELDS = {
    "text": str, "token_ids": list, "prompt_tokens": int, "load_seconds": float,
    "prefill_seconds": float, "decode_seconds": float, "adapter": str, "driver": str,
    "peak_memory_bytes": int,
}
# Small and with a tokenizer: what does not need a model that makes sense runs on this one.
SMALL = "gqa3_head64_q4_1"


@pytest.fixture
def small(tiny_model):
    return tiny_model(SMALL)


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


# Usage


@pytest.mark.parametrize("arguments", [
    (), ("nonesuch",), ("run", "--nonesuch"), ("run", "--max-tokens", "many"),
    ("run", "--temperature", "warm"), ("logits",), ("logits", "--tokens", "1,x", "--out", "y.npy"),
    ("logits", "--tokens", "-1", "--out", "y.npy"), ("logits", "--tokens", "1"), ("op",),
    ("op", "softmax"), ("op", "nonesuch"), ("perplexity",), ("inspect",),
    ("logits", "--tokens", "1", "--out", "y.npy", "--chunk", "0"),
    ("logits", "--tokens", "1", "--out", "y.npy", "--chunk", "some"),
    ("logits", "--tokens", "1", "--out", "y.npy", "--without", "electricity"),
], ids=" ".join)
def test_wrong_usage_is_2(arguments, mantissa):
    result = mantissa.run(*arguments, code=2)
    assert lines(result.err) and not result.out


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help")], ids=" ".join)
def test_help_is_0(arguments, mantissa):
    assert mantissa.run(*arguments).out.strip()


def test_every_gpu_command_takes_the_masks(mantissa):
    for command in (("run",), ("chat",), ("logits",), ("perplexity",), ("op", "softmax")):
        text = mantissa.run(*command, "--help").out
        assert "--adapter" in text and "--without" in text, command


# Output


def test_run_json(mantissa, small, adapter):
    answer = mantissa.json("run", "--model", small, "--raw", "--prompt", "that is the", "--max-tokens",
                           5, "--temperature", 0, "--adapter", adapter.substring, adapter=adapter)
    assert set(RUN_FIELDS) <= set(answer)
    for name, kind in RUN_FIELDS.items():
        assert isinstance(answer[name], (int, float) if kind is float else kind), name
    with llama.Llama(small) as peer:
        assert answer["prompt_tokens"] == len(peer.tokenize("that is the"))
    assert 1 <= len(answer["token_ids"]) <= 5
    assert adapter.substring.lower() in answer["adapter"].lower()
    assert answer["peak_memory_bytes"] > os.path.getsize(small)
    assert min(answer[f"{part}_seconds"] for part in ("load", "prefill", "decode")) >= 0


def test_run_streams_the_text_alone_on_stdout(mantissa, model, lavapipe):
    arguments = ("run", "--model", model, "--prompt", "Say hello.", "--max-tokens", 12,
                 "--temperature", 0)
    answer = mantissa.json(*arguments, adapter=lavapipe)
    assert mantissa.run(*arguments, adapter=lavapipe).out.rstrip("\n") == answer["text"].rstrip("\n")


def test_run_matches_llama_on_a_small_model(mantissa, small, tiny_model, adapter):
    """Greedy text of a random model; its gaps are wide (test_oracle.py), so it must be the same."""
    prompt = "the sea is on the stone"
    answer = mantissa.json("run", "--model", small, "--raw", "--prompt", prompt, "--max-tokens", 24,
                           "--temperature", 0, "--adapter", adapter.substring, adapter=adapter)
    with llama.Llama(tiny_model(SMALL, f32=True)) as peer:
        ids = [t for t in answer["token_ids"] if not peer.is_end(t)]
        assert ids == peer.greedy(peer.tokenize(prompt), 24)


def test_a_seed_decides_the_text(mantissa, small, lavapipe):
    def ids(seed):
        return mantissa.json("run", "--model", small, "--raw", "--prompt", "a", "--max-tokens", 16,
                             "--temperature", 1, "--seed", seed, adapter=lavapipe)["token_ids"]
    assert ids(7) == ids(7)
    assert ids(7) != ids(8)


def test_logits_of_a_prompt(mantissa, small, lavapipe, scratch):
    """--prompt is --tokens of its ids."""
    out = scratch / "prompt.npy"
    mantissa.run("logits", "--model", small, "--prompt", "that is the", "--out", out, adapter=lavapipe)
    with llama.Llama(small) as peer:
        ids = peer.tokenize("that is the")
    assert np.array_equal(np.load(out), mantissa.logits(small, ids, adapter=lavapipe))


def test_inspect(mantissa, small):
    """Needs no adapter; a table for people, the same as JSON."""
    spec = tiny.by_name(SMALL)
    nowhere = {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    table = mantissa.run("inspect", small, env=nowhere).out
    for word in ("llama.block_count", "blk.1.ffn_down.weight", "Q4_1", "token_embd.weight", "Q8_0"):
        assert word.lower() in table.lower()
    data = json.loads(mantissa.run("inspect", small, "--json", env=nowhere).out)
    assert data["metadata"]["llama.embedding_length"] == spec.embedding
    shapes = {t["name"]: t["shape"] for t in data["tensors"]}
    assert shapes["blk.0.ffn_down.weight"] == [spec.feed_forward, spec.embedding]
    assert len(shapes) == len(list(tiny.tensors(spec)))


def test_devices(mantissa, adapter):
    text = mantissa.run("devices", adapter=adapter).out
    assert adapter.substring in text and "binding" in text.lower()
    assert adapter.substring in mantissa.run("run", "--list-adapters", adapter=adapter).out


def test_a_closed_pipe_is_no_panic(mantissa, model):
    command, environment = mantissa.command("inspect", model)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read().decode()
    process.wait(60)
    assert "panicked" not in err, err


# Failures


def fails(mantissa, pattern_words, *arguments, **options):
    """Exit 1, nothing on stdout, and one sentence that has one of these words."""
    result = mantissa.run(*arguments, code=1, **options)
    assert not result.out, str(result)
    assert any(word.lower() in result.err.lower() for word in pattern_words), str(result)
    return result


def test_the_hostile_files_are_a_step_from_a_right_one(mantissa, lavapipe, scratch):
    path = scratch / "right.gguf"
    path.write_bytes(hostile.right())
    given = mantissa.logits(path, [1, 2, 7], adapter=lavapipe)
    assert np.abs(given - llama.logits(path, [1, 2, 7])).max() < 1e-3


@pytest.mark.parametrize("case", hostile.cases(), ids=str)
def test_hostile_file(case, mantissa, lavapipe, scratch):
    """Refused in a sentence, within seconds, with no output file and no memory to speak of."""
    path, out = scratch / "hostile.gguf", scratch / "hostile.npy"
    path.write_bytes(case.data)
    result = mantissa.run("logits", "--model", path, "--tokens", "1,2", "--out", out, code=1,
                          adapter=lavapipe, timeout=30)
    assert not out.exists()
    assert not result.out and result.err.strip(), str(result)
    assert len(result.err) < 2000, "a sentence, not the file's contents"
    # The file's own name is in the message, and must not be what matched.
    message = result.err.replace(str(path), "").lower()
    assert re.search(case.pattern.lower(), message, re.DOTALL), f"{case.pattern}: {result}"
    mantissa.run("inspect", path, code=None, timeout=30)


@pytest.mark.parametrize("path", ["/nonexistent/model.gguf", "/"])
def test_no_such_file(path, mantissa, lavapipe):
    fails(mantissa, [path], "run", "--model", path, "--prompt", "a", adapter=lavapipe)
    fails(mantissa, [path], "inspect", path)


def test_prompt_longer_than_the_context(mantissa, small, lavapipe, scratch):
    out = scratch / "long.npy"
    tokens = ",".join(["5"] * 600)  # the model's context is 512
    fails(mantissa, ["context"], "logits", "--model", small, "--tokens", tokens, "--out", out,
          adapter=lavapipe)
    fails(mantissa, ["context"], "run", "--model", small, "--raw", "--prompt", "q7" * 400,
          adapter=lavapipe)
    fails(mantissa, ["context"], "run", "--model", small, "--raw", "--prompt", "q7" * 20,
          "--context", 16, adapter=lavapipe)


def test_generation_stops_where_the_context_ends(mantissa, small, lavapipe):
    """Not an error: what fits is given."""
    answer = mantissa.json("run", "--model", small, "--raw", "--prompt", "q7", "--context", 16,
                           "--max-tokens", 100, "--temperature", 0, adapter=lavapipe)
    assert 1 <= len(answer["token_ids"]) <= 16


def test_token_outside_the_vocabulary(mantissa, small, lavapipe, scratch):
    for token in (307, 2**31, 2**32 - 1):
        fails(mantissa, [str(token)], "logits", "--model", small, "--tokens", f"1,{token}", "--out",
              scratch / "outside.npy", adapter=lavapipe)


def test_no_such_adapter(mantissa, small, lavapipe):
    result = fails(mantissa, ["nonesuch"], "run", "--model", small, "--prompt", "a", "--adapter",
                   "nonesuch", adapter=lavapipe)
    assert lavapipe.substring in result.err, "says which there are"


def test_no_adapter_at_all(mantissa, small, scratch):
    nowhere = {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    x = scratch / "x.npy"
    np.save(x, np.zeros((1, 4), np.float32))
    for arguments in [("run", "--model", small, "--prompt", "a"),
                      ("logits", "--model", small, "--tokens", "1", "--out", scratch / "n.npy"),
                      ("op", "softmax", "--in", x, "--out", scratch / "y.npy")]:
        fails(mantissa, ["adapter"], *arguments, env=nowhere)


@pytest.fixture(scope="module")
def endless(scratch):
    """A small model that says it was trained on 16 million positions: 2 GiB of keys a layer."""
    spec = tiny.Spec("endless", 64, 1, 1, 32, 64, layers=4, context=2**24)
    return tiny.write(spec, scratch / "endless.gguf")


def test_too_little_memory(mantissa, endless, swiftshader):
    """SwiftShader refuses the first buffer of 1 GiB: a real out-of-memory error."""
    fails(mantissa, ["memory", "limit"], "run", "--model", endless, "--raw", "--prompt", "a",
          "--context", 2**24, "--max-tokens", 1, adapter=swiftshader)
    answer = mantissa.json("run", "--model", endless, "--raw", "--prompt", "a", "--context", 64,
                           "--max-tokens", 1, "--temperature", 0, adapter=swiftshader)
    assert len(answer["token_ids"]) == 1, "the same file runs in a context that fits"


def test_output_that_cannot_be_written(mantissa, small, lavapipe):
    fails(mantissa, ["/nonexistent"], "logits", "--model", small, "--tokens", "1", "--out",
          "/nonexistent/x.npy", adapter=lavapipe)


def test_model_without_a_tokenizer(mantissa, tiny_model, lavapipe):
    """Logits of ids need none; a prompt does, and says so."""
    path = tiny_model("no_tokenizer")
    fails(mantissa, ["tokenizer"], "run", "--model", path, "--prompt", "a", adapter=lavapipe)
    assert mantissa.logits(path, [1, 2], adapter=lavapipe).shape == (2, 131)


# Interrupts


def interrupt(mantissa, adapter, *arguments, started):
    """Starts a run, sends SIGINT once `started(process)` returns, and waits for its end."""
    command, environment = mantissa.command(*arguments, adapter=adapter)
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                               bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first = started(process)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    result = Result(" ".join(command), process.returncode, (first + out).decode(), err.decode())
    check_no_crash(result)
    assert time.monotonic() - sent < 20, "ends within a token or two, not at the end of the text"
    return result


LONG = ("run", "--raw", "--prompt", "Count: 1, 2, 3, 4, 5, 6, 7, 8, 9,", "--max-tokens", 4000,
        "--temperature", 0, "--context", 8000)


def test_interrupt_keeps_the_text(mantissa, model, lavapipe):
    """The text so far stays, and the exit is a success: the person asked for it."""
    def started(process):
        text = b""
        while not text.strip():  # the first token is a space
            piece = process.stdout.read(8)
            assert piece, "ended before it wrote anything"
            text += piece
        return text

    result = interrupt(mantissa, lavapipe, *LONG, "--model", model, started=started)
    assert result.code == 0, str(result)
    assert result.out.strip()


def test_interrupt_still_prints_the_json(mantissa, model, lavapipe):
    """Nothing shows when generating begins; three times as late as in a short run, it has."""
    start = time.monotonic()
    mantissa.run("run", "--model", model, "--raw", "--prompt", "a", "--max-tokens", 4,
                 adapter=lavapipe)
    wait = 3 * (time.monotonic() - start)

    def started(process):
        time.sleep(wait)
        assert process.poll() is None, "still generating"
        return b""

    result = interrupt(mantissa, lavapipe, *LONG, "--model", model, "--json", started=started)
    assert result.code == 0, str(result)
    answer = json.loads(result.out)
    assert 1 <= len(answer["token_ids"]) < 4000 and answer["text"]


# Conversation


SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # the template's own


def test_chat_keeps_its_cache(mantissa, model, truth, peer, lavapipe):
    """`chat --json` prints an object per reply; `prompt_tokens` are those processed for this turn,
    `cached_tokens` those kept from before. A kept cache changes nothing in the replies: each is
    float64's greedy continuation of the whole conversation.
    """
    turns = ["What is the capital of France?", "And of Italy?", "Thank you."]
    result = mantissa.run("chat", "--model", model, "--json", "--temperature", 0, "--max-tokens", 8,
                          input="".join(f"{turn}\n" for turn in turns), adapter=lavapipe)
    replies = [json.loads(line) for line in lines(result.out)]
    assert len(replies) == len(turns)
    seen, gap = [], f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    for turn, reply in zip(turns, replies):
        turn = f"{gap}<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n"
        whole = seen + peer.tokenize(turn, parse_special=True)
        assert reply["cached_tokens"] + reply["prompt_tokens"] == len(whole)
        # Of what was seen, only the last reply's end may need a second look.
        assert reply["cached_tokens"] >= len(seen) - 2
        ids = [t for t in reply["token_ids"] if not peer.is_end(t)]
        assert greedy_errors(truth, whole, ids)[0] == []
        seen, gap = whole + ids, "<|im_end|>\n"
