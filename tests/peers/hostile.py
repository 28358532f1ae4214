"""GGUF files that lie: each is made here, byte by byte, and named with what is wrong with it.

Nothing is shared with a GGUF library, so that a file can be wrong in any place. A `Case` is a file
and a pattern that the program's one-line error must match: it has to name the thing.

    python hostile.py FOLDER      # writes them all
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
EMBEDDING, HEADS, HEAD, FEED_FORWARD, VOCABULARY = 32, 1, 32, 32, 8
DEEP = 100_000


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    codes = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q",
             I64: "q", F64: "d"}
    if kind == STRING:
        return string(v)
    if kind == ARRAY:
        inner, items = v
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, i) for i in items)
    return struct.pack("<" + codes[kind], v)


def pair(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


@dataclass
class Tensor:
    """A tensor's entry; `offset` None is where it belongs."""

    name: str
    shape: tuple
    kind: int = 0
    offset: int | None = None
    data: bytes | None = None

    def bytes(self):
        if self.data is None:
            self.data = np.full(int(np.prod(self.shape)), 0.125, "<f4").tobytes()
        return self.data


def metadata():
    """A model that is right, as [key, type, value]."""
    return [
        ["general.architecture", STRING, "llama"],
        ["llama.block_count", U32, 1],
        ["llama.context_length", U32, 64],
        ["llama.embedding_length", U32, EMBEDDING],
        ["llama.feed_forward_length", U32, FEED_FORWARD],
        ["llama.attention.head_count", U32, HEADS],
        ["llama.attention.head_count_kv", U32, HEADS],
        ["llama.attention.layer_norm_rms_epsilon", F32, 1e-5],
        ["llama.rope.dimension_count", U32, HEAD],
        ["llama.rope.freq_base", F32, 10000.0],
        ["llama.vocab_size", U32, VOCABULARY],
        ["tokenizer.ggml.model", STRING, "no_vocab"],
    ]


def tensors():
    """Its tensors; shapes as the file has them, the contiguous dimension first."""
    n, ff = EMBEDDING, FEED_FORWARD
    return [
        Tensor("token_embd.weight", (n, VOCABULARY)),
        Tensor("blk.0.attn_norm.weight", (n,)),
        Tensor("blk.0.attn_q.weight", (n, HEADS * HEAD)),
        Tensor("blk.0.attn_k.weight", (n, HEADS * HEAD)),
        Tensor("blk.0.attn_v.weight", (n, HEADS * HEAD)),
        Tensor("blk.0.attn_output.weight", (HEADS * HEAD, n)),
        Tensor("blk.0.ffn_norm.weight", (n,)),
        Tensor("blk.0.ffn_gate.weight", (n, ff)),
        Tensor("blk.0.ffn_up.weight", (n, ff)),
        Tensor("blk.0.ffn_down.weight", (ff, n)),
        Tensor("output_norm.weight", (n,)),
    ]


def build(meta=None, tens=None, magic=b"GGUF", version=3, n_tensors=None, n_pairs=None,
          alignment=32, extra_pairs=b"", tail=b""):
    """The file. `meta` entries may be raw bytes."""
    meta = metadata() if meta is None else meta
    tens = tensors() if tens is None else tens
    pairs = b"".join(m if isinstance(m, bytes) else pair(*m) for m in meta) + extra_pairs
    infos, data = b"", b""
    for t in tens:
        offset = len(data) if t.offset is None else t.offset
        infos += string(t.name) + struct.pack(f"<I{len(t.shape)}QIQ", len(t.shape), *t.shape, t.kind, offset)
        data += t.bytes()
        data += b"\0" * (-len(data) % alignment)
    head = magic + struct.pack(
        "<IQQ", version, len(tens) if n_tensors is None else n_tensors,
        len(meta) if n_pairs is None else n_pairs)
    head += pairs + infos
    return head + b"\0" * (-len(head) % alignment) + data + tail


def changed(key, kind=None, v=None):
    """The right metadata with one key changed, or taken out where no type is given."""
    meta = [m for m in metadata() if m[0] != key]
    if kind is not None:
        meta.append([key, kind, v])
    return meta


def retensored(name, **fields):
    """The right tensors with one field of one changed."""
    result = tensors()
    for t in result:
        if t.name == name:
            original = t.bytes()
            for key, v in fields.items():
                setattr(t, key, v)
            t.data = fields.get("data", original)
    return result


@dataclass
class Case:
    """A file; `pattern` (a regular expression, any case) must be found in the error."""

    name: str
    data: bytes
    pattern: str

    def __str__(self):
        return self.name


def right():
    """The file that all others are a step away from; it must load."""
    return build()


