"""Makes text_*.json: what llama.cpp's tokenizer and Jinja2 say, for tests/text.rs and tests/model_text.rs.

    pip install gguf numpy xllamacpp jinja2
    python tests/golden/text.py DEFAULT_MODEL.gguf

llama.cpp is asked through xllamacpp's HTTP server. Tiny vocabularies are learned here from the strings
themselves, without cutting them into words first, so that merges cross every boundary that a
pre-tokenizer could draw: a boundary in the wrong place changes the ids.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile

import gguf
import numpy as np

from text_chat import chat_cases
from text_strings import strings

HERE = os.path.dirname(os.path.abspath(__file__))
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# One name for each rule of src/model/tokenizer/pre.rs.
RULES = ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "qwen35", "seed-coder", "bailingmoe", "tekken", "gpt-4o",
         "deepseek-v3", "deepseek-coder", "falcon", "bloom", "viking", "default"]

# Texts to which BOS and EOS are added.
ADDED = ["", " ", "Hello", " Hello"]
# Vocabularies in which llama.cpp finds ends of generation by text, and changes kinds.
END_LISTS = {
    "gpt-oss": ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", "<|endoftext|>"],
    "solar": ["<|flush|>", "<|calls|>", "<|end|>", "<|im_end|>"],
    "phi": ["<|end|>", "<|endoftext|>", "<|user|>"],
    "gemma": ["<eos>", "</s>", "<|tool_response>", "<turn|>", "<end_of_turn>"],
    "qwen": ["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>", "<|im_end|>", "<tool_call>"],
    "llama": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"],
    "others": ["[EOS]", "[EOT]", "[PAD]", "<EOT>", "_<EOT>", "[e~[", "<end_of_utterance>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<PRE>", "<SUF>", "<MID>", "</s>"],
}


def alphabet():
    """GPT-2's bytes_to_unicode."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(rest)}


def learn(texts, count):
    """The `count` most frequent pairs, one after the other; ties by text."""
    words = [list(t) for t in texts if t]
    merges = []
    while len(merges) < count:
        pairs = {}
        for w in words:
            for p in zip(w, w[1:]):
                pairs[p] = pairs.get(p, 0) + 1
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for k, w in enumerate(words):
            out, i = [], 0
            while i < len(w):
                if tuple(w[i:i + 2]) == best:
                    out.append(best[0] + best[1])
                    i += 2
                else:
                    out.append(w[i])
                    i += 1
            words[k] = out
    return merges


def bpe_vocabulary(texts):
    table = alphabet()
    # As in SmolLM2's vocabulary, some bytes have no token.
    missing = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2}
    short = [t for t in texts if len(t) < 200]
    merges = learn(["".join(table[b] for b in t.encode()) for t in short], 1500)
    merges = [m for m in merges if not any(table[b] in m[0] + m[1] for b in missing)]
    special = [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<unk>", UNKNOWN),
               ("<tool>", USER), ("<|eot_id|>", NORMAL), ("[[a", USER), ("a]]b", USER), ("<unused>", UNUSED),
               ("<repo_name>", CONTROL), ("<file_sep>", CONTROL), ("[PAD]", NORMAL)]
    tokens = [s for s, _ in special] + [c for b, c in sorted(table.items()) if b not in missing]
    known = set(tokens)
    kept = []
    for a, b in merges:
        if a in known and b in known and a + b not in known:
            known.add(a + b)
            tokens.append(a + b)
            kept.append(f"{a} {b}")
    kinds = [k for _, k in special] + [NORMAL] * (len(tokens) - len(special))
    return {"tokens": tokens, "token_types": kinds, "merges": kept, "bos": 1, "eos": 2}


