"""`mantissa tune`: what it keeps, for whom, and that nothing it keeps can break or change a run.

What is fastest is no business of a test; that the answer stays the same is.
"""

import json
import os
import time

import pytest

SMALL = "gqa3_head64_q4_1"


@pytest.fixture
def small(tiny_model):
    return tiny_model(SMALL)


@pytest.fixture
def cache(tmp_path):
    """A cache folder of the test's own, and the file that tuning is kept in."""
    return {"MANTISSA_CACHE": str(tmp_path)}, tmp_path / "tuning.json"


def tune(mantissa, small, adapter, env, *arguments):
    return mantissa.json("tune", "--model", small, "--budget", 600, "--chunk", 4, *arguments,
                         adapter=adapter, env=env)


def answer(mantissa, small, adapter, env, *arguments):
    result = mantissa.run("run", "--model", small, "--raw", "--prompt", "that is the", "--json",
                          "--max-tokens", 8, *arguments, adapter=adapter, env=env)
    return json.loads(result.out)["token_ids"], result.err


def test_it_is_measured_once_and_kept(mantissa, small, adapter, cache):
    env, file = cache
    first = tune(mantissa, small, adapter, env)
    assert first["measured"] == len(first["choices"]) > 0 and first["file"] == str(file)
    classes = [json.dumps(c["class"]) for c in first["choices"]]
    assert len(set(classes)) == len(classes)
    assert {c["class"]["rows"] for c in first["choices"]} == {"one", "few"}
    for choice in first["choices"]:
        assert 0 < choice["seconds"] <= choice["default_seconds"]
        # What replaces the default is faster by more than a tenth.
        assert (choice["tile"] is None) == (choice["seconds"] > 0.9 * choice["default_seconds"])
    again = tune(mantissa, small, adapter, env)
    assert again["measured"] == 0 and again["choices"] == first["choices"]
    assert tune(mantissa, small, adapter, env, "--force")["measured"] == first["measured"]
    assert os.listdir(file.parent) == [file.name]


def test_a_choice_is_used_and_changes_no_answer(mantissa, small, lavapipe, cache):
    """A layout that no device can run would fail if it were used; one that can runs."""
    env, file = cache
    want, err = answer(mantissa, small, lavapipe, env)
    assert not file.exists(), "nothing is measured unless it is asked for"
    tune(mantissa, small, lavapipe, env)
    store = json.loads(file.read_text())
    tile = {"lanes": 16, "split": 2, "rows": 4, "m": 1, "share": 1, "codes": False}
    for choice in store["devices"][0]["choices"]:
        choice["tile"] = tile
    file.write_text(json.dumps(store))
    assert answer(mantissa, small, lavapipe, env)[0] == want
    assert answer(mantissa, small, lavapipe, env, "--no-tune")[0] == want
    for broken in ({"lanes": 3}, {"lanes": 1 << 20}, {"m": 0}, {"split": 64}, {"share": 7}):
        for choice in store["devices"][0]["choices"]:
            choice["tile"] = {**tile, **broken}
        file.write_text(json.dumps(store))
        assert answer(mantissa, small, lavapipe, env)[0] == want, broken


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 1, "devices": []}',
                                  '{"form": 99, "devices": []}', "\0" * 100],
                         ids=["empty", "cut", "list", "older", "newer", "zeros"])
def test_a_file_that_is_no_store_is_set_aside(mantissa, small, lavapipe, cache, text):
    env, file = cache
    file.write_text(text)
    ids, err = answer(mantissa, small, lavapipe, env)
    assert ids and "warning" in err and "tuning.json.bad" in err
    assert file.with_suffix(".json.bad").read_text() == text and not file.exists()
    assert "warning" not in answer(mantissa, small, lavapipe, env)[1]


def test_another_drivers_choices_are_kept_and_not_used(mantissa, small, lavapipe, cache):
    env, file = cache
    tune(mantissa, small, lavapipe, env)
    store = json.loads(file.read_text())
    store["devices"][0]["device"]["driver"] = "another"
    file.write_text(json.dumps(store))
    assert tune(mantissa, small, lavapipe, env)["measured"] > 0
    drivers = [tuning["device"]["driver"] for tuning in json.loads(file.read_text())["devices"]]
    assert drivers[0] == "another" and len(drivers) == 2


def test_a_budget_is_kept(mantissa, small, lavapipe, cache):
    """Next to none: one compilation may pass it, and no more than that is begun."""
    env, _ = cache
    begun = time.monotonic()
    report = mantissa.json("tune", "--model", small, "--budget", 0.001, adapter=lavapipe, env=env)
    assert report["measured"] == 0 and report["seconds"] < time.monotonic() - begun
    assert not report["choices"]


def test_wrong_usage(mantissa, small, lavapipe, cache):
    env, _ = cache
    for budget in ("0", "-1", "soon", "nan"):
        mantissa.run("tune", "--model", small, "--budget", budget, code=2, env=env)
    result = mantissa.run("tune", "--model", small, "--no-tune", code=1, adapter=lavapipe, env=env)
    assert "--no-tune" in result.err
