"""`mantissa quantize` against gguf's quantizers, `mantissa eval` against numpy."""

import json
import math
import os
import pty
import signal
import subprocess
import time
import xml.etree.ElementTree

import numpy as np
import pytest
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file

import oracle
import tiny
from program import Result
from test_cli import fails

PLAIN = "gqa1_head32_f32"  # rows of 96 and 160
MIXED = "mixed_types"
ODD = "odd_k_f32"  # rows of 100 and 150: whole blocks of nothing
TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]
ABOUT_FORMATS = {"general.file_type", "general.quantization_version"}


def tensors(path):
    """name → (type, bytes, [rows, K] or [n])."""
    return {t.name: (t.tensor_type, t.data.tobytes(), [int(n) for n in reversed(t.shape)])
            for t in GGUFReader(path).tensors}


def values(path):
    """name → float32 array."""
    return {t.name: np.array(dequantize(t.data, t.tensor_type)).reshape(tuple(reversed(t.shape)))
            for t in GGUFReader(path).tensors}


def encoded(weights, kind):
    """gguf's own bytes."""
    if kind in (T.F32, T.F16):
        return weights.astype(np.float32 if kind == T.F32 else np.float16).tobytes()
    return quantize(weights, kind).tobytes()


def fields(path):
    """What a file says about itself, but for its version, counts and formats."""
    return {f.name: f.contents() for f in GGUFReader(path).fields.values()
            if not f.name.startswith("GGUF.") and f.name not in ABOUT_FORMATS}


# Bytes


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_bytes_are_those_of_gguf(kind, mantissa, tiny_model, tmp_path):
    source, out = tiny_model(PLAIN), tmp_path / "out.gguf"
    report = mantissa.json("quantize", source, "--format", kind.name.lower(), "--out", out)
    before, after = values(source), tensors(out)
    assert list(before) == list(after), "the same tensors in the same order"
    errors, squares, count = 0.0, 0.0, 0
    for name, weights in before.items():
        wanted = kind if weights.ndim == 2 else T.F32
        assert after[name][0] == wanted and after[name][2] == list(weights.shape), name
        assert after[name][1] == encoded(weights, wanted), name
        got = values(out)[name].astype(np.float64)
        errors += ((got - weights) ** 2).sum()
        squares += (weights.astype(np.float64) ** 2).sum()
        count += weights.size
    assert fields(source) == fields(out)
    of_file = {f.name: f.contents() for f in GGUFReader(out).fields.values()}
    expected = LlamaFileType.ALL_F32 if kind == T.F32 else LlamaFileType[f"MOSTLY_{kind.name}"]
    assert of_file["general.file_type"] == expected
    assert of_file["general.quantization_version"] == 2
    # Sums of squares in another order: far below 1e-9 of themselves.
    total = report["total"]
    assert math.isclose(total["rms_error"], math.sqrt(errors / count), rel_tol=1e-9, abs_tol=1e-15)
    assert math.isclose(total["relative_rms_error"], math.sqrt(errors / squares), rel_tol=1e-9,
                        abs_tol=1e-15)
    assert total["weights"] == count and total["tensors"] == len(before)
    assert total["bytes"] == sum(len(data) for _, data, _ in after.values())
    assert math.isclose(total["bits_per_weight"], 8 * total["bytes"] / count)
    assert report["bytes"] == os.path.getsize(out) and not report["fallbacks"]


def test_packed_weights_are_decoded_first_and_the_same_format_is_copied(mantissa, tiny_model,
                                                                        tmp_path):
    source, out = tiny_model(MIXED), tmp_path / "out.gguf"
    mantissa.run("quantize", source, "--format", "q5_0", "--out", out)
    before, decoded = tensors(source), values(source)
    copied = 0
    for name, (kind, data, shape) in tensors(out).items():
        if len(shape) == 1 or before[name][0] == T.Q5_0:
            assert (kind, data) == before[name][:2], name
            copied += len(shape) > 1
        else:
            assert kind == T.Q5_0 and data == encoded(decoded[name], T.Q5_0), name
    assert copied, "the model has Q5_0 tensors already"


