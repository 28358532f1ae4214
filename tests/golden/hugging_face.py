"""Small tokenizers as Hugging Face keeps them, and the ids that its `tokenizers` package gives.

    python hugging_face.py      # writes hugging_face_a.json and hugging_face_b.json beside itself

Each is a BPE of a few hundred tokens, learned from our prose, with the normalizer, pre-tokenizer,
post-processor and decoder of a family of models. Ids are of the strings of text_strings.json: with
special tokens added and parsed, and without either where that differs; texts are what decoding the
former gives, where that is not the string itself.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

HERE = Path(__file__).parent
PROSE = (HERE.parent / "peers" / "prose.txt").read_text()
STRINGS = json.loads((HERE / "text_strings.json").read_text())
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def learn(pre, size, specials, normalizer=None, **model):
    """Byte-level BPE."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([PROSE, *STRINGS], trainer)
    return tokenizer


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_level(False)])


def smollm():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
    return learn(pre, 500, CHATML)


def gpt2():
    return learn(byte_level(True), 450, ["<|endoftext|>"])


def llama3():
    names = ["<|begin_of_text|>", "<|eot_id|>"]
    tokenizer = learn(split(LLAMA3), 600, names, ignore_merges=True)
    bos = names[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, 0)])])
    return tokenizer


def qwen2():
    tokenizer = learn(split(LLAMA3.replace("{1,3}", "")), 500, CHATML, normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False, special=False)])
    return tokenizer


def spm():
    """Llama 2: SentencePiece's BPE with bytes to fall back to."""
    learned = Tokenizer(models.BPE())
    learned.normalizer = normalizers.Sequence([
        normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False)
    learned.train_from_iterator([PROSE], trainer)
    names = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    old = json.loads(learned.to_str())["model"]
    texts = names + sorted(old["vocab"], key=old["vocab"].get)
    tokenizer = Tokenizer(models.BPE(
        vocab={text: id for id, text in enumerate(texts)}, merges=[tuple(m) for m in old["merges"]],
        unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = learned.normalizer
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(content=" ", left=1)])
    tokenizer.add_special_tokens([AddedToken(n, normalized=False, special=True) for n in names[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def odd():
    """What GGUF has no name for: another normalizer, tokens that swallow spaces."""
    tokenizer = learn(byte_level(True), 400, CHATML[:1], normalizers.Lowercase())
    tokenizer.add_special_tokens([
        AddedToken("<|im_start|>", lstrip=True, rstrip=True), AddedToken("<|im_end|>")])
    tokenizer.add_tokens([AddedToken("world", single_word=True)])
    return tokenizer


def golden(tokenizer):
    """The file and its ids."""
    rows, texts = [], {}
    for i, text in enumerate(STRINGS):
        ids = tokenizer.encode(text).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        if decoded != text:
            texts[i] = decoded
        rows.append([ids])
    tokenizer.encode_special_tokens = True
    for row, text in zip(rows, STRINGS):
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        if plain != row[0]:
            row.append(plain)
    tokenizer.encode_special_tokens = False
    return {"tokenizer": json.loads(tokenizer.to_str()), "rows": rows, "texts": texts}


def main():
    for part, makers in [("a", [smollm, llama3, odd]), ("b", [gpt2, qwen2, spm])]:
        out = {maker.__name__: golden(maker()) for maker in makers}
        path = HERE / f"hugging_face_{part}.json"
        path.write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")) + "\n")
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
