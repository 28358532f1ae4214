"""The device's first draws of tests/sampler.rs, from Threefry's definition and softmax in float64.

    python3 tests/golden/make_draws.py

Threefry-2x32-20: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011). A draw is the
first token whose cumulated probability exceeds the first word of (seed; place, 0), as a fraction. Prints
the tokens, and how near one of them came to being another.
"""

import math
import re
from pathlib import Path

SEED, COUNT, TOP_K = 42, 16, 12
WORD = 0xFFFFFFFF


def threefry(key, counter):
    """Twenty rounds, the key injected after every fourth."""
    keys = [key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]]
    x = [(counter[0] + keys[0]) & WORD, (counter[1] + keys[1]) & WORD]
    for i, by in enumerate([13, 15, 26, 6, 17, 29, 16, 24] * 2 + [13, 15, 26, 6]):
        x[0] = (x[0] + x[1]) & WORD
        x[1] = ((x[1] << by | x[1] >> 32 - by) & WORD) ^ x[0]
        if i % 4 == 3:
            s = i // 4 + 1
            x = [(x[0] + keys[s % 3]) & WORD, (x[1] + keys[(s + 1) % 3] + s) & WORD]
    return x


def main():
    text = (Path(__file__).parents[1] / "sampler.rs").read_text()
    logits = re.search(r"const LOGITS: \[f32; \d+\] = \[(.*?)\]", text, re.S).group(1)
    logits = [float(value) for value in logits.split(",") if value.strip()]
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:TOP_K]
    weights = [math.exp(logits[i]) for i in order]
    total, ids, nearest = sum(weights), [], 1.0
    for place in range(COUNT):
        at = threefry((SEED, 0), (place, 0))[0] / 2**32
        sums = [sum(weights[: i + 1]) / total for i in range(len(order))]
        ids.append(next(i for i, share in zip(order, sums) if share > at))
        nearest = min([nearest, *(abs(share - at) for share in sums)])
    print(ids, f"{nearest:.4f}")


if __name__ == "__main__":
    main()
