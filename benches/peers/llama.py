"""`mantissa bench` and llama.cpp's CPU backend in turn, on the same file, in the same minutes.

    python3 benches/peers/llama.py [--bin target/release/mantissa] [--model FILE] [--rounds 5]

Makes a venv under target/ with the packages of tests/peers/requirements.txt (llama.cpp comes ready
built in `xllamacpp`), unless it runs in one that has them. Each round runs llama.cpp once and
mantissa once, each in a process of its own; printed are the medians and the ratio of
tokens per second. llama.cpp has its defaults (f16 cache) but for the number of threads.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "tests/peers/requirements.txt"
VENV = ROOT / "target/venv"


def interpreter():
    """The Python that has xllamacpp: this one, or that of a venv, which is made if need be."""
    if importlib.util.find_spec("xllamacpp"):
        return sys.executable
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([python, "-c", "import xllamacpp"], capture_output=True).returncode:
        install = [python, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]
        subprocess.run(install, check=True)
    return str(python)


def measure_llama(options):
    """One process of llama.cpp: {"prefill 128": tokens per second, ..., "decode": ...}."""
    sys.path.insert(0, str(ROOT / "tests/peers"))
    import llama

    room = max([*options.prefill, options.at]) + options.tokens + 1
    rates = {}
    with llama.Llama(options.model, context=room, threads=options.threads) as model:
        # The oracle of the tests wants an f32 cache and no flash attention; speed wants defaults.
        model._set(flash_attn_type=0xFFFFFFFF, type_k=1, type_v=1)
        context = model._new_context()
        try:
            model._feed(context, ids(model, 8), 0)  # the file is paged in, the threads are there
        finally:
            llama._lib.llama_free(context)
        for length in options.prefill:
            context = model._new_context()
            begun = time.perf_counter()
            model._feed(context, ids(model, length), 0)
            rates[f"prefill {length}"] = length / (time.perf_counter() - begun)
            llama._lib.llama_free(context)
        context = model._new_context()
        model._feed(context, ids(model, options.at), 0)
        best = 1
        begun = time.perf_counter()
        for i in range(options.tokens):
            best = model._feed(context, [best], options.at + i)
        rates["decode"] = options.tokens / (time.perf_counter() - begun)
        llama._lib.llama_free(context)
    return rates


def ids(model, count):
    """As `mantissa bench` takes them."""
    return [i * 7919 % model.vocabulary for i in range(count)]


def measure_mantissa(options):
    """One process of ours."""
    command = [
        options.bin, "bench", "--only", "model", "--json", "--rounds", "1", "--budget", "0",
        "--prefill", ",".join(map(str, options.prefill)), "--decode-at", str(options.at),
        "--decode-tokens", str(options.tokens), "--chunk", str(options.chunk),
        "--model", options.model,
    ]
    if options.adapter:
        command += ["--adapter", options.adapter]
    model = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["model"]
    rates = {f"prefill {p['tokens']}": p["tokens_per_second"] for p in model["prefill"]}
    rates["decode"] = model["decode"][0]["tokens_per_second"]
    return rates


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/mantissa"))
    parser.add_argument("--model", help="a GGUF file [default: mantissa's default model]")
    parser.add_argument("--adapter", help="part of the adapter's name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of llama.cpp")
    parser.add_argument("--prefill", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--at", type=int, default=128, help="tokens before those that are decoded")
    parser.add_argument("--tokens", type=int, default=32, help="tokens that are decoded")
    parser.add_argument("--chunk", type=int, default=128, help="of mantissa")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if min([options.rounds, options.threads, options.at, options.tokens, *options.prefill]) < 1:
        parser.error("every number must be at least 1")
    return options


def main(arguments):
    options = parse(arguments)
    if options.one:
        print(json.dumps(measure_llama(options)))
        return
    if not options.model:
        fetch = subprocess.run([options.bin, "fetch"], check=True, capture_output=True, text=True)
        options.model = fetch.stdout.strip()
    again = [interpreter(), __file__, "--one", *arguments, "--model", options.model]
    theirs, ours = [], []
    for n in range(options.rounds):
        print(f"round {n + 1} of {options.rounds}", file=sys.stderr)
        peer = subprocess.run(again, check=True, stdout=subprocess.PIPE).stdout
        theirs.append(json.loads(peer))
        ours.append(measure_mantissa(options))
    rows = []
    for name in ours[0]:
        peer, own = (statistics.median(r[name] for r in rounds) for rounds in (theirs, ours))
        rows.append({"what": name, "llama_cpp": peer, "mantissa": own, "ratio": own / peer})
    if options.json:
        print(json.dumps({"rounds": options.rounds, "threads": options.threads, "rows": rows}))
        return
    print(f"| tokens/s | llama.cpp, {options.threads} threads | mantissa | ratio |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row['what']} | {row['llama_cpp']:.1f} | {row['mantissa']:.1f} "
              f"| {row['ratio']:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
