"""Tiny random llama-shaped GGUFs: every shape and type that the engine says it takes, in kilobytes.

Weights are random with a fixed seed per name, scaled so that attention is far from uniform and
logits spread over some ±10: a wrong rotation, head or scale then shows in the first digit.

    python tiny.py FOLDER [NAME ...]
"""

import math
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, RopeScalingType
from gguf.quants import quantize

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


@dataclass
class Spec:
    """One model. `types` names tensors by the end of their name, `default` being the rest."""

    name: str
    embedding: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int
    types: dict = field(default_factory=lambda: {"default": T.F32})
    layers: int = 2
    vocabulary: int = 307
    tied: bool = True
    rope_base: float = 10000.0
    rope_linear: float | None = None
    rope_factors: bool = False
    biases: tuple = ()
    tokenizer: bool = True
    context: int = 512
    eps: float = 1e-5


def _all(default, **others):
    return {"default": default, **others}


# Each differs from the others in more than one thing, so that the list stays short; K is the
# embedding or feed-forward length, few of which are multiples of 256.
SPECS = [
    Spec("gqa1_head32_f32", 96, 3, 3, 32, 160),
    Spec("gqa1_head64_q4_0", 128, 2, 2, 64, 352, _all(T.Q4_0), vocabulary=311, rope_base=5e5),
    Spec("gqa3_head64_q4_1", 192, 3, 1, 64, 352, _all(T.Q4_1, token_embd=T.Q8_0)),
    Spec("gqa3_head32_q8_0", 288, 9, 3, 32, 544, _all(T.Q8_0), vocabulary=317, layers=3),
    Spec("gqa8_head32_q5_0", 256, 8, 1, 32, 480, _all(T.Q5_0), tied=False),
    Spec("gqa8_head64_f16", 160, 8, 1, 64, 416, _all(T.F16), tied=False, vocabulary=401),
    Spec("gqa2_head80_q5_1", 160, 2, 1, 80, 224, _all(T.Q5_1, token_embd=T.F16)),
    Spec("gqa3_head80_bf16", 224, 3, 1, 80, 320, _all(T.BF16), tied=False),
    Spec("gqa3_head128_q4_1", 224, 3, 1, 128, 288, _all(T.Q4_1, token_embd=T.BF16)),
    Spec("gqa1_head128_f16", 256, 2, 2, 128, 256, _all(T.F16, token_embd=T.F32)),
    Spec("linear_scaling", 96, 3, 1, 32, 160, _all(T.Q8_0), rope_base=5e5, rope_linear=4.0),
    Spec("rope_factors", 128, 4, 2, 32, 192, _all(T.Q4_0), rope_base=5e5, rope_factors=True),
    Spec("mixed_types", 192, 6, 2, 32, 352, _all(
        T.Q4_1, token_embd=T.Q8_0, output=T.F16, attn_q=T.Q4_0, attn_k=T.BF16, attn_v=T.Q5_1,
        attn_output=T.F32, ffn_gate=T.Q5_0, ffn_up=T.Q8_0, ffn_down=T.Q4_1), tied=False),
    Spec("bias_attention", 96, 3, 1, 32, 160, _all(T.Q8_0),
         biases=("attn_q", "attn_k", "attn_v", "attn_output")),
    Spec("bias_feed_forward", 96, 3, 1, 32, 160, biases=("ffn_gate", "ffn_up", "ffn_down")),
    Spec("smallest", 32, 1, 1, 32, 32, _all(T.Q4_0), layers=1, vocabulary=283),
    Spec("odd_k_f32", 100, 3, 1, 32, 150, vocabulary=293),
    Spec("large_vocabulary", 64, 2, 1, 32, 96, _all(T.Q4_1, token_embd=T.Q8_0), vocabulary=5003),
    # Rows of whole blocks of 256, for every type that has such (test_formats.py).
    Spec("blocks_of_256", 256, 4, 2, 64, 512, vocabulary=293),
    Spec("no_tokenizer", 64, 2, 1, 32, 96, _all(T.Q5_1), vocabulary=131, tokenizer=False),
]


def by_name(name):
    """The spec of this name."""
    return next(s for s in SPECS if s.name == name)


def vocabulary(size):
    """(tokens, types, merges) of a byte-level BPE with ChatML's special tokens, `size` in all."""
    # GPT-2's printable stand-ins for the 256 bytes (openai/gpt-2, encoder.py, bytes_to_unicode).
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = {b: chr(b) for b in printable}
    for b in range(256):
        stand_in.setdefault(b, chr(256 + len(stand_in) - len(printable)))
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    types = [3] * 3  # control
    tokens += [stand_in[b] for b in range(256)]
    types += [1] * 256  # normal
    merges = []
    for pair in [(a, b) for a in "Ġetaoinshr" for b in "taoinshrel"][: max(size - len(tokens), 0)]:
        tokens.append("".join(pair))
        types.append(1)
        merges.append(" ".join(pair))
    while len(tokens) < size:
        tokens.append(f"<|unused_{len(tokens)}|>")
        types.append(5)  # unused
    if len(tokens) != size:
        raise ValueError(f"a byte vocabulary needs {len(tokens)} tokens, not {size}")
    return tokens, types, merges


