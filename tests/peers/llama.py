"""llama.cpp on the CPU: raw logits, token ids, greedy text.

The PyPI package `xllamacpp` ships llama.cpp ready built (nothing to compile in CI) but its Python
face is a server without raw logits. Its shared object exports llama.cpp's whole C interface
(include/llama.h), so that is called here, through ctypes. The parameter structs are private to a
release: the package is pinned in requirements.txt, the few fields set here are found by position,
and `_check` compares their defaults with the known ones, so that another release is refused with a
message instead of misread.
"""

import ctypes as C

import numpy as np
import xllamacpp


class _Params(C.Structure):
    """Room for either parameter struct; both are passed in memory, so a longer one does no harm."""

    _fields_ = [("word", C.c_uint32 * 128)]


class _Batch(C.Structure):
    _fields_ = [
        ("n_tokens", C.c_int32),
        ("token", C.POINTER(C.c_int32)),
        ("embd", C.POINTER(C.c_float)),
        ("pos", C.POINTER(C.c_int32)),
        ("n_seq_id", C.POINTER(C.c_int32)),
        ("seq_id", C.POINTER(C.POINTER(C.c_int32))),
        ("logits", C.POINTER(C.c_int8)),
    ]


# llama_context_params, as 32-bit words: name -> (position, default).
_CONTEXT = {
    "n_ctx": (0, 512),
    "n_batch": (1, 2048),
    "n_ubatch": (2, 512),
    "n_threads": (7, 4),
    "n_threads_batch": (8, 4),
    "flash_attn_type": (13, 0xFFFFFFFF),  # -1: automatic
    "type_k": (26, 1),  # GGML_TYPE_F16
    "type_v": (27, 1),
}


