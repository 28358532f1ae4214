"""Runs the `mantissa` program and reads what it gives back."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# A hang is a failure too. The longest run here takes a minute or two on two cores.
TIMEOUT = 600


@dataclass(frozen=True)
class Adapter:
    """A Vulkan driver: its manifest, and a part of the name that its adapter goes by."""

    name: str
    substring: str
    icd: str

    def environment(self):
        """The loader's variables, old and new, so that only this driver is seen."""
        return {"VK_ICD_FILENAMES": self.icd, "VK_DRIVER_FILES": self.icd}

    def __str__(self):
        return self.name


@dataclass
class Result:
    """What a run left behind."""

    command: str
    code: int
    out: str
    err: str

    def __str__(self):
        return f"$ {self.command}\nexit {self.code}\n{self.out[-2000:]}\n{self.err[-2000:]}"


class Program:
    """The binary. Every run is checked for panics, whatever its exit code."""

    def __init__(self, path):
        self.path = path

    def command(self, *arguments, adapter=None):
        """Arguments and environment of a run, for callers that start it themselves."""
        environment = dict(os.environ, RUST_BACKTRACE="0")
        environment.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        command = [self.path, *map(str, arguments)]
        if adapter is not None:
            environment.update(adapter.environment())
        return command, environment

    def run(self, *arguments, adapter=None, code=0, input="", timeout=TIMEOUT, env=None):
        """Runs to the end and checks the exit code; `code=None` takes any but a crash."""
        command, environment = self.command(*arguments, adapter=adapter)
        done = subprocess.run(
            command, env={**environment, **(env or {})}, input=input.encode(), timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        shown = " ".join(command)
        result = Result(shown if len(shown) < 2000 else shown[:2000] + " …", done.returncode,
                        done.stdout.decode(), done.stderr.decode(errors="replace"))
        check_no_crash(result)
        if code is not None:
            assert result.code == code, str(result)
        return result

    def json(self, *arguments, **options):
        """Runs with --json; the one object on stdout."""
        return json.loads(self.run(*arguments, "--json", **options).out)

    def logits(self, model, tokens, *arguments, adapter):
        """`mantissa logits`: float32 [positions, vocabulary]."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "logits.npy"
            self.run("logits", "--model", model, "--tokens", ",".join(map(str, tokens)),
                     "--out", out, "--adapter", adapter.substring, *arguments, adapter=adapter)
            y = np.load(out)
        assert y.dtype == np.float32 and y.ndim == 2 and len(y) == len(tokens), (y.dtype, y.shape)
        return y

    def op(self, operation, adapter, out="out.npy", arguments=(), code=0, **arrays):
        """`mantissa op`: arrays go in as .npy files under their option's name; the result comes back.

        An option called `in` is spelled `x` here, a word of Python's own being in the way. Where the
        program refuses (`code` allowing), its `Result` is returned.
        """
        with tempfile.TemporaryDirectory() as folder:
            options = []
            for name, array in arrays.items():
                path = Path(folder) / f"{name}.npy"
                np.save(path, array)
                options += ["--in" if name == "x" else f"--{name}", path]
            target = Path(folder) / out
            result = self.run("op", operation, *options, "--out", target, *arguments,
                              "--adapter", adapter.substring, adapter=adapter, code=code)
            return np.load(target) if result.code == 0 else result


def check_no_crash(result):
    """No panic, no signal, no abort: an error is a sentence and an exit code."""
    assert "panicked at" not in result.err, str(result)
    assert result.code in (0, 1, 2), str(result)
