"""Writes tiny_llama.gguf and tiny_llama.json with the `gguf` package (0.19.0) and numpy.

    pip install gguf==0.19.0 numpy==2.4.6 && python tests/golden/tiny_llama.py

The file is a random llama of two layers whose metadata also hold every GGUF value type. The JSON
holds what was written: metadata as plain values, tensors as the package's reader finds them.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as V

HERE = Path(__file__).parent
LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, FFN, VOCABULARY = 2, 64, 4, 2, 16, 96, 101

# Key, value, type, element type. Floats are exact in f32.
ZOO = [
    ("zoo.u8", 255, V.UINT8, None),
    ("zoo.i8", -128, V.INT8, None),
    ("zoo.u16", 65535, V.UINT16, None),
    ("zoo.i16", -32768, V.INT16, None),
    ("zoo.u32", 2**32 - 1, V.UINT32, None),
    ("zoo.i32", -(2**31), V.INT32, None),
    ("zoo.f32", 0.15625, V.FLOAT32, None),
    ("zoo.bool", True, V.BOOL, None),
    ("zoo.string", "naïve 日本語 🦙\n", V.STRING, None),
    ("zoo.u64", 2**64 - 1, V.UINT64, None),
    ("zoo.i64", -(2**63), V.INT64, None),
    ("zoo.f64", 0.1, V.FLOAT64, None),
    ("zoo.u8s", [0, 1, 255], V.ARRAY, V.UINT8),
    ("zoo.i8s", [-128, 127], V.ARRAY, V.INT8),
    ("zoo.u16s", [0, 65535], V.ARRAY, V.UINT16),
    ("zoo.i16s", [-32768, 32767], V.ARRAY, V.INT16),
    ("zoo.u32s", [0, 2**32 - 1], V.ARRAY, V.UINT32),
    ("zoo.i32s", [-(2**31), 2**31 - 1], V.ARRAY, V.INT32),
    ("zoo.f32s", [0.5, -1.25], V.ARRAY, V.FLOAT32),
    ("zoo.bools", [True, False, True], V.ARRAY, V.BOOL),
    ("zoo.strings", ["", "a", "é"], V.ARRAY, V.STRING),
    ("zoo.u64s", [0, 2**64 - 1], V.ARRAY, V.UINT64),
    ("zoo.i64s", [-(2**63), 2**63 - 1], V.ARRAY, V.INT64),
    ("zoo.f64s", [0.1, 1e300], V.ARRAY, V.FLOAT64),
    ("zoo.nested", [[1, 2], [3]], V.ARRAY, V.ARRAY),
]

LLAMA = [
    ("general.name", "tiny random llama", V.STRING, None),
    ("general.alignment", 64, V.UINT32, None),
    ("llama.block_count", LAYERS, V.UINT32, None),
    ("llama.context_length", 128, V.UINT32, None),
    ("llama.embedding_length", WIDTH, V.UINT32, None),
    ("llama.feed_forward_length", FFN, V.UINT32, None),
    ("llama.attention.head_count", HEADS, V.UINT32, None),
    ("llama.attention.head_count_kv", KV_HEADS, V.UINT32, None),
    ("llama.attention.layer_norm_rms_epsilon", 2.0**-16, V.FLOAT32, None),
    ("llama.rope.dimension_count", HEAD, V.UINT32, None),
    ("llama.rope.freq_base", 500000.0, V.FLOAT32, None),
    ("tokenizer.ggml.tokens", [f"<{i}>" for i in range(VOCABULARY)], V.ARRAY, V.STRING),
]


def matrices():
    """Name, shape in numpy's order, type."""
    yield "token_embd.weight", (VOCABULARY, WIDTH), Type.Q8_0
    for i in range(LAYERS):
        b = f"blk.{i}."
        yield b + "attn_norm.weight", (WIDTH,), Type.F32
        yield b + "attn_q.weight", (HEADS * HEAD, WIDTH), Type.Q4_1
        yield b + "attn_q.bias", (HEADS * HEAD,), Type.F32
        yield b + "attn_k.weight", (KV_HEADS * HEAD, WIDTH), Type.Q5_0
        yield b + "attn_v.weight", (KV_HEADS * HEAD, WIDTH), Type.Q5_1
        yield b + "attn_output.weight", (WIDTH, HEADS * HEAD), Type.Q4_0
        yield b + "ffn_norm.weight", (WIDTH,), Type.F32
        yield b + "ffn_gate.weight", (FFN, WIDTH), Type.F16
        yield b + "ffn_up.weight", (FFN, WIDTH), Type.BF16
        yield b + "ffn_down.weight", (WIDTH, FFN), Type.F32
    yield "output_norm.weight", (WIDTH,), Type.F32
    yield "rope_freqs.weight", (HEAD // 2,), Type.F32


def write(path):
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    for key, value, kind, element in LLAMA + ZOO:
        if key == "general.alignment":
            writer.add_custom_alignment(value)
        else:
            writer.add_key_value(key, value, kind, element)
    for name, shape, kind in matrices():
        values = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        data = gguf.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(path):
    reader = gguf.GGUFReader(path)
    return {
        "version": 3,
        "alignment": int(reader.alignment),
        "data_offset": int(reader.data_offset),
        "metadata": {"general.architecture": "llama"}
        | {key: value for key, value, _, _ in LLAMA + ZOO},
        "tensors": [
            {
                "name": t.name,
                "type": t.tensor_type.name,
                "shape": [int(n) for n in t.shape],
                "offset": int(t.data_offset),
                "bytes": int(t.n_bytes),
                "first": t.data.tobytes()[:8].hex(),
            }
            for t in reader.tensors
        ],
    }


if __name__ == "__main__":
    write(HERE / "tiny_llama.gguf")
    text = json.dumps(describe(HERE / "tiny_llama.gguf"), indent=1, ensure_ascii=False)
    (HERE / "tiny_llama.json").write_text(text + "\n")