def test_exceptions_by_name(mantissa, tiny_model, tmp_path):
    """The first --only that matches decides; one that matches nothing is told."""
    out = tmp_path / "out.gguf"
    result = mantissa.run(
        "quantize", tiny_model(PLAIN), "--format", "q4_0", "--out", out, "--only",
        r"^blk\.1\.attn=f16", "--only", "attn_v=q8_0", "--only", "norm|nothing=q8_0")
    assert "norm|nothing" in result.err and "attn_v" not in result.err
    kinds = {name: kind for name, (kind, _, _) in tensors(out).items()}
    assert kinds["blk.0.attn_v.weight"] == T.Q8_0 and kinds["blk.1.attn_v.weight"] == T.F16
    assert kinds["blk.0.attn_q.weight"] == T.Q4_0 and kinds["token_embd.weight"] == T.Q4_0
    assert kinds["blk.1.attn_norm.weight"] == T.F32, "vectors stay"
    for word in ("token_embd", "attn_v", "total", "bits/weight", "1 q8_0, 1 f16"):
        assert word in result.out, result.out


def test_rows_that_are_no_whole_blocks(mantissa, tiny_model, tmp_path):
    source, out = tiny_model(ODD), tmp_path / "out.gguf"
    report = mantissa.json("quantize", source, "--format", "q4_0", "--out", out)
    matrices = {name: v for name, v in values(source).items() if v.ndim == 2}
    odd = {name for name, v in matrices.items() if v.shape[1] % 32}
    for name in matrices:
        assert tensors(out)[name][0] == (T.F16 if name in odd else T.Q4_0), name
    assert odd and {f["k"] for f in report["fallbacks"]} == {100, 150}
    assert sum(f["tensors"] for f in report["fallbacks"]) == len(odd)
    assert all((f["wanted"], f["format"]) == ("q4_0", "f16") for f in report["fallbacks"])


def test_safetensors_hold_the_same(mantissa, tiny_model, lavapipe, tmp_path):
    """Packed rows as bytes, plain ones as they are; the file runs like the GGUF of the same formats."""
    source = tiny_model(PLAIN)
    gguf, safe = tmp_path / "out.gguf", tmp_path / "out.safetensors"
    for out in (gguf, safe):
        mantissa.run("quantize", source, "--format", "q5_1", "--only", "attn_k=f16", "--out", out)
    inside = {t.name: t.data.tobytes() for t in GGUFReader(gguf).tensors}
    assert {name: v.tobytes() for name, v in load_file(safe).items()} == inside
    ids = tiny.tokens(tiny.by_name(PLAIN), 12)
    assert np.array_equal(mantissa.logits(gguf, ids, adapter=lavapipe),
                          mantissa.logits(safe, ids, adapter=lavapipe))
    again = tmp_path / "again.gguf"
    mantissa.run("quantize", safe, "--format", "q5_1", "--only", "attn_k=f16", "--out", again)
    assert {n: t[:2] for n, t in tensors(again).items()} == {
        n: t[:2] for n, t in tensors(gguf).items()}


def test_the_result_runs(mantissa, tiny_model, lavapipe, tmp_path):
    """Of the right weights: float64 reads the file that was written, and agrees."""
    out = tmp_path / "out.gguf"
    mantissa.run("quantize", tiny_model(PLAIN), "--format", "q4_1", "--out", out)
    ids = tiny.tokens(tiny.by_name(PLAIN), 16)
    truth = oracle.Llama(out).logits(ids)
    given = mantissa.logits(out, ids, adapter=lavapipe)
    # f32 sums over K ≤ 160 in 2 layers; logits spread over some ±10 (test_shapes.py is the strict one).
    assert np.abs(given - truth).max() < 1e-3
    answer = mantissa.json("run", "--model", out, "--raw", "--prompt", "that is the", "--max-tokens",
                           3, adapter=lavapipe)
    assert answer["token_ids"]


# Hugging Face