def header_cases():
    good = right()
    yield Case("empty", b"", "trunc|empty|short|end|magic|bytes")
    yield Case("four_bytes", good[:4], "trunc|short|end|bytes")
    yield Case("wrong_magic", build(magic=b"GGML"), "magic|not a gguf")
    yield Case("not_a_model", b"# a markdown file\n" * 40, "magic|not a gguf")
    yield Case("version_1", build(version=1), "version")
    yield Case("version_0", build(version=0), "version")
    yield Case("version_huge", build(version=0xFFFFFFFF), "version")
    yield Case("big_endian", build(version=struct.unpack("<I", struct.pack(">I", 3))[0]), "version|endian")
    yield Case("tensor_count_huge", build(n_tensors=2**63), "tensor|count|trunc|end")
    yield Case("tensor_count_large", build(n_tensors=2**31), "tensor|count|trunc|end")
    yield Case("tensor_count_one_more", build(n_tensors=len(tensors()) + 1), "")
    yield Case("pair_count_huge", build(n_pairs=2**64 - 1), "metadata|key|count|trunc|end")
    yield Case("pair_count_one_more", build(n_pairs=len(metadata()) + 1), "")
    for part in range(1, 16):
        yield Case(f"truncated_{part}_16", good[: len(good) * part // 16], "trunc|end|short|beyond|past|bytes")
    yield Case("truncated_last_byte", good[:-1], "trunc|end|short|beyond|past|bytes")


def metadata_cases():
    def raw(key, kind, rest):
        return [*metadata(), string(key) + struct.pack("<I", kind) + rest]

    yield Case("key_length_huge", build([*metadata(), struct.pack("<Q", 2**62) + b"x"]), "length|trunc|end|string|key")
    yield Case("string_length_huge", build(raw("a.b", STRING, struct.pack("<Q", 2**64 - 1))), "a\\.b|length|trunc|end")
    yield Case("array_count_huge", build(raw("a.b", ARRAY, struct.pack("<IQ", U64, 2**61))), "a\\.b|count|length|trunc|end")
    yield Case("array_of_strings_huge", build(raw("a.b", ARRAY, struct.pack("<IQ", STRING, 2**40))), "a\\.b|count|length|trunc|end")
    yield Case("array_type_unknown", build(raw("a.b", ARRAY, struct.pack("<IQ", 99, 1))), "type")
    nested = struct.pack("<IQ", ARRAY, 1) * DEEP + struct.pack("<IQ", U8, 0)
    yield Case("array_nested_deep", build(raw("a.b", ARRAY, nested)), "nest|deep|array")
    yield Case("value_type_unknown", build(raw("a.b", 13, b"\0" * 8)), "type")
    yield Case("key_not_utf8", build([*metadata(), pair(b"\xff\xfe", U32, 1)]), "utf|key")
    yield Case("key_twice", build([*metadata(), ["llama.block_count", U32, 7]]), "block_count|duplicate|twice")
    yield Case("alignment_zero", build(changed("general.alignment", U32, 0)), "alignment")
    yield Case("alignment_three", build(changed("general.alignment", U32, 3)), "align")
    yield Case("alignment_huge", build(changed("general.alignment", U32, 2**31)), "align|trunc|end|past|beyond")
    yield Case("alignment_a_string", build(changed("general.alignment", STRING, "32")), "alignment")


def tensor_cases():
    q = "blk.0.attn_q.weight"
    size = EMBEDDING * HEAD * 4
    end = len(right())
    yield Case("offset_past_the_end", build(tens=retensored(q, offset=end // 32 * 32 + 64)), "attn_q")
    yield Case("offset_wraps", build(tens=retensored(q, offset=2**64 - 32)), "attn_q")
    yield Case("offset_misaligned", build(tens=retensored(q, offset=33)), "attn_q|align")
    yield Case("tensors_overlap", build(tens=retensored(q, offset=0)), "attn_q|overlap|token_embd")
    yield Case("tensors_overlap_by_a_bit", build(tens=retensored(
        "blk.0.attn_k.weight", offset=VOCABULARY * EMBEDDING * 4 + EMBEDDING * 4 + size - 32)), "overlap|attn_k|attn_q")
    yield Case("tensor_twice", build(tens=[*tensors(), Tensor(q, (EMBEDDING, HEAD))]), "attn_q")
    yield Case("dimensions_five", build(tens=retensored(q, shape=(32, 32, 1, 1, 1))), "dim|attn_q")
    yield Case("dimensions_none", build(tens=retensored(q, shape=())), "dim|attn_q")
    yield Case("dimensions_billions", build(
        tens=[*tensors(), Tensor("extra", (), data=b"")]).replace(
            string("extra") + struct.pack("<I", 0), string("extra") + struct.pack("<I", 2**32 - 1)), "dim|extra")
    yield Case("shape_zero", build(tens=retensored(q, shape=(0, 32))), "attn_q|zero|empty")
    yield Case("shape_overflows", build(tens=retensored(q, shape=(2**33, 2**33))), "attn_q|overflow|large|big")
    yield Case("bytes_overflow", build(tens=retensored(q, shape=(2**32, 2**30))), "attn_q|overflow|large|big|past|end")
    yield Case("type_unknown", build(tens=retensored(q, kind=4242)), "attn_q.*4242|4242.*attn_q")
    yield Case("type_removed", build(tens=retensored(q, kind=4)), "attn_q")
    k_row = b"\0" * 292  # one block of 256
    yield Case("type_q8_k", build(tens=retensored(
        "blk.0.ffn_up.weight", kind=15, shape=(256, 1), data=k_row)), "ffn_up.*q8_k|q8_k.*ffn_up")
    yield Case("row_no_multiple_of_the_block", build(tens=retensored(
        q, kind=2, shape=(33, 32), data=b"\0" * (18 * 33))), "attn_q|multiple|block")
    yield Case("name_not_utf8", build(tens=[*tensors(), Tensor(b"\xff\xff", (32,))]), "utf|name")
    yield Case("name_huge", build(tens=[*tensors(), Tensor("x" * 70_000, (32,))]), "")


def model_cases():
    for key in ("general.architecture", "llama.block_count", "llama.embedding_length",
                "llama.feed_forward_length", "llama.attention.head_count", "llama.context_length",
                "llama.attention.layer_norm_rms_epsilon"):
        yield Case(f"without_{key}", build(changed(key)), key.split(".")[-1])
    for key, kind, v in [
        ("llama.block_count", U32, 0), ("llama.block_count", U32, 2**32 - 1),
        ("llama.block_count", U32, 2), ("llama.block_count", STRING, "1"),
        ("llama.attention.head_count", U32, 0), ("llama.attention.head_count", U32, 3),
        ("llama.attention.head_count_kv", U32, 0), ("llama.attention.head_count_kv", U32, 5),
        ("llama.embedding_length", U32, 0), ("llama.embedding_length", U32, 64),
        ("llama.embedding_length", I32, -32),
        ("llama.feed_forward_length", U32, 64), ("llama.context_length", U32, 0),
        ("llama.rope.dimension_count", U32, 31), ("llama.rope.dimension_count", U32, 4096),
        ("llama.rope.freq_base", F32, float("nan")), ("llama.rope.freq_base", F32, 0.0),
        ("llama.attention.layer_norm_rms_epsilon", F32, float("nan")),
        ("llama.attention.layer_norm_rms_epsilon", F32, -1.0),
    ]:
        yield Case(f"{key}_{v}", build(changed(key, kind, v)), "llama\\.|blk\\.|tensor|shape|head|weight")
    yield Case("architecture_unknown", build(changed("general.architecture", STRING, "nonesuch")), "nonesuch")
    yield Case("rope_scaling_unknown", build(changed("llama.rope.scaling.type", STRING, "yarn")), "yarn|scaling")
    yield Case("rope_scaling_zero", build([*changed("llama.rope.scaling.type", STRING, "linear"),
                                          ["llama.rope.scaling.factor", F32, 0.0]]), "scaling|factor")
    for t in tensors():
        yield Case(f"without_{t.name}", build(tens=[o for o in tensors() if o.name != t.name]), t.name)
    yield Case("tensor_of_another_shape", build(tens=retensored(
        "blk.0.attn_v.weight", shape=(EMBEDDING, 16), data=b"\0" * (EMBEDDING * 16 * 4))), "attn_v")
    yield Case("norm_of_another_length", build(tens=retensored(
        "output_norm.weight", shape=(16,), data=b"\0" * 64)), "output_norm")
    nan, inf = (np.full(EMBEDDING * 32, v, np.float32).tobytes() for v in (np.nan, np.inf))
    yield Case("weights_nan", build(tens=retensored("blk.0.attn_output.weight", data=nan)),
               "attn_output.*NaN|attn_output.*nan")
    yield Case("weights_infinite", build(tens=retensored("blk.0.attn_output.weight", data=inf)),
               "attn_output.*inf")
    words = ["a", "b", "c"]
    meta = changed("tokenizer.ggml.model", STRING, "gpt2")
    meta += [["tokenizer.ggml.tokens", ARRAY, (STRING, words)],
             ["tokenizer.ggml.token_type", ARRAY, (I32, [1] * len(words))],
             ["tokenizer.ggml.merges", ARRAY, (STRING, [])]]
    yield Case("vocabulary_does_not_fit", build(meta), "vocab|token")


def cases():
    """All of them."""
    return [*header_cases(), *metadata_cases(), *tensor_cases(), *model_cases()]


if __name__ == "__main__":
    for case in cases():
        (Path(sys.argv[1]) / f"{case.name}.gguf").write_bytes(case.data)
