"""How time grows with the context, the prompt, the batch and the model, measured and drawn.

    python3 benches/growth.py [--bin target/release/mantissa] [--adapter NAME] [--svg docs/growth.svg]

Runs `mantissa bench` on the default model, with an f32 and an f16 cache, and on random Q4_0 models
of 0.5, 1.1 and 3 billion weights, which are made in a temporary folder (2.6 GB) and not kept. Needs
`gguf`, `numpy` (tests/peers/requirements.txt) and `matplotlib`. Takes some ten minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mantissa", "font.size": 9})
from matplotlib import pyplot  # noqa: E402 (the backend is chosen first)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benches/peers"))
import synthetic  # noqa: E402

# The default model's: 30 layers of keys and values, 3 heads of 64 each.
CACHE_VALUES = 30 * 2 * 3 * 64
CACHES = {"f32": 4, "f16": 2}
PROMPTS = [16, 64, 128, 256, 512, 1024, 2048]
CONTEXTS = [0, 512, 1024, 2048, 4096, 8000]
SEQUENCES = [1, 2, 4, 8]
SIZES = ["0.5b", "1.1b", "3b"]


def bench(options, *arguments):
    """The `model` of one `mantissa bench`, and the adapter."""
    command = [options.bin, "bench", "--only", "model", "--json", "--budget", "0",
               "--rounds", str(options.rounds), *arguments]
    if options.adapter:
        command += ["--adapter", options.adapter]
    print(" ".join(command), file=sys.stderr)
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return report["model"], f"{report['adapter']}, {report['driver']}"


def numbers(values):
    return ",".join(map(str, values))


def measure(options):
    """{"f32": model, "f16": model}, {name: model} by size, and the adapter."""
    caches, sizes = {}, {}
    for cache in CACHES:
        batch, prompts = (SEQUENCES, PROMPTS) if cache == "f32" else ([1], [16])
        caches[cache], adapter = bench(
            options, "--kv-cache", cache, "--prefill", numbers(prompts), "--decode-at",
            numbers(CONTEXTS), "--batch", numbers(batch))
    short = ["--prefill", "16", "--decode-at", "128", "--decode-tokens", "8", "--batch", "1,8"]
    sizes["default"] = bench(options, *short)[0]
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.gguf"
            synthetic.write(synthetic.SHAPES[size], path)
            sizes[size] = bench(options, *short, "--model", str(path))[0]
            path.unlink()
    return caches, sizes, adapter


def line(axes, points, label):
    """Draws points and their least-squares line; its slope, and the largest distance from it."""
    x, y = np.array(sorted(points)).T
    slope, start = np.polyfit(x, y, 1)
    drawn = axes.plot(x, y, "o", markersize=4, label=label)[0]
    axes.plot(x, start + slope * x, "-", linewidth=1, color=drawn.get_color())
    return slope, float(np.max(np.abs(start + slope * x - y) / y))


def draw_contexts(axes, caches):
    axes.set(title="Decoding", xlabel="tokens before", ylabel="ms per token")
    for cache, model in caches.items():
        points = [(d["context"], 1e3 * d["seconds_per_token"]) for d in model["decode"]]
        slope, off = line(axes, points, f"{cache} cache")
        rate = CACHE_VALUES * CACHES[cache] / (slope * 1e-3) / 1e9
        print(f"decoding, {cache} cache: {1e3 * slope:.2f} µs a position, {rate:.2f} GB/s of keys and "
              f"values; no point is further than {off:.1%} from the line")


def draw_prompts(axes, model):
    axes.set(title="Prompts", xlabel="tokens", ylabel="s")
    points = [(p["tokens"], p["seconds"]) for p in model["prefill"]]
    axes.plot(*zip(*sorted(points)), "o-", markersize=4, linewidth=1, label="chunks of 128")
    at = dict(points)
    rest = [(n, s / n / (at[128] / 128)) for n, s in sorted(points) if n > 128]
    print("prompts, time a token beside that of 128:", ", ".join(f"{n}: {r:.2f}" for n, r in rest))
    ends = [n for n, _ in points if n >= 128]
    axes.plot(ends, [at[128] / 128 * n for n in ends], ":", color="gray", label="as of 128 tokens")


def draw_batches(axes, model):
    axes.set(title="Batches", xlabel="sequences in a step", ylabel="ms per step")
    points = sorted((b["sequences"], 1e3 * b["seconds_per_step"]) for b in model["batch"])
    axes.plot(*zip(*points), "o-", markersize=4, linewidth=1, label="together")
    one = points[0][1]
    axes.plot([n for n, _ in points], [one * n for n, _ in points], ":", color="gray", label="one by one")
    print("batches, a step beside one sequence's:", ", ".join(f"{n}: {s / one:.2f}" for n, s in points))


def draw_sizes(axes, sizes):
    axes.set(title="Models", xlabel="GB of weights", ylabel="GB/s, decoding", xscale="log")
    rates = [(m["weight_bytes"] / 1e9, m["weight_bytes"] / 1e9 / m["decode"][0]["seconds_per_token"])
             for m in sizes.values()]
    axes.plot(*zip(*rates), "o-", markersize=4, linewidth=1, label="one sequence")
    axes.axhspan(0.75 * rates[0][1], 1.25 * rates[0][1], color="gray", alpha=0.15,
                 label="within 25 % of the smallest")
    axes.set_ylim(bottom=0)
    for name, (size, rate), model in zip(sizes, rates, sizes.values()):
        eight = model["batch"][1]["seconds_per_step"] / model["batch"][0]["seconds_per_step"]
        token = 1e3 * model["decode"][0]["seconds_per_token"]
        peak = model["peak_memory_bytes"] / 1e6
        print(f"{name}: {size:.2f} GB, {token:.1f} ms a token, {rate:.2f} GB/s ({rate / rates[0][1]:.2f} of "
              f"the smallest's), a step of 8 {eight:.2f} of one; peak {peak:.0f} MB, file "
              f"{model['file_bytes'] / 1e6:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/mantissa"))
    parser.add_argument("--adapter", help="part of the adapter's name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--svg", default=str(ROOT / "docs/growth.svg"))
    options = parser.parse_args()
    caches, sizes, adapter = measure(options)
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 7), layout="constrained")
    figure.suptitle(adapter)
    draw_contexts(axes[0, 0], caches)
    draw_prompts(axes[0, 1], caches["f32"])
    draw_batches(axes[1, 0], caches["f32"])
    draw_sizes(axes[1, 1], sizes)
    for one in axes.flat:
        one.legend()
        if one is not axes[1, 1]:
            one.set_xlim(left=0)
            one.set_ylim(bottom=0)
    figure.savefig(options.svg, metadata={"Date": None})


if __name__ == "__main__":
    main()