def halves(rows, heads):
    """Rows of a GGUF's q or k in Hugging Face's order: rotary pairs are half a head apart."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows.shape))


def test_hugging_face_becomes_gguf(mantissa, tiny_model, tmp_path):
    spec, source = tiny.by_name("bias_attention"), tiny_model("bias_attention", f32=True)
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_q":
             "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm":
             "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}
    folder = tmp_path / "model"
    folder.mkdir()
    theirs = {}
    for name, weights in values(source).items():
        *layer, part, kind = name.split(".")
        if part in ("attn_q", "attn_k"):
            weights = halves(weights, spec.heads if part == "attn_q" else spec.kv_heads)
        prefix = f"model.layers.{layer[1]}." if layer else ""
        theirs[f"{prefix}{names[part]}.{kind}"] = np.ascontiguousarray(weights)
    save_file(theirs, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": spec.embedding, "intermediate_size": spec.feed_forward,
        "num_hidden_layers": spec.layers, "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads, "vocab_size": spec.vocabulary,
        "max_position_embeddings": spec.context, "rms_norm_eps": spec.eps,
        "rope_theta": spec.rope_base, "tie_word_embeddings": True, "head_dim": spec.head,
        "attention_bias": True}))
    out = tmp_path / "out.gguf"
    mantissa.run("quantize", folder, "--format", "q8_0", "--out", out)
    expected = {name: encoded(v, T.Q8_0 if v.ndim == 2 else T.F32)
                for name, v in values(source).items()}
    assert {name: data for name, (_, data, _) in tensors(out).items()} == expected
    result = mantissa.run("quantize", folder, "--format", "q8_0", "--out", folder / "x.gguf", code=1)
    assert "never written to" in result.err


# Failures


def test_wrong_usage(mantissa, tiny_model, tmp_path):
    good = ("quantize", tiny_model(PLAIN), "--format", "q8_0", "--out", tmp_path / "x.gguf")
    for extra, says in [(("--only", "(=q8_0"), "unclosed"), (("--only", "attn_v"), "REGEX=FORMAT"),
                        (("--only", "attn_v=q9_9"), "q9_9"), (("--format", "q8_0"), "--format")]:
        assert says in mantissa.run(*good, *extra, code=2).err
    assert "q9_9" in mantissa.run("quantize", good[1], "--format", "q9_9", "--out", "x.gguf",
                                  code=2).err
    assert not (tmp_path / "x.gguf").exists()


def broken(source, out, weight):
    """A copy whose last matrix has one other weight, in row 2, column 5."""
    data = bytearray(source.read_bytes())
    last = [t for t in GGUFReader(source).tensors if len(t.shape) == 2][-1]
    at = int(last.data_offset) + 4 * (2 * int(last.shape[0]) + 5)
    data[at:at + 4] = np.float32(weight).tobytes()
    out.write_bytes(data)
    return last.name


def test_failures_leave_nothing(mantissa, tiny_model, tmp_path):
    source, folder = tiny_model(PLAIN), tmp_path / "out"
    folder.mkdir()
    out = folder / "out.gguf"
    copy, cut, nan, inf = (tmp_path / f"{n}.gguf" for n in ("copy", "cut", "nan", "inf"))
    copy.write_bytes(source.read_bytes())
    cut.write_bytes(source.read_bytes()[:-1000])
    name = broken(source, nan, np.nan)
    broken(source, inf, -np.inf)
    link = folder / "link.gguf"
    link.symlink_to(copy)
    for words, given, to in [
        ([name, "row 2", "column 5", "NaN"], nan, out), ([name, "row 2", "column 5", "-inf"], inf, out),
        (["ends"], cut, out), (["/nonexistent.gguf"], "/nonexistent.gguf", out),
        (["never written to"], copy, copy), (["never written to"], copy, link),
        (["folder"], copy, folder / "a.gguf"), (["*.safetensors"], copy, folder / "out.bin"),
        (["nowhere"], copy, tmp_path / "nowhere" / "out.gguf"),
    ]:
        if to.name == "a.gguf":
            to.mkdir()
        result = mantissa.run("quantize", given, "--format", "q8_0", "--out", to, code=1)
        assert not result.out and all(word in result.err for word in words), str(result)
    assert sorted(p.name for p in folder.iterdir()) == ["a.gguf", "link.gguf"]
    assert copy.read_bytes() == source.read_bytes()
    mantissa.run("quantize", copy, "--format", "q8_0", "--out", out)
    (before := tmp_path / "before.gguf").write_bytes(out.read_bytes())
    fails(mantissa, ["NaN"], "quantize", nan, "--format", "q4_0", "--out", out)
    assert out.read_bytes() == before.read_bytes(), "what was there is still there"
    mantissa.run("quantize", copy, "--format", "q4_0", "--out", out)
    assert out.stat().st_size < before.stat().st_size, "and is replaced by a success"


# Size


@pytest.fixture(scope="module")
def big(scratch):
    """Two matrices of 64 MiB in F16, and no model."""
    path = scratch / "big.gguf"
    writer = GGUFWriter(path, "llama")
    rows = np.random.default_rng(5).standard_normal((1 << 14, 1 << 11)).astype(np.float16)
    for name in ("a.weight", "b.weight"):
        writer.add_tensor(name, rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_memory_does_not_grow_with_the_model(mantissa, big, tiny_model, tmp_path):
    """At most the largest tensor above what the program itself takes; the file holds two."""
    def peak(path):
        return mantissa.json("quantize", path, "--format", "q8_0", "--out",
                             tmp_path / "out.gguf")["peak_memory_bytes"]
    assert peak(big) <= peak(tiny_model(PLAIN)) + (64 << 20)


def test_an_interrupt_leaves_nothing(mantissa, big, tmp_path):
    out = tmp_path / "out.gguf"
    command, environment = mantissa.command("quantize", big, "--format", "q5_1", "--out", out)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 30
        while not list(tmp_path.iterdir()) and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    result = Result(" ".join(command), process.returncode, output.decode(), errors.decode())
    assert result.code == 130 and "interrupted" in result.err and not result.out, str(result)
    assert not list(tmp_path.iterdir()), str(result)


# Comparing formats


TEXT = "the sea is on the stone, and that is the end of it all; rain at the shore is hail. " * 2


def windows(count, room, stride):
    """(start, end, first scored, end): the rule of `perplexity`, from its description."""
    start, scored = 0, 1
    while scored < count:
        end = min(start + room, count)
        yield start, end, scored
        scored, start = end, start + stride


def predictions(mantissa, model, ids, adapter, room, stride):
    """Float64 log-probabilities of each scored position."""
    rows = []
    for start, end, scored in windows(len(ids), room, stride):
        logits = mantissa.logits(model, ids[start:end], adapter=adapter).astype(np.float64)
        log_p = logits - logits.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        rows.append(log_p[scored - 1 - start:end - 1 - start])
    return np.concatenate(rows)


def test_eval_matches_numpy(mantissa, tiny_model, lavapipe, tmp_path):
    import llama
    source, text, svg = tiny_model(PLAIN), tmp_path / "text.txt", tmp_path / "chart.svg"
    text.write_text(TEXT)
    formats, count, room, stride = ["q8_0", "q4_0", "f32"], 60, 32, 16
    report = mantissa.json(
        "eval", "--model", source, "--formats", ",".join(formats), "--file", text, "--tokens", count,
        "--context", room, "--stride", stride, "--svg", svg, adapter=lavapipe)
    with llama.Llama(source) as peer:
        ids = peer.tokenize(TEXT)[:count]
    assert report["tokens"] == count and report["scored_tokens"] == count - 1
    assert [row["format"] for row in report["rows"]] == ["(file)", *formats]
    reference = predictions(mantissa, source, ids, lavapipe, room, stride)
    assert len(reference) == count - 1
    for row in report["rows"]:
        path = source if row["format"] == "(file)" else tmp_path / f"{row['format']}.gguf"
        if path != source:
            mantissa.run("quantize", source, "--format", row["format"], "--out", path)
        given = predictions(mantissa, path, ids, lavapipe, room, stride)
        nll = -given[np.arange(count - 1), ids[1:]]
        kl = (np.exp(reference) * (reference - given)).sum(axis=1)
        agreement = (reference.argmax(axis=1) == given.argmax(axis=1)).mean()
        # The same f32 logits, and sums in float64 of some hundred terms: 1e-12 of terms below 20.
        close = {"nll": nll.mean(), "perplexity": np.exp(nll.mean()), "kl": kl.mean(),
                 "kl_max": kl.max(), "kl_99_percent": np.sort(kl)[math.ceil(0.99 * len(kl)) - 1],
                 "kl_standard_error": kl.std() / math.sqrt(len(kl) - 1),
                 "top_1_agreement": agreement}
        for name, value in close.items():
            assert math.isclose(row[name], value, rel_tol=1e-9, abs_tol=1e-11), (row["format"], name)
        matrices = [(len(d), math.prod(s)) for _, d, s in tensors(path).values() if len(s) == 2]
        everything = [(len(d), math.prod(s)) for _, d, s in tensors(path).values()]
        for name, parts in [("matrix_bits_per_weight", matrices), ("bits_per_weight", everything)]:
            bits = 8 * sum(b for b, _ in parts) / sum(w for _, w in parts)
            assert math.isclose(row[name], bits), (row["format"], name)
        assert row["gpu_bytes"] >= sum(b for b, _ in everything) and row["tokens_per_second"] > 0
    assert report["rows"][2]["kl"] > report["rows"][1]["kl"] > 0, "q4_0 is worse than q8_0"
    assert report["rows"][3]["kl"] == 0 and report["rows"][3]["top_1_agreement"] == 1
    whole = mantissa.json("perplexity", "--model", source, "--file", text, "--context", room,
                          "--stride", stride, adapter=lavapipe)
    longer = mantissa.json("eval", "--model", source, "--formats", "f32", "--file", text, "--tokens",
                           10_000, "--context", room, "--stride", stride, adapter=lavapipe)
    assert whole["perplexity"] == longer["rows"][0]["perplexity"]
    assert whole["scored_tokens"] == longer["scored_tokens"] > count
    texts = [e.text.strip() for e in xml.etree.ElementTree.parse(svg).iter() if e.text]
    assert {"q8_0", "q4_0"} <= set(texts), texts


def what_is_left(terminal):
    """What an ended program has written there that nobody has read."""
    text = b""
    try:
        while piece := os.read(terminal, 4096):
            text += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    return text


def test_an_interrupt_ends_eval(mantissa, tiny_model, lavapipe, tmp_path):
    """What is finished is printed, the rest is not waited for."""
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    command, environment = mantissa.command(
        "eval", "--model", tiny_model(PLAIN), "--formats", ",".join(["q8_0"] * 400), "--file", text,
        "--json", adapter=lavapipe)
    environment["TERM"] = "xterm"
    terminal, err = pty.openpty()  # progress is shown to nothing else
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=err)
    os.close(err)
    try:
        shown = b""
        while b"q8_0" not in shown:  # so the file itself is through
            shown += os.read(terminal, 4096)  # an OSError once the program has ended
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        output, _ = process.communicate(timeout=30)
        shown += what_is_left(terminal)
    finally:
        process.kill()
        os.close(terminal)
    assert process.returncode == 130 and b"panicked" not in shown, shown.decode()
    assert b"interrupted" in shown, shown.decode()
    assert time.monotonic() - sent < 10
    assert 1 <= len(json.loads(output)["rows"]) < 400


def test_eval_for_people(mantissa, tiny_model, lavapipe, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    result = mantissa.run("eval", "--model", tiny_model(ODD), "--formats", "q8_0", "--file", text,
                          "--tokens", 20, adapter=lavapipe)
    for word in ("(file)", "q8_0", "perplexity", "top-1"):
        assert word in result.out, result.out
    assert "rows of 100 get f16" in result.err


def test_eval_failures(mantissa, tiny_model, lavapipe, tmp_path):
    source, text = tiny_model(PLAIN), tmp_path / "text.txt"
    text.write_text(TEXT)
    for arguments in [("--formats", "q9_9", "--file", text), ("--file", text),
                      ("--formats", "q8_0"), ("--formats", "q8_0", "--file", text, "--tokens", 1)]:
        mantissa.run("eval", "--model", source, *arguments, code=2, adapter=lavapipe)
    base = ("eval", "--model", source, "--formats", "q8_0", "--tokens", 8, "--file")
    fails(mantissa, ["/nonexistent"], *base, "/nonexistent", adapter=lavapipe)
    fails(mantissa, ["nowhere"], *base, text, "--svg", tmp_path / "nowhere" / "x.svg",
          adapter=lavapipe)
    (tmp_path / "one.txt").write_text("a")
    fails(mantissa, ["too few"], *base, tmp_path / "one.txt", adapter=lavapipe)
    nan = tmp_path / "nan.gguf"
    broken(source, nan, np.nan)
    fails(mantissa, ["not finite", "row 2"], *base[:2], nan, *base[3:], text, adapter=lavapipe)
