"""Every value and gradient of the reference numbers, from the kept copies and from their source."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_kinds import KINDS, NOT_A_VALUE, OTHER_KINDS

FILES = ("rono", "mrl", "romo", "nrcl", "nirnl", "classic")
# Hyper-parameters that decide what is computed; all others are arrays, as in a training step.
STATIC = ("clip", "num_modalities")
# Relative to the value; relative to the largest entry of the gradient; absolute, near zero.
TOLERANCES = {
    "float32": {"value": 1e-5, "value_atol": 2e-6, "gradient": 2e-5, "gradient_atol": 1e-6},
    "float64": {"value": 1e-9, "value_atol": 1e-10, "gradient": 1e-9, "gradient_atol": 1e-10},
}


def check_file(path, dtype):
    """Compares every case of a file, and returns how many there were."""
    tolerance = TOLERANCES[dtype]
    compared = 0
    with np.load(path) as arrays:
        for case, meta in json.loads(str(arrays["meta"])).items():
            if case == "_about" or meta["kind"] in OTHER_KINDS:
                continue
            compared += 1
            inputs = {}
            for key in meta["inputs"]:
                value = arrays[f"{case}/{key}"]
                inputs[key] = jnp.asarray(value, dtype if value.dtype.kind == "f" else "int32")
            expected = {key: arrays[f"{case}/{key}"] for key in meta["outputs"]}
            static = tuple((key, meta["hp"].pop(key)) for key in STATIC if key in meta["hp"])
            hp = {key: jnp.asarray(value, dtype) for key, value in meta["hp"].items()}
            differentiated = {key: inputs[key] for key in meta["wrt"]}
            outputs = _outputs(meta["kind"], static, inputs, hp, differentiated)
            for key in set(expected) - NOT_A_VALUE:
                actual, wanted = np.asarray(outputs[key]), expected[key]
                assert actual.shape == wanted.shape, (case, key)
                if key.startswith("grad_"):
                    error = np.abs(actual - wanted).max()
                    limit = tolerance["gradient"] * np.abs(wanted).max()
                    assert error <= limit + tolerance["gradient_atol"], (case, key, error)
                else:
                    np.testing.assert_allclose(
                        actual,
                        wanted,
                        rtol=tolerance["value"],
                        atol=tolerance["value_atol"],
                        err_msg=f"{case}/{key}",
                    )
            if "clipped_rows" in expected:
                still = np.all(np.asarray(outputs["grad_logits"]) == 0, axis=1)
                clipped = expected["clipped_rows"].astype(bool)
                assert np.all(still[clipped]), case
    return compared


@functools.partial(jax.jit, static_argnums=(0, 1))
def _outputs(kind, static, inputs, hp, differentiated):
    def loss(wanted):
        value, others = KINDS[kind]({**inputs, **wanted}, {**hp, **dict(static)})
        return value, (value, others)

    # A loss over several epochs is a vector: its gradient has a leading epoch axis.
    derivative = jax.jacrev if "epochs" in hp else jax.grad
    gradients, (value, others) = derivative(loss, has_aux=True)(differentiated)
    return {"loss": value, **others} | {f"grad_{key}": gradients[key] for key in gradients}


@pytest.mark.parametrize("name", FILES)
def test_kept_cases_in_float32(golden, name):
    assert check_file(golden / f"losses_{name}.npz", "float32") >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_kept_cases_in_float64(golden, name):
    with jax.enable_x64(True):
        assert check_file(golden / f"losses_{name}.npz", "float64") >= 3


@pytest.mark.parametrize("name", FILES)
def test_the_kept_cases_are_all_the_cases_of_the_source(shared, golden, name):
    kept = np.load(golden / f"losses_{name}.npz")
    source = np.load(shared / "golden" / f"losses_{name}.npz")
    for case, meta in json.loads(str(source["meta"])).items():
        if case == "_about" or meta["kind"] in OTHER_KINDS:
            continue
        assert json.loads(str(kept["meta"]))[case]["hp"] == meta["hp"], case
        for key in (*meta["inputs"], *meta["outputs"]):
            np.testing.assert_array_equal(kept[f"{case}/{key}"], source[f"{case}/{key}"])
