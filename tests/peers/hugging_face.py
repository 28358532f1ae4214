"""A GGUF's twins in safetensors: a folder as Hugging Face has it, and a file as Mantissa has it.

Weights are those of the GGUF, dequantized by the `gguf` package, rows of queries and keys brought
back into Hugging Face's order; the tokenizer is made by the `tokenizers` package.

    python hugging_face.py MODEL.gguf FOLDER [F32|F16|BF16] [SHARDS]
"""

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from gguf import GGUFReader, GGUFValueType
from gguf.quants import dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
# What tiny.py computes its factors from.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}


def hf_name(name):
    """Hugging Face's name of a tensor."""
    if name in NAMES:
        return NAMES[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


def unpermute(rows, heads):
    """The inverse of convert_hf_to_gguf.py's `LlamaModel.permute`."""
    shape = (heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)


def config(meta, names):
    """config.json."""
    get = lambda key, default=None: meta.get(f"llama.{key}", default)  # noqa: E731
    heads, width = get("attention.head_count"), get("embedding_length")
    number = lambda x: float(str(np.float32(x)))  # noqa: E731  (as a person would write it)
    out = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": width, "num_hidden_layers": get("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("attention.key_length", width // heads),
        "intermediate_size": get("feed_forward_length"),
        "rms_norm_eps": number(get("attention.layer_norm_rms_epsilon")),
        "rope_theta": number(get("rope.freq_base")), "rope_scaling": None,
        "max_position_embeddings": get("context_length"), "vocab_size": get("vocab_size"),
        "tie_word_embeddings": "output.weight" not in names,
        "attention_bias": any("attn" in n and n.endswith(".bias") for n in names),
        "mlp_bias": any("ffn" in n and n.endswith(".bias") for n in names),
        "bos_token_id": 0, "eos_token_id": 2,
    }
    if get("rope.scaling.type") == "linear":
        out["rope_scaling"] = {"type": "linear", "factor": number(get("rope.scaling.factor"))}
    if "rope_freqs.weight" in names:
        out["rope_scaling"] = LLAMA3
    return out


def tokenizer(meta):
    """The vocabulary as the `tokenizers` package has it; unused tokens are left out."""
    types = meta["tokenizer.ggml.token_type"]
    tokens = {text: i for i, text in enumerate(meta["tokenizer.ggml.tokens"]) if types[i] != 5}
    merges = [tuple(m.split(" ")) for m in meta["tokenizer.ggml.merges"]]
    out = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    out.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    out.decoder = decoders.ByteLevel()
    out.add_special_tokens([AddedToken(t, normalized=False) for t, i in tokens.items() if types[i] == 3])
    return out


def _read(path):
    reader = GGUFReader(path)
    return reader, {key: field.contents() for key, field in reader.fields.items()}


def write_folder(gguf, folder, dtype="F32", shards=1):
    """Writes the Hugging Face twin and returns its folder. Norms and biases get the dtype, too."""
    reader, meta = _read(gguf)
    folder = Path(folder)
    folder.mkdir(parents=True)
    heads = {"attn_q": meta["llama.attention.head_count"], "attn_k": meta["llama.attention.head_count_kv"]}
    tensors = {}
    for t in reader.tensors:
        if t.name == "rope_freqs.weight":
            continue
        values = dequantize(t.data, t.tensor_type).reshape(t.shape[::-1])
        part = t.name.split(".")[-2]
        if part in heads:
            values = unpermute(values, heads[part])
        tensors[hf_name(t.name)] = np.ascontiguousarray(values.astype(DTYPES[dtype]))
    settings = config(meta, {t.name for t in reader.tensors})
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
    if "tokenizer.ggml.tokens" in meta:
        tokenizer(meta).save(str(folder / "tokenizer.json"))
        template = {"chat_template": meta["tokenizer.chat_template"], "eos_token": "<|im_end|>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(template))
    names = sorted(tensors)
    files = ["model.safetensors"] if shards == 1 else [
        f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    for i, file in enumerate(files):
        part = {n: tensors[n] for n in names[i::shards]}
        save_file(part, folder / file, {"format": "pt"})
    if shards > 1:
        index = {n: files[i % shards] for i, n in enumerate(names)}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": index}))
    return folder


def _json_value(field):
    """A GGUF field as Mantissa's metadata have it (src/model/safetensors/metadata.rs)."""
    names = {t: t.name.lower().replace("uint", "u").replace("int", "i").replace("float", "f")
             for t in GGUFValueType}
    kind = names[field.types[0]]
    value = {"type": kind, "value": field.contents()}
    if kind == "array":
        value["of"] = names[field.types[-1]]
    return value


def write_mantissa(gguf, path):
    """Writes Mantissa's own file with the GGUF's very blocks, by what its documentation says."""
    reader, _ = _read(gguf)
    meta = {k: _json_value(f) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    texts = {"format": "mantissa", "mantissa.version": "1", "mantissa.metadata": json.dumps(meta)}
    tensors = {}
    for t in reader.tensors:
        shape = [int(n) for n in t.shape[::-1]]
        kind = t.tensor_type.name
        if kind in DTYPES:
            tensors[t.name] = np.ascontiguousarray(t.data).view(DTYPES[kind]).reshape(shape)
        else:
            tensors[t.name] = np.ascontiguousarray(t.data)
            texts[f"mantissa.tensor.{t.name}"] = json.dumps({"format": kind.lower(), "shape": shape})
    save_file(tensors, path, texts)
    return path


if __name__ == "__main__":
    model, target, *options = sys.argv[1:]
    print(write_folder(model, target, *options[:1], *map(int, options[1:])))
