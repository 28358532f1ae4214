"""Fixtures of the peer suites: the program under test, its adapters, the models and the truths.

Environment (`cargo xtask test` sets all of it; a variable that is missing fails every test that
needs it, none is skipped):
  MANTISSA_BIN    the program
  MANTISSA_MODEL  the default model, a GGUF file
  MANTISSA_LAVAPIPE_ICD, MANTISSA_SWIFTSHADER_ICD
                  the drivers' manifests, where they are not at Debian's places
"""

import glob
import os
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import llama  # noqa: E402  (the path above comes first)
import make_f32  # noqa: E402
import oracle  # noqa: E402
import tiny  # noqa: E402
from program import Adapter, Program  # noqa: E402

ICD = {
    "lavapipe": ("MANTISSA_LAVAPIPE_ICD", "llvmpipe", [
        "/usr/share/vulkan/icd.d/lvp_icd*.json"]),
    "swiftshader": ("MANTISSA_SWIFTSHADER_ICD", "SwiftShader", [
        "/usr/lib/chromium/vk_swiftshader_icd.json",
        "/usr/lib*/chromium*/vk_swiftshader_icd.json",
        "/opt/google/chrome/vk_swiftshader_icd.json"]),
}


def _variable(name):
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set; `cargo xtask test` sets it", pytrace=False)
    if not Path(value).is_file():
        pytest.fail(f"{name}={value}: no such file", pytrace=False)
    return value


def find_adapter(name):
    """The driver by its short name; a missing one is a failure."""
    variable, substring, patterns = ICD[name]
    found = [os.environ[variable]] if variable in os.environ else [
        path for pattern in patterns for path in sorted(glob.glob(pattern))]
    if not found or not Path(found[0]).is_file():
        pytest.fail(f"no {name}: nothing at {found or patterns}; set {variable}", pytrace=False)
    return Adapter(name, substring, found[0])


@pytest.fixture(scope="session")
def mantissa():
    """The program under test."""
    return Program(_variable("MANTISSA_BIN"))


@pytest.fixture(scope="session")
def lavapipe():
    """Mesa's software Vulkan: the faster one, with f16 and subgroups of 8."""
    return find_adapter("lavapipe")


@pytest.fixture(scope="session")
def swiftshader():
    """Chromium's software Vulkan: no f16, subgroups of 4, flushes subnormals, runs out of memory."""
    return find_adapter("swiftshader")


@pytest.fixture(scope="session", params=["lavapipe", "swiftshader"])
def adapter(request):
    """Each software Vulkan in turn."""
    return find_adapter(request.param)


@pytest.fixture(scope="session")
def model():
    """The default model's file."""
    return _variable("MANTISSA_MODEL")


@pytest.fixture(scope="session")
def scratch():
    """A folder for large files, gone after the run."""
    with tempfile.TemporaryDirectory(prefix="mantissa-peers-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def model_f32(model, scratch):
    """The default model dequantized to F32, which llama.cpp evaluates without quantizing."""
    return make_f32.make_f32(model, scratch / "default-f32.gguf")


@pytest.fixture(scope="session")
def truth(model):
    """The default model in float64."""
    return oracle.Llama(model)


@pytest.fixture(scope="session")
def peer(model):
    """The default model in llama.cpp; here for its tokenizer."""
    with llama.Llama(model) as m:
        yield m


@pytest.fixture(scope="session")
def prose(peer):
    """Token ids of prose.txt."""
    return peer.tokenize((HERE / "prose.txt").read_text())


@pytest.fixture(scope="session")
def tiny_model(scratch):
    """Writes a tiny model once: `tiny_model(name)` is its path, `tiny_model(name, f32=True)` its copy."""
    def path(name, f32=False):
        target = scratch / f"{name}.gguf"
        if not target.exists():
            tiny.write(tiny.by_name(name), target)
        if not f32:
            return target
        copy = scratch / f"{name}-f32.gguf"
        return copy if copy.exists() else make_f32.make_f32(target, copy)
    return path