def _add_tokenizer(writer, spec):
    if not spec.tokenizer:
        writer.add_tokenizer_model("no_vocab")
        return
    tokens, types, merges = vocabulary(spec.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_config(writer, spec):
    writer.add_name(spec.name)
    writer.add_block_count(spec.layers)
    writer.add_context_length(spec.context)
    writer.add_embedding_length(spec.embedding)
    writer.add_feed_forward_length(spec.feed_forward)
    writer.add_head_count(spec.heads)
    writer.add_head_count_kv(spec.kv_heads)
    if spec.embedding != spec.heads * spec.head:
        writer.add_key_length(spec.head)
        writer.add_value_length(spec.head)
    writer.add_layer_norm_rms_eps(spec.eps)
    writer.add_rope_dimension_count(spec.head)
    writer.add_rope_freq_base(spec.rope_base)
    writer.add_vocab_size(spec.vocabulary)
    if spec.rope_linear:
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(spec.rope_linear)
    writer.add_quantization_version(2)


def llama3_factors(spec, factor=8.0, low=1.0, high=4.0, original=32):
    """Llama 3's frequency factors: 1 for short waves, `factor` for long ones, smooth between.

    (meta-llama/llama-models, apply_scaling.) The original context is small here, so that a text of
    some tens of tokens meets all three kinds.
    """
    i = np.arange(spec.head // 2)
    wave = 2 * math.pi * spec.rope_base ** (2 * i / spec.head)
    smooth = (original / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    out = np.where(wave < original / high, 1.0, np.where(wave > original / low, factor, between))
    return out.astype(np.float32)


def tensors(spec):
    """(name, float32 array [rows, K] or [n], type) of every tensor, in file order."""
    rng = np.random.default_rng(zlib.crc32(spec.name.encode()))

    def kind(name):
        part = name.removesuffix(".weight").split(".")[-1]
        return spec.types.get(part, spec.types["default"])

    def matrix(name, rows, k, gain):
        values = rng.standard_normal((rows, k)).astype(np.float32) * np.float32(gain / math.sqrt(k))
        return name, values, kind(name)

    def norm(name):
        return name, (1 + 0.3 * rng.standard_normal(spec.embedding)).astype(np.float32), T.F32

    q, kv, n, ff = spec.heads * spec.head, spec.kv_heads * spec.head, spec.embedding, spec.feed_forward
    # Elements of about 0.2: what the layers add outweighs it, or a tied head would only echo.
    yield matrix("token_embd.weight", spec.vocabulary, n, 0.2 * math.sqrt(n))
    if spec.rope_factors:
        yield "rope_freqs.weight", llama3_factors(spec), T.F32
    for layer in range(spec.layers):
        at = f"blk.{layer}."
        yield norm(at + "attn_norm.weight")
        for name, rows, k, gain in [
            ("attn_q", q, n, 1.5), ("attn_k", kv, n, 1.5), ("attn_v", kv, n, 1.0),
            ("attn_output", n, q, 1.0), ("ffn_gate", ff, n, 1.0), ("ffn_up", ff, n, 1.0),
            ("ffn_down", n, ff, 1.0),
        ]:
            yield matrix(f"{at}{name}.weight", rows, k, gain)
            if name in spec.biases:
                yield f"{at}{name}.bias", (0.5 * rng.standard_normal(rows)).astype(np.float32), T.F32
        yield norm(at + "ffn_norm.weight")
    yield norm("output_norm.weight")
    if not spec.tied:
        yield matrix("output.weight", spec.vocabulary, n, 3.0)


def write(spec, path):
    """Writes the model to `path`."""
    writer = GGUFWriter(path, "llama")
    _add_config(writer, spec)
    _add_tokenizer(writer, spec)
    for name, values, kind in tensors(spec):
        if kind in (T.F32, T.F16):
            writer.add_tensor(name, values.astype(np.float32 if kind == T.F32 else np.float16))
        else:
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tokens(spec, count):
    """A fixed token list that touches the first and the last row of the embedding."""
    rng = np.random.default_rng(zlib.crc32(spec.name.encode()) + 1)
    ids = rng.integers(0, spec.vocabulary, count)
    ids[0], ids[-1] = spec.vocabulary - 1, 0
    return [int(i) for i in ids]


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    for s in SPECS:
        if not names or s.name in names:
            print(write(s, Path(folder) / f"{s.name}.gguf"))
