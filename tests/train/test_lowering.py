"""The programs of all configs lower for CUDA and TPU, and run there what they are known to run."""

import json

import jax
import lowering
import pytest

# RONO with ResNet18 and DGCNN, members that vote, the stages of RoMo, meshes.
FAST = (
    "rono_modelnet:paper main",
    "mmcd_wikipedia main",
    "romo_wikipedia pairs",
    "romo_wikipedia match",
    "romo_wikipedia main",
    "mmcd_modelnet:three_quick main",
)
AGAIN = "if this is meant, write the table again as tests/train/lowering.py says"


@pytest.fixture(scope="module")
def table():
    return json.loads(lowering.TABLE.read_text())


def lines_of(table: dict, name: str) -> dict:
    return {line: counts for line, counts in table.items() if line.startswith(f"{name} ")}


@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in lowering.trained()
    ],
)
def test_a_stage_runs_on_accelerators_what_it_is_known_to_run(table, name):
    assert lowering.of_stage(name) == lines_of(table, name), f"jax {jax.__version__}; {AGAIN}"


def test_retrieval_and_clusters_run_on_accelerators_what_they_are_known_to_run(table):
    found = lowering.of_retrieval()
    assert found == lines_of(table, "retrieval"), f"jax {jax.__version__}; {AGAIN}"


def test_the_table_holds_all_stages_of_all_configs(table):
    held = dict.fromkeys(" ".join(name.split(" ")[:2]) for name in table)
    assert [name for name in held if not name.startswith("retrieval")] == lowering.trained()


def test_calls_count_as_often_as_they_are_made_and_loops_once():
    sorted_rows = jax.jit(lambda x: jax.lax.top_k(jax.lax.sort(x), 1)[0])
    body = lambda x, _: (sorted_rows(x), None)
    program = jax.jit(lambda x: jax.lax.scan(body, sorted_rows(x) + sorted_rows(x), None, 5)[0])
    traced = program.trace(jax.ShapeDtypeStruct((1,), "float32"))
    assert lowering.counts(traced, "tpu") == {"top_k": 3, "sort": 3, "loop": 1}
