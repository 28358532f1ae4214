"""A llama-shaped GGUF evaluated in float64 with numpy: the truth that the engine is held against.

The file is read and dequantized by the `gguf` package; everything after that is the textbook
formula, in one straight line, allowed to be slow. The same lines run in float32 (`dtype`) give the
*condition* of a model: how far a careful float32 evaluation strays from float64 on that very input
(see `Llama.float32_error`).

    python oracle.py MODEL.gguf 1,2,3 OUT.npy     # logits [positions, vocabulary], float64
"""

import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# How rotary pairs lie in a head: element 2i with 2i+1 ("normal", as GGUF stores llama), or element
# i with i + n/2 ("neox").
ROPE_PAIRS = {"llama": "normal", "qwen2": "neox"}


class Cache:
    """Keys and values of the positions seen so far: a list of [positions, kv heads, head] a layer."""

    def __init__(self, layers):
        self.k = [None] * layers
        self.v = [None] * layers

    def append(self, layer, k, v):
        if self.k[layer] is not None:
            k = np.concatenate([self.k[layer], k])
            v = np.concatenate([self.v[layer], v])
        self.k[layer], self.v[layer] = k, v
        return k, v

    @property
    def length(self):
        return 0 if self.k[0] is None else len(self.k[0])


class Llama:
    """The model, its weights dequantized to `dtype`."""

    def __init__(self, path, dtype=np.float64):
        reader = GGUFReader(path)
        self.dtype = dtype
        self.path = path
        self.meta = {key: field.contents() for key, field in reader.fields.items()}
        self.arch = self.meta["general.architecture"]
        self.weights = {
            t.name: dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]).astype(dtype)
            for t in reader.tensors
        }
        self.used = set()
        self._configure()

    def _key(self, name, default=None):
        value = self.meta.get(f"{self.arch}.{name}", default)
        if value is None:
            raise KeyError(f"{self.path}: {self.arch}.{name}")
        return value

    def _configure(self):
        self.pairs = ROPE_PAIRS[self.arch]
        self.layers = self._key("block_count")
        self.heads = self._key("attention.head_count")
        self.kv_heads = self._key("attention.head_count_kv", self.heads)
        self.head = self._key("attention.key_length", self._key("embedding_length") // self.heads)
        self.eps = self.dtype(self._key("attention.layer_norm_rms_epsilon"))
        self.rotary = self._key("rope.dimension_count", self.head)
        self.frequencies = self._frequencies()
        self.vocabulary = len(self.weights["token_embd.weight"])

    def _frequencies(self):
        """Radians per position of each rotary pair: base^(-2i/n) / scaling / factor_i."""
        base = self.dtype(self._key("rope.freq_base", 10000.0))
        i = np.arange(self.rotary // 2, dtype=self.dtype)
        frequencies = base ** (-2 * i / self.dtype(self.rotary))
        # A scaling factor without a type is linear, as in llama.cpp.
        scaling = self._key("rope.scaling.type", "linear")
        if scaling == "linear":
            frequencies = frequencies / self.dtype(self._key("rope.scaling.factor", 1.0))
        elif scaling != "none":
            raise NotImplementedError(f"rope scaling {scaling}")
        factors = self._weight("rope_freqs.weight")
        return frequencies if factors is None else frequencies / factors

    def _weight(self, name):
        self.used.add(name)
        return self.weights.get(name)

    def _linear(self, x, name):
        y = x @ self._weight(f"{name}.weight").T
        bias = self._weight(f"{name}.bias")
        return y if bias is None else y + bias

    def _norm(self, x, name):
        """RMSNorm: x / sqrt(mean(x^2) + eps) * weight."""
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=self.dtype)
        return x / np.sqrt(mean + self.eps) * self._weight(f"{name}.weight")

    def _rope(self, x, positions):
        """Rotates the first `rotary` elements of each head of x [positions, heads, head]."""
        angle = positions.astype(self.dtype)[:, None, None] * self.frequencies
        cos, sin = np.cos(angle), np.sin(angle)
        half = self.rotary // 2
        if self.pairs == "normal":
            first, second = slice(0, self.rotary, 2), slice(1, self.rotary, 2)
        else:
            first, second = slice(0, half), slice(half, self.rotary)
        out = x.copy()
        out[..., first] = x[..., first] * cos - x[..., second] * sin
        out[..., second] = x[..., first] * sin + x[..., second] * cos
        return out

    def _attention(self, x, layer, positions, cache):
        """Causal attention with grouped heads: query head h reads key/value head h // group."""
        name = f"blk.{layer}.attn_"
        q = self._linear(x, name + "q").reshape(len(x), self.heads, self.head)
        k = self._linear(x, name + "k").reshape(len(x), self.kv_heads, self.head)
        v = self._linear(x, name + "v").reshape(len(x), self.kv_heads, -1)
        q = self._rope(q, positions)
        k, v = cache.append(layer, self._rope(k, positions), v)
        future = np.arange(len(k))[None, :] > positions[:, None]
        group = self.heads // self.kv_heads
        out = np.empty((len(x), self.heads, v.shape[-1]), self.dtype)
        for h in range(self.heads):
            scores = q[:, h] @ k[:, h // group].T / np.sqrt(self.dtype(self.head))
            scores[future] = -np.inf
            p = np.exp(scores - scores.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True, dtype=self.dtype)
            out[:, h] = p @ v[:, h // group]
        return self._linear(out.reshape(len(x), -1), name + "output")

    def _feed_forward(self, x, layer):
        """SwiGLU: down(silu(gate(x)) * up(x))."""
        name = f"blk.{layer}.ffn_"
        gate = self._linear(x, name + "gate")
        return self._linear(gate / (1 + np.exp(-gate)) * self._linear(x, name + "up"), name + "down")

    def logits(self, tokens, cache=None, last_only=False):
        """Logits [positions, vocabulary] of these tokens, after those in the cache if there is one."""
        cache = Cache(self.layers) if cache is None else cache
        tokens = np.asarray(tokens)
        positions = cache.length + np.arange(len(tokens))
        x = self._weight("token_embd.weight")[tokens]
        for layer in range(self.layers):
            x = x + self._attention(
                self._norm(x, f"blk.{layer}.attn_norm"), layer, positions, cache)
            x = x + self._feed_forward(self._norm(x, f"blk.{layer}.ffn_norm"), layer)
        x = self._norm(x[-1:] if last_only else x, "output_norm")
        head = self._weight("output.weight")
        y = x @ (self._weight("token_embd.weight") if head is None else head).T
        unused = set(self.weights) - self.used
        if unused:
            raise NotImplementedError(f"{self.path}: the oracle knows nothing of {sorted(unused)}")
        return y

    def greedy(self, tokens, count, stop=()):
        """The greedy continuation, and at each step the two best ids and the gap between them.

        Returns (ids, [(best, second, gap)]); a stop id ends it and is not among the ids.
        """
        cache = Cache(self.layers)
        ids, steps, feed = [], [], list(tokens)
        while len(ids) < count:
            row = self.logits(feed, cache, last_only=True)[0]
            second, best = np.argpartition(row, -2)[-2:]
            second, best = sorted((second, best), key=lambda i: (row[i], -i))
            steps.append((int(best), int(second), float(row[best] - row[second])))
            if best in stop:
                break
            ids.append(int(best))
            feed = [int(best)]
        return ids, steps

    def float32_error(self, tokens):
        """Largest |float32 - float64| over all logits, of this same code: the model's condition."""
        twin = Llama(self.path, np.float32)
        return float(np.abs(twin.logits(tokens) - self.logits(tokens)).max())


def log_softmax(logits):
    """Natural log of the probabilities of each row, in float64."""
    x = np.asarray(logits, np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


if __name__ == "__main__":
    path, tokens, out = sys.argv[1:]
    np.save(out, Llama(path).logits([int(t) for t in tokens.split(",")]))
