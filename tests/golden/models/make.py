"""Makes the tiny models of this folder, and what float64 says of them, for plain `cargo test`.

Run with the packages of tests/peers/requirements.txt; the result is the same bytes every time:

    python tests/golden/models/make.py

NAME.gguf      the model (tests/peers/tiny.py)
NAME.npy       float64 logits [positions, vocabulary] (tests/peers/oracle.py)
models.json    per model: the tokens; `float32_error`, how far the same formulas in float32 stray
               from float64 (tests/peers/test_shapes.py says what limit follows from it); and
               `llama_cpp_error`, how far llama.cpp does on the model's F32 copy
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "peers"))

import llama  # noqa: E402
import make_f32  # noqa: E402
import oracle  # noqa: E402
import tiny  # noqa: E402
from tiny import Spec, T  # noqa: E402

POSITIONS = 24
SPECS = [
    # A tokenizer and a chat template, tied Q8_0 embedding, Q4_1 layers: the default model's make.
    Spec("tied_q4_1", 96, 3, 1, 32, 160, {"default": T.Q4_1, "token_embd": T.Q8_0}, rope_base=1e5),
    # Every other type, an untied head, biases, linear scaling, no tokenizer.
    Spec("mixed_untied", 64, 8, 1, 32, 96, {
        "default": T.Q4_0, "token_embd": T.F16, "output": T.Q5_0, "attn_k": T.F32, "attn_v": T.BF16,
        "attn_output": T.Q5_1, "ffn_down": T.Q8_0}, layers=1, vocabulary=131, tied=False,
        rope_linear=2.0, biases=("attn_q", "attn_k", "attn_v"), tokenizer=False),
    # A head of 80, grouped by 2, and Llama 3's frequency factors.
    Spec("head80_factors", 96, 2, 1, 80, 96, {"default": T.Q5_1}, layers=1, vocabulary=293,
         rope_base=5e5, rope_factors=True),
]


def main():
    about = {}
    for spec in SPECS:
        path = tiny.write(spec, HERE / f"{spec.name}.gguf")
        tokens = tiny.tokens(spec, POSITIONS)
        model = oracle.Llama(path)
        logits = model.logits(tokens)
        np.save(HERE / f"{spec.name}.npy", logits)
        with tempfile.TemporaryDirectory() as folder:
            peer = llama.logits(make_f32.make_f32(path, f"{folder}/f32.gguf"), tokens)
        about[spec.name] = {
            "tokens": tokens,
            "float32_error": float(f"{model.float32_error(tokens):.1e}"),
            "llama_cpp_error": float(f"{np.abs(peer - logits).max():.1e}"),
        }
    (HERE / "models.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
