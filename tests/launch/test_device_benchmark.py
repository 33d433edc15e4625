"""The benchmark of a device: what it counts, what it writes, and that it ends in time."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax import lax

FOLDER = Path(__file__).parents[2] / "launch" / "benchmark"
SCRIPT = FOLDER / "device.py"


@pytest.fixture(autouse=True)
def _modules(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER.parent)
    monkeypatch.syspath_prepend(FOLDER)


def counted(function, *shapes):
    from counting import operations

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return operations(jax.make_jaxpr(function)(*arguments))


def convolved(images, kernel, stride=1):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), "VALID", dimension_numbers=numbers
    )


def test_a_product_counts_two_operations_a_term():
    assert counted(jnp.matmul, (4, 5), (5, 6)) == 2 * 4 * 5 * 6


def test_what_a_loop_repeats_counts_as_often():
    loop = lambda x, y: lax.scan(lambda x, _: (x @ y, None), x, length=7)[0]
    assert counted(jax.jit(jax.vmap(loop)), (3, 4, 5), (3, 5, 5)) == 7 * 3 * (2 * 4 * 5 * 5)


def test_a_convolution_counts_its_kernel_for_each_output():
    assert counted(convolved, (2, 8, 8, 5), (3, 3, 5, 6)) == 2 * (2 * 6 * 6 * 6) * (3 * 3 * 5)


def test_the_zeros_of_a_strided_gradient_do_not_count():
    kernel = jnp.ones((2, 2, 5, 6))
    gradient = jax.grad(lambda images: convolved(images, kernel, stride=2).sum())
    forward = 2 * (2 * 4 * 4 * 6) * (2 * 2 * 5)
    assert counted(gradient, (2, 8, 8, 5)) == 2 * forward


def test_members_of_a_grouped_convolution_count_once():
    one = 2 * (2 * 6 * 6 * 6) * (3 * 3 * 5)
    assert counted(jax.vmap(convolved), (4, 2, 8, 8, 5), (4, 3, 3, 5, 6)) == 4 * one


def test_a_case_that_fails_is_a_row_and_the_others_go_on(tmp_path, capsys):
    import device
    from device_cases import Case
    from device_report import Report

    def out_of_memory():
        raise RuntimeError("RESOURCE_EXHAUSTED: 9 GiB\nmore")

    def second():
        rows = {row["name"]: row["values"] for row in read(tmp_path)["rows"]}
        assert "RESOURCE_EXHAUSTED" in rows["large"]["note"]
        assert rows["late"] == {"note": "not measured yet"}
        return {"ms": 1.25, "share": 0.5}

    cases = [Case(2, "steps", "small", second), Case(1, "steps", "large", out_of_memory)]
    names = [("steps", "small"), ("steps", "large"), ("steps", "late")]
    report = Report(tmp_path, {"device": "ABACUS"}, names)
    device.measure(cases, report)
    assert report.close("left out: no time") == ["steps: late"]
    page = (tmp_path / "device.md").read_text()
    assert page.startswith("# ABACUS\n")
    assert "| steps | ms | share |\n|---|---|---|\n| small | 1.25 | 50 % |" in page
    assert "failed: out of memory (RESOURCE_EXHAUSTED: 9 GiB): large" in page
    assert "left out: no time: late" in page
    assert "steps: small: ms 1.25, share 50 %" in capsys.readouterr().out


def test_a_second_run_keeps_the_rows_of_the_first_and_measures_the_others_first(tmp_path):
    import device
    from device_cases import Case
    from device_report import Report

    about = dict.fromkeys(("device", "platform", "jax", "jaxlib", "sizes"), "x") | {"date": "May 1"}
    names = [("steps", "known"), ("steps", "failed")]
    first = Report(tmp_path, about, names)
    first.add("steps", "known", {"ms": 2.0})
    first.add("steps", "failed", {"note": "failed: out of memory"})
    measured = []

    def measure(name):
        measured.append(name)
        return {"ms": 3.0}

    second = Report(tmp_path, about | {"date": "May 2"}, [*names, ("steps", "new")])
    assert read(tmp_path)["rows"] == [
        {"table": "steps", "name": "known", "values": {"date": "May 1", "ms": 2.0}},
        {"table": "steps", "name": "failed", "values": {"note": "not measured yet"}},
        {"table": "steps", "name": "new", "values": {"note": "not measured yet"}},
    ]
    names = [*names, ("steps", "new")]
    cases = [Case(1, table, row, lambda row=row: measure(row)) for table, row in names]
    device.measure(cases, second)
    assert measured == ["failed", "new", "known"]
    assert all(row["values"] == {"ms": 3.0} for row in read(tmp_path)["rows"])


@pytest.mark.parametrize("content, words", [("{}", "is of device None, not x"), ("{", "damaged")])
def test_a_folder_of_another_device_is_refused(tmp_path, content, words):
    from device_report import Report

    from jaxcmr.errors import UsageError

    (tmp_path / "device.json").write_text(content)
    with pytest.raises(UsageError, match=words):
        Report(tmp_path, {"device": "x"}, [])


def event(name, nanoseconds, **stats):
    return SimpleNamespace(name=name, duration_ns=nanoseconds, stats=stats.items())


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_operations_of_a_kind_are_summed_on_each_platform(platform):
    from device_trace import _by_kind

    events = [
        event("fusion.1", 2e9, hlo_op="fusion.1"),
        event("fusion.12", 3e9, hlo_op="fusion.12"),
        event("while.1", 9e9, hlo_op="while.1"),
    ]
    line = lambda name, *events: SimpleNamespace(name=name, events=events)
    plane = lambda name, *lines: SimpleNamespace(name=name, lines=lines)
    kernel = event("gemm_bf16_128x64", 1e9)
    planes = {
        "cpu": [plane("/host:CPU", line("python", event("wait", 7e9)), line("tf_XLA", *events))],
        "gpu": [
            plane("/host:CPU", line("python", event("wait", 7e9))),
            plane("/device:GPU:0", line("Stream #1(Compute)", *events, kernel)),
        ],
        "tpu": [
            plane("/device:TPU:0", line("XLA Modules", event("jit", 9e9)), line("XLA Ops", *events))
        ],
    }
    found = _by_kind(SimpleNamespace(planes=planes[platform]), {"fusion.1": "tanh"})
    assert found == {"fusion (tanh)": 2, "fusion": 3} | (
        {"gemm_bf16_128x64": 1} if platform == "gpu" else {}
    )


def read(folder):
    return json.loads((folder / "device.json").read_text())


def start(*arguments, **environment):
    # A bare checkout: the package is found although it is not installed.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--only=steps",), "there is no table 'steps'; choose from ceilings, rono, mmcd"),
        (("--output=",), "--output is empty; name a folder, or leave the flag out"),
        (("--output={file}/below",), "cannot be"),
        (("--minutes=0",), "--minutes is 0.0, but must be from 0.1 to 1440"),
        (("--minutes=nan",), "--minutes is nan, but must be from 0.1 to 1440"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, sentence):
    (tmp_path / "file").touch()
    done = start(*(argument.format(file=tmp_path / "file") for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_missing_package_is_one_sentence(tmp_path):
    hide = "import sys\nfor name in ('flax', 'optax'): sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = start(PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "error: every command needs flax and optax: pip install flax optax\n"


@pytest.mark.slow
def test_it_ends_when_the_time_is_over_and_leaves_what_it_has(tmp_path):
    done = start(f"--output={tmp_path}", "--minutes=0.2", "--only=ceilings", "--only=rono")
    assert done.returncode == 0, done.stderr
    rows = read(tmp_path)["rows"]
    assert rows[0]["values"]["TFLOP/s"] > 0
    assert rows[-1]["values"] == {"note": "left out: no time"}
    assert "after 0.2 minutes; left out: " in done.stdout


@pytest.mark.slow
def test_small_sizes_are_measured_to_the_end(tmp_path):
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # to compile; nothing depends on the numbers
    done = start(f"--output={tmp_path}", "--minutes=30", "--sizes=small", **fast)
    assert done.returncode == 0, done.stderr
    rows = read(tmp_path)["rows"]
    assert {row["table"] for row in rows} == {
        *("ceilings", "rono", "mmcd", "romo", "epochs", "retrieval", "operations", "convolutions")
    }
    for row in rows:
        numbers = [value for value in row["values"].values() if not isinstance(value, str)]
        reason = row["values"].get("note", "")
        assert (numbers and all(map(math.isfinite, numbers))) or reason.startswith("left out:"), row
    page = (tmp_path / "device.md").read_text()
    assert all(row["name"] in page for row in rows)
