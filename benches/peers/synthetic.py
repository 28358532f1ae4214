"""Writes a llama-shaped GGUF of 0.5, 1.1 or 3 billion random Q4_0 weights, to see how speed scales.

    python benches/peers/synthetic.py 1.1b OUT.gguf && mantissa bench --only model --model OUT.gguf

Needs `gguf` and `numpy` (tests/peers/requirements.txt). The file has no tokenizer and says nothing
that makes sense; it is not to be kept.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter


@dataclass(frozen=True)
class Shape:
    """What a file's size follows from; the output matrix is the embedding."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    head: int = 64
    context: int = 8192

    def matrices(self):
        """(name, rows, columns) of every packed tensor."""
        q, kv = self.heads * self.head, self.kv_heads * self.head
        yield "token_embd", self.vocabulary, self.width
        for layer in range(self.layers):
            at = f"blk.{layer}."
            yield at + "attn_q", q, self.width
            yield at + "attn_k", kv, self.width
            yield at + "attn_v", kv, self.width
            yield at + "attn_output", self.width, q
            yield at + "ffn_gate", self.feed_forward, self.width
            yield at + "ffn_up", self.feed_forward, self.width
            yield at + "ffn_down", self.width, self.feed_forward

    def weights(self):
        """How many there are."""
        return sum(rows * columns for _, rows, columns in self.matrices())


# Of the proportions of Qwen2 0.5B, TinyLlama and Llama 3.2 3B.
SHAPES = {
    "tiny": Shape(64, 2, 2, 1, 96, 320, head=32, context=512),
    "0.5b": Shape(896, 24, 14, 2, 4864, 151_936),
    "1.1b": Shape(2048, 22, 32, 4, 5632, 49_152),
    "3b": Shape(3072, 28, 24, 8, 8192, 65_536, head=128),
}


def blocks(rng, rows, columns):
    """Random Q4_0 rows: blocks of an f16 scale and 32 nibbles, the values' deviation 1/√K."""
    count = columns // 32
    out = np.empty((rows, count, 18), np.uint8)
    # Nibbles less 8 are uniform in [-8, 7], whose deviation is 4.6.
    out[..., :2] = np.array([1 / (4.6 * np.sqrt(columns))], np.float16).view(np.uint8)
    out[..., 2:] = np.frombuffer(rng.bytes(rows * count * 16), np.uint8).reshape(rows, count, 16)
    return out.reshape(rows, count * 18)


def write(shape, path):
    """Writes the model to `path`; its tensors are made one at a time."""
    rng = np.random.default_rng(1)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_quantization_version(2)
    writer.add_tokenizer_model("no_vocab")
    norms = ["output_norm"]
    norms += [f"blk.{i}.{part}_norm" for i in range(shape.layers) for part in ("attn", "ffn")]
    for name in norms:
        writer.add_tensor_info(f"{name}.weight", (shape.width,), np.dtype(np.float32),
                               shape.width * 4)
    for name, rows, columns in shape.matrices():
        size = rows * columns // 32 * 18
        writer.add_tensor_info(f"{name}.weight", (rows, columns // 32 * 18), np.dtype(np.uint8),
                               size, raw_dtype=T.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _ in norms:
        writer.write_tensor_data(np.ones(shape.width, np.float32))
    for _, rows, columns in shape.matrices():
        writer.write_tensor_data(blocks(rng, rows, columns))
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("size", choices=SHAPES)
    parser.add_argument("out")
    options = parser.parse_args()
    write(SHAPES[options.size], options.out)
    print(f"{SHAPES[options.size].weights() / 1e9:.2f} billion weights", file=sys.stderr)
