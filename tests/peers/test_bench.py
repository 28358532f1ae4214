"""`mantissa bench` and `mantissa profile` on a tiny model: that they end, and what they print.

How fast anything is, is no business of a test; that the parts of a figure agree with each other is.
"""

import json

import pytest

SMALL = "gqa3_head64_q4_1"
ROUNDS = ("--rounds", "2")


@pytest.fixture
def small(tiny_model):
    return tiny_model(SMALL)


def bench(mantissa, adapter, *arguments):
    result = mantissa.run("bench", *ROUNDS, "--json", *arguments, adapter=adapter)
    return json.loads(result.out)


def test_ceilings_and_kernels(mantissa, adapter):
    report = bench(mantissa, adapter, "--only", "kernels", "--quick", "--format", "q4_1,mxfp4",
                   "--shape", "64x96", "--m", "1,5")
    ceilings = {c["name"]: c for c in report["ceilings"]}
    assert set(ceilings) == {"copy", "read", "multiply_add", "dot4i8", "dispatch", "submit"}
    assert all(c["value"] > 0 for name, c in ceilings.items() if name != "dispatch")
    products = [k for k in report["kernels"] if k["op"] == "matmul"]
    assert {(k["format"], k["m"]) for k in products} == {
        ("q4_1", 1), ("q4_1", 5), ("mxfp4", 1), ("mxfp4", 5)}
    assert {k["op"] for k in report["kernels"]} == {
        "matmul", "softmax", "rms_norm", "stage", "rope", "glu", "argmax", "top_k", "dequantize",
        "quantize", "quantize_q8", "kv_append", "attention"}
    assert all(k["seconds"] > 0 and k["gigabytes_per_second"] > 0 for k in report["kernels"])
    for k in products:
        assert k["shape"] == "64x96" and k["bound"] in ("read", "multiply_add") and k["share"] > 0
        assert k["gigaflops"] * 1e9 * k["seconds"] == pytest.approx(2 * 64 * 96 * k["m"])


def test_what_cannot_be_measured_is_named(mantissa, lavapipe, small):
    report = bench(mantissa, lavapipe, "--only", "kernels", "--op", "matmul", "--format", "q4_k",
                   "--shape", "8x96", "--m", "1")
    assert not report["kernels"] and "no whole blocks" in report["left_out"][0]
    report = bench(mantissa, lavapipe, "--only", "model", "--model", small, "--prefill", "8,100000",
                   "--decode-at", "0", "--decode-tokens", "2", "--batch", "1")
    assert [p["tokens"] for p in report["model"]["prefill"]] == [8]
    assert any("100000" in left and "context" in left for left in report["left_out"])


def test_model(mantissa, lavapipe, small):
    report = bench(mantissa, lavapipe, "--only", "model", "--model", small, "--prefill", "8,40",
                   "--decode-at", "0,50", "--decode-tokens", "4", "--in-flight", "1,2",
                   "--chunk", "16", "--batch", "1,3,65")
    model = report["model"]
    assert [p["tokens"] for p in model["prefill"]] == [8, 40]
    assert [(d["context"], d["in_flight"]) for d in model["decode"]] == [
        (0, 1), (0, 2), (50, 1), (50, 2)]
    for d in model["decode"]:
        assert d["dispatches_per_token"] > 10 and d["rounds"] == 2
        assert d["tokens_per_second"] * d["seconds_per_token"] == pytest.approx(1)
        assert report["timestamps"] == (d["device_seconds_per_token"] is not None)
    assert [b["sequences"] for b in model["batch"]] == [1, 3]
    for b in model["batch"]:
        assert b["rounds"] == 2
        assert b["tokens_per_second"] * b["seconds_per_step"] == pytest.approx(b["sequences"])
    assert any("batch of 65" in left and "64" in left for left in report["left_out"])
    assert model["gpu_bytes"] > model["weight_bytes"] > 0 and not report["kernels"]


def test_compare_names_both(mantissa, lavapipe, small, tmp_path):
    arguments = ("bench", *ROUNDS, "--only", "model", "--model", small, "--prefill", "8",
                 "--decode-at", "0", "--decode-tokens", "2")
    old = tmp_path / "old.json"
    old.write_text(mantissa.run(*arguments, "--json", adapter=lavapipe).out)
    out = mantissa.run(*arguments, "--compare", old, adapter=lavapipe).out
    assert "times as fast" in out and "prefill of 8" in out


def test_profile(mantissa, adapter, small):
    result = mantissa.run("profile", *ROUNDS, "--model", small, "--at", "20", "--rows", "16",
                          "--json", adapter=adapter)
    steps = json.loads(result.out)["steps"]
    assert [(s["step"], s["context"], s["rows"]) for s in steps] == [
        ("prefill", 0, 16), ("decode", 20, 1)]
    for step in steps:
        assert step["seconds"] > 0 and step["dispatches"] > 10
        if step["device_seconds"] is not None:
            assert sum(op["dispatches"] for op in step["ops"]) == step["dispatches"]
            assert sum(op["share"] for op in step["ops"]) == pytest.approx(1)
            assert any(op["op"] == "matmul" and "q4_1" in op["operands"] for op in step["ops"])
            dispatches = {op["op"]: 0 for op in step["ops"]}
            for op in step["ops"]:
                dispatches[op["op"]] += op["dispatches"]
            # A token's layer is six launches, and one where attention splits the context; the
            # embedding, which may be staged, the head and the choice are four.
            if step["rows"] == 1:
                most = 6 * dispatches["attention"] + dispatches.get("attention_combine", 0) + 4
                assert step["dispatches"] <= most, dispatches


def test_profile_refuses_a_place_beyond_the_context(mantissa, lavapipe, small):
    for at in (10**11, 2**64 - 1):
        result = mantissa.run("profile", "--model", small, "--at", at, adapter=lavapipe, code=1)
        assert f"--at {at}" in result.err and "context" in result.err, str(result)


def test_profile_refuses_more_rows_than_a_chunk(mantissa, lavapipe, small):
    result = mantissa.run("profile", "--model", small, "--rows", "200", adapter=lavapipe, code=1)
    assert "--chunk" in result.err