def _load():
    lib = C.CDLL(xllamacpp.xllamacpp.__file__)
    signatures = {
        "llama_context_default_params": ([], _Params),
        "llama_model_default_params": ([], _Params),
        "llama_model_load_from_file": ([C.c_char_p, _Params], C.c_void_p),
        "llama_init_from_model": ([C.c_void_p, _Params], C.c_void_p),
        "llama_model_get_vocab": ([C.c_void_p], C.c_void_p),
        "llama_model_free": ([C.c_void_p], None),
        "llama_free": ([C.c_void_p], None),
        "llama_vocab_n_tokens": ([C.c_void_p], C.c_int32),
        "llama_vocab_is_eog": ([C.c_void_p, C.c_int32], C.c_bool),
        "llama_batch_init": ([C.c_int32] * 3, _Batch),
        "llama_batch_free": ([_Batch], None),
        "llama_decode": ([C.c_void_p, _Batch], C.c_int32),
        "llama_get_logits_ith": ([C.c_void_p, C.c_int32], C.POINTER(C.c_float)),
        "llama_tokenize": (
            [C.c_void_p, C.c_char_p, C.c_int32, C.POINTER(C.c_int32), C.c_int32, C.c_bool, C.c_bool],
            C.c_int32),
        "llama_detokenize": (
            [C.c_void_p, C.POINTER(C.c_int32), C.c_int32, C.c_char_p, C.c_int32, C.c_bool, C.c_bool],
            C.c_int32),
        "llama_log_set": ([C.c_void_p, C.c_void_p], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, result
    return lib


def _check(params):
    for name, (position, default) in _CONTEXT.items():
        if params.word[position] != default:
            raise RuntimeError(
                f"xllamacpp {xllamacpp.__version__}: llama_context_params has moved ({name} is "
                f"{params.word[position]}, not {default}); install the version in requirements.txt")


_lib = _load()
_messages = []
# Kept for error messages; must outlive the library's use of it.
_log = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(
    lambda level, text, _: _messages.append(text.decode(errors="replace")) if level >= 3 else None)
_lib.llama_log_set(C.cast(_log, C.c_void_p), None)


class Llama:
    """A model in llama.cpp, with an F32 KV cache and no flash attention."""

    def __init__(self, path, context=1024, threads=2):
        del _messages[:]
        self.context_length = context
        self._model = _lib.llama_model_load_from_file(
            str(path).encode(), _lib.llama_model_default_params())
        if not self._model:
            raise RuntimeError(f"llama.cpp does not load {path}: {''.join(_messages)}")
        self._vocab = _lib.llama_model_get_vocab(self._model)
        self.vocabulary = _lib.llama_vocab_n_tokens(self._vocab)
        self._params = _lib.llama_context_default_params()
        _check(self._params)
        self._set(n_ctx=context, n_batch=context, n_ubatch=min(context, 512), n_threads=threads,
                  n_threads_batch=threads, flash_attn_type=0, type_k=0, type_v=0)

    def _set(self, **fields):
        for name, value in fields.items():
            self._params.word[_CONTEXT[name][0]] = value

    def close(self):
        """Frees the model."""
        if self._model:
            _lib.llama_model_free(self._model)
            self._model = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _feed(self, context, tokens, start):
        """Feeds tokens at positions from `start`; returns the best token behind them."""
        return int(self._decode(context, tokens, start, last_only=True)[-1].argmax())

    def _decode(self, context, tokens, start, last_only=False):
        """Feeds tokens at positions from `start`; returns the logits of each, float32, or those of
        the last one only."""
        wanted = range(len(tokens) - 1 if last_only else 0, len(tokens))
        batch = _lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i], batch.pos[i] = int(token), start + i
                batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, int(i in wanted)
            status = _lib.llama_decode(context, batch)
            if status:
                raise RuntimeError(f"llama_decode: {status}: {''.join(_messages)}")
            shape = (self.vocabulary,)
            return np.stack([
                np.ctypeslib.as_array(_lib.llama_get_logits_ith(context, i), shape).copy()
                for i in wanted])
        finally:
            _lib.llama_batch_free(batch)

    def _new_context(self):
        context = _lib.llama_init_from_model(self._model, self._params)
        if not context:
            raise RuntimeError(f"llama.cpp gives no context: {''.join(_messages)}")
        return context

    def logits(self, tokens):
        """Logits [positions, vocabulary], float32."""
        context = self._new_context()
        try:
            return self._decode(context, tokens, 0)
        finally:
            _lib.llama_free(context)

    def greedy(self, tokens, count):
        """Ids of the greedy continuation; an end-of-generation id ends it and is left out."""
        context = self._new_context()
        try:
            feed, start, ids = list(tokens), 0, []
            while len(ids) < count:
                best = int(self._decode(context, feed, start)[-1].argmax())
                if self.is_end(best):
                    break
                start, feed = start + len(feed), [best]
                ids.append(best)
            return ids
        finally:
            _lib.llama_free(context)

    def is_end(self, token):
        """Whether the token ends a generation."""
        return bool(_lib.llama_vocab_is_eog(self._vocab, token))

    def end_tokens(self):
        """All tokens that end a generation."""
        return [t for t in range(self.vocabulary) if self.is_end(t)]

    def tokenize(self, text, add_special=True, parse_special=False):
        """Token ids of a text."""
        data = text.encode()
        ids = (C.c_int32 * (len(data) + 8))()
        n = _lib.llama_tokenize(
            self._vocab, data, len(data), ids, len(ids), add_special, parse_special)
        if n < 0:
            raise RuntimeError(f"llama_tokenize: {n}")
        return list(ids[:n])

    def detokenize(self, tokens, remove_special=False, unparse_special=True):
        """The text of token ids, as bytes."""
        ids = (C.c_int32 * len(tokens))(*tokens)
        size = 64 * len(tokens) + 64
        while True:
            text = C.create_string_buffer(size)
            n = _lib.llama_detokenize(
                self._vocab, ids, len(tokens), text, size, remove_special, unparse_special)
            if n >= 0:
                return text.raw[:n]
            size = -n


def logits(path, tokens):
    """Logits [positions, vocabulary] of the model in this file, float32."""
    with Llama(path, context=max(len(tokens), 8)) as model:
        return model.logits(tokens)