def spm_vocabulary(texts):
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL), *((f"<0x{b:02X}>", BYTE) for b in range(256)),
               ("<tool>", USER), ("[[a", USER), ("a]]b", USER), ("<unused>", UNUSED)]
    short = [t.replace(" ", "\u2581") for t in texts if len(t) < 200]
    merges = learn(short, 900)
    # llama.cpp cuts tokens at a NUL.
    pieces = [a + b for a, b in merges if "\0" not in a + b]
    # Only the commoner characters have tokens: the others fall back to bytes, also where a longer token
    # holds them. Scores come in threes, so that there are ties.
    characters = sorted({c for t in short for c in t if "\u2581".join(short).count(c) > 3})
    tokens = list(dict.fromkeys([s for s, _ in special] + pieces + characters))
    n = len(special)
    scores = [0.0] * n + [-float((i - n) // 3) for i in range(n, len(tokens))]
    kinds = [k for _, k in special] + [NORMAL] * (len(tokens) - n)
    return {"tokens": tokens, "token_types": kinds, "scores": scores, "bos": 1, "eos": 2}


def write_model(path, model, vocabulary, pre=None, **flags):
    """A llama model that is just large enough to be loaded."""
    w = gguf.GGUFWriter(path, "llama")
    width, n = 32, len(vocabulary["tokens"])
    w.add_context_length(128)
    w.add_embedding_length(width)
    w.add_block_count(1)
    w.add_feed_forward_length(32)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(n)
    w.add_name(flags.pop("name", "tiny"))
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(vocabulary["tokens"])
    w.add_token_types(vocabulary["token_types"])
    if "scores" in vocabulary:
        w.add_token_scores(vocabulary["scores"])
    if "merges" in vocabulary:
        w.add_token_merges(vocabulary["merges"])
    w.add_bos_token_id(vocabulary["bos"])
    w.add_eos_token_id(vocabulary["eos"])
    for key, value in flags.items():
        w.add_bool(f"tokenizer.ggml.{key}", value)
    zeros = lambda *shape: np.zeros(shape, np.float32)
    w.add_tensor("token_embd.weight", zeros(n, width))
    w.add_tensor("output_norm.weight", zeros(width))
    for name, shape in [("attn_norm", (width,)), ("ffn_norm", (width,)), ("attn_q", (width, width)),
                        ("attn_k", (width, width)), ("attn_v", (width, width)), ("attn_output", (width, width)),
                        ("ffn_gate", (32, width)), ("ffn_up", (32, width)), ("ffn_down", (width, 32))]:
        w.add_tensor(f"blk.0.{name}.weight", zeros(*shape))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Llama:
    """llama.cpp with a model, asked over HTTP."""

    def __init__(self, path):
        import xllamacpp

        p = xllamacpp.CommonParams()
        p.model.path, p.n_ctx, p.port, p.verbosity = path, 128, 0, 0
        self.server = xllamacpp.Server(p)
        self.http = http.client.HTTPConnection(self.server.listening_address.removeprefix("http://"))

    def post(self, path, **request):
        body = json.dumps(request)
        try:
            self.http.request("POST", path, body, {"Content-Type": "application/json"})
        except (BrokenPipeError, ConnectionError, http.client.HTTPException):
            # The server drops an idle connection.
            self.http.close()
            self.http.request("POST", path, body, {"Content-Type": "application/json"})
        answer = json.loads(self.http.getresponse().read())
        assert "error" not in answer, (path, request, answer)
        return answer

    def ids(self, text, add_special=False, parse_special=False):
        answer = self.post("/tokenize", content=text, add_special=add_special, parse_special=parse_special)
        return answer["tokens"]

    def text(self, ids):
        return self.post("/detokenize", tokens=ids)["content"]


def ask(llama, texts):
    """[ids] per text, or [ids, ids with special tokens parsed] where those differ."""
    rows = []
    for text in texts:
        plain, parsed = llama.ids(text), llama.ids(text, parse_special=True)
        rows.append([plain] if parsed == plain else [plain, parsed])
    return rows


def ends(path):
    """The ids that end a generation: llama.cpp only logs them."""
    code = (f"import os, xllamacpp as x; p = x.CommonParams(); p.model.path, p.n_ctx, p.port, p.verbosity = {path!r}, 128, 0, 10; "
            "s = x.Server(p); os._exit(0)")  # A server that is torn down by the interpreter's end may hang.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ids = sorted({int(i) for i in re.findall(r"EOG token +=? *(\d+)", done.stdout + done.stderr)})
    assert ids, done.stderr
    return ids


def ask_tiny(model, vocabulary, texts, pre=None, plain_only=False, **flags):
    """Rows of `ask` (or only plain ids), ids with BOS and EOS added, and the ids that end a generation."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.gguf")
        write_model(path, model, vocabulary, pre, **flags)
        llama = Llama(path)
        rows = [llama.ids(t) for t in texts] if plain_only else ask(llama, texts)
        return {"rows": rows, "added": [llama.ids(t, add_special=True) for t in ADDED], "ends": ends(path)}


def differing(rows, base):
    return {str(i): r for i, (r, b) in enumerate(zip(rows, base)) if r != b}


def fnv(ids):
    """FNV-1a over the ids as little-endian u32."""
    h = 0xCBF29CE484222325
    for byte in np.array(ids, "<u4").tobytes():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def sweep(llama):
    """A hash per 1,024 code points, each in the company of letters, digits and spaces."""
    hashes = []
    for start in range(0, 0x110000, 0x400):
        chars = [chr(c) for c in range(start, start + 0x400) if not 0xD800 <= c < 0xE000]
        hashes.append(fnv(llama.ids("\n".join(f"a{c}b 1{c}2 {c}  {c}{c}'s" for c in chars))))
    return hashes


def dump(name, value):
    path = os.path.join(HERE, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    print(name, os.path.getsize(path))


def ask_ends():
    """Per list: ends of generation, and ids of all its texts in a row, special tokens parsed or not."""
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in END_LISTS.items():
            tokens = ["<bos>", "<stop>", *texts, "ab", *sorted(alphabet().values())]
            kinds = [CONTROL, CONTROL] + [NORMAL] * (len(tokens) - 2)
            path = os.path.join(folder, f"{name}.gguf")
            write_model(path, "gpt2", {"tokens": tokens, "token_types": kinds, "merges": ["a b"], "bos": 0, "eos": 1}, "gpt-2")
            llama, text = Llama(path), "x".join(texts)
            answers[name] = {"tokens": tokens, "token_types": kinds, "text": text, "ends": ends(path),
                             "plain": llama.ids(text), "parsed": llama.ids(text, parse_special=True)}
    return answers


def main(default_model):
    texts = strings()
    dump("text_strings.json", texts)
    llama = Llama(default_model)
    dump("text_chat.json", chat_cases(default_model, llama))
    dump("text_model.json", {"rows": ask(llama, texts), "sweep": sweep(llama), "ends": ends(default_model)})

    bpe = bpe_vocabulary(texts)
    base = ask_tiny("gpt2", bpe, texts, "gpt-2")
    dump("text_bpe.json", {"vocabulary": bpe, **base})
    plain = [row[0] for row in base["rows"]]
    rules = {}
    for pre in RULES[1:]:
        rules[pre] = ask_tiny("gpt2", bpe, texts, pre, plain_only=True)
        # Only what differs from gpt-2.
        rules[pre]["rows"] = differing(rules[pre]["rows"], plain)
        print(pre, "differs from gpt-2 in", len(rules[pre]["rows"]))
    for part in (0, 1):
        dump(f"text_rules_{'ab'[part]}.json", dict(list(rules.items())[part::2]))

    spm = spm_vocabulary(texts)
    base = ask_tiny("llama", spm, texts)
    dump("text_spm.json", {"vocabulary": spm, **base})
    variants = {
        "no_prefix": ask_tiny("llama", spm, texts, add_space_prefix=False, add_eos_token=True, add_bos_token=False),
        "phi3": ask_tiny("llama", spm, texts, name="Phi-3 tiny"),
    }
    for variant in variants.values():
        variant["rows"] = differing(variant["rows"], base["rows"])
    dump("text_spm_variants.json", variants)
    dump("text_ends.json", ask_ends())


if __name__ == "__main__":
    main(sys.argv[1])
