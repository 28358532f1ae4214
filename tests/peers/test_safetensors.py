"""The same weights in a GGUF, in Hugging Face's folder and in Mantissa's own file.

Folders are held against float64 on the GGUF twin, within the limit of test_shapes.py; ids against
the `tokenizers` package.
"""

import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer

import hugging_face
import oracle
import tiny
from test_shapes import FACTOR, POSITIONS

# Each keeps the twin's weights exactly: name, dtype, files of tensors.
FOLDERS = [
    ("gqa3_head64_q4_1", "F32", 3),
    ("gqa8_head64_f16", "F16", 1),
    ("gqa3_head80_bf16", "BF16", 2),
    ("linear_scaling", "F32", 1),
    ("rope_factors", "F32", 1),
    ("bias_attention", "F32", 1),
    ("bias_feed_forward", "F32", 1),
]
TEXTS = ["the rest 1234, is  note\n\n hot ", "<|im_start|>user\ntear<|im_end|>é\t\u4f60"]


@pytest.fixture(scope="session")
def twin(tiny_model, scratch):
    """The folder of a tiny model."""
    def make(name, dtype="F32", shards=1):
        folder = scratch / f"{name}-{dtype}-{shards}"
        if not folder.exists():
            hugging_face.write_folder(tiny_model(name), folder, dtype, shards)
        return folder
    return make


def in_dtype(model, dtype):
    """The oracle with its norms as the folder has them: rounded, where the twin keeps F32."""
    kind = hugging_face.DTYPES[dtype]
    model.weights = {k: v.astype(kind).astype(model.dtype) for k, v in model.weights.items()}
    return model


@pytest.mark.parametrize("name, dtype, shards", FOLDERS)
def test_folder(name, dtype, shards, mantissa, lavapipe, tiny_model, twin):
    tokens = tiny.tokens(tiny.by_name(name), POSITIONS)
    path = tiny_model(name)
    right = in_dtype(oracle.Llama(path), dtype).logits(tokens)
    limit = FACTOR * oracle.Llama(path).float32_error(tuple(tokens))
    given = mantissa.logits(twin(name, dtype, shards), tokens, adapter=lavapipe)
    error = np.abs(given - right).max()
    print(f"{name}: |mantissa - f64| {error:.1e}, limit {limit:.1e}")
    assert given.shape == right.shape and error <= limit


def test_the_order_of_rows_matters(mantissa, lavapipe, tiny_model, twin, scratch):
    """The comparison sees rows in GGUF's order where Hugging Face's are expected."""
    name = "gqa3_head64_q4_1"
    folder = scratch / "permuted"
    unpermute, hugging_face.unpermute = hugging_face.unpermute, lambda rows, heads: rows
    try:
        hugging_face.write_folder(tiny_model(name), folder)
    finally:
        hugging_face.unpermute = unpermute
    tokens = tiny.tokens(tiny.by_name(name), POSITIONS)
    right = mantissa.logits(twin(name, "F32", 3), tokens, adapter=lavapipe)
    assert np.abs(mantissa.logits(folder, tokens, adapter=lavapipe) - right).max() > 0.1


def test_one_file_of_a_folder(mantissa, lavapipe, twin):
    """The file by itself finds what lies beside it."""
    folder = twin("linear_scaling")
    tokens = [1, 2, 3]
    whole = mantissa.logits(folder, tokens, adapter=lavapipe)
    file = mantissa.logits(folder / "model.safetensors", tokens, adapter=lavapipe)
    assert (file == whole).all()


@pytest.mark.parametrize("text", TEXTS)
def test_ids(text, mantissa, lavapipe, twin, tmp_path):
    """A prompt gives the very logits of the ids that the `tokenizers` package gives."""
    folder = twin("linear_scaling")
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    out = tmp_path / "logits.npy"
    mantissa.run("logits", "--model", folder, "--prompt", text, "--out", out,
                 "--adapter", lavapipe.substring, adapter=lavapipe)
    assert (np.load(out) == mantissa.logits(folder, ids, adapter=lavapipe)).all()


def test_answer(mantissa, lavapipe, twin):
    """The folder's chat template and tokenizer, from prompt to text."""
    folder = twin("linear_scaling")
    answer = mantissa.json("run", "--model", folder, "--prompt", "the rest", "--max-tokens", 8,
                           "--adapter", lavapipe.substring, adapter=lavapipe)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompt = "<|im_start|>user\nthe rest<|im_end|>\n<|im_start|>assistant\n"
    assert answer["prompt_tokens"] == len(tokenizer.encode(prompt).ids)
    assert answer["text"] == tokenizer.decode(answer["token_ids"], skip_special_tokens=True)


@pytest.mark.parametrize("name", ["mixed_types", "gqa2_head80_q5_1"])
def test_own_file(name, mantissa, lavapipe, tiny_model, scratch):
    """Mantissa's own file, written here by its documentation, is the GGUF bit by bit."""
    file = hugging_face.write_mantissa(tiny_model(name), scratch / f"{name}.safetensors")
    tokens = tiny.tokens(tiny.by_name(name), 5)
    given = mantissa.logits(file, tokens, adapter=lavapipe)
    assert (given == mantissa.logits(tiny_model(name), tokens, adapter=lavapipe)).all()
    report, twin = (mantissa.json("inspect", path) for path in (file, tiny_model(name)))
    assert report["metadata"] == twin["metadata"]
    shapes = lambda r: {t["name"]: (t["shape"], t["type"].lower(), t["bytes"]) for t in r["tensors"]}  # noqa: E731
    assert shapes(report) == shapes(twin)
    assert "safetensors (Mantissa)" in mantissa.run("inspect", file).out


def test_inspect(mantissa, twin):
    """A folder in GGUF's terms."""
    folder = twin("gqa3_head64_q4_1", "F32", 3)
    report = mantissa.json("inspect", folder)
    assert report["container"] == "safetensors (Hugging Face)" and len(report["shards"]) == 3
    assert report["metadata"]["general.architecture"] == "llama"
    assert report["metadata"]["llama.attention.head_count_kv"] == 1
    names = {t["name"] for t in report["tensors"]}
    assert {"token_embd.weight", "blk.1.attn_q.weight", "output_norm.weight"} <= names
    assert "3 file(s)" in mantissa.run("inspect", folder).out


def _without(file):
    return lambda folder: (folder / file).unlink()


def _config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return change


def _cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage, words", [
    (_without("config.json"), ["config.json", "no such file"]),
    (_without("model.safetensors"), ["model.safetensors", "neither"]),
    (_config(model_type="gemma"), ["model_type", "gemma"]),
    (_config(rope_scaling={"rope_type": "yarn", "factor": 2.0}), ["rope_scaling", "yarn"]),
    (_config(hidden_size=None), ["hidden_size", "is missing"]),
    (_config(rms_norm_eps=float("nan")), ["config.json", "line 1"]),
    (_cut, ["model.safetensors", "truncated"]),
])
def test_broken_folders(damage, words, mantissa, lavapipe, twin, tmp_path):
    """Exit code 1 and a sentence that names the thing, before anything is uploaded."""
    folder = tmp_path / "model"
    shutil.copytree(twin("linear_scaling"), folder)
    damage(folder)
    result = mantissa.run("run", "--model", folder, "--prompt", "x", "--adapter", lavapipe.substring,
                          adapter=lavapipe, code=1)
    assert all(word in result.err for word in words), str(result)
