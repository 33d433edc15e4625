"""A method in a person's own file: what is wrong in it is one sentence that names the file."""

import paired
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.methods import trial
from jaxcmr.train import stages

CONTENT = """
import jax.numpy as jnp
from jaxcmr.config.ranges import NOT_NEGATIVE, Field, flag
from jaxcmr.encoders import towers
from jaxcmr.methods.base import Method, Recipe

def build(config):
    network = towers.bare(config)
    return Method(network.init, network.apply, objective, vote=vote)

def vote(outputs, alive, beliefs, batch, progress, hp):
    return beliefs, None

def objective(outputs, batch, targets, progress, hp):
    values = hp["weight"] * (outputs.embeddings**2).sum((0, 2))
    return {"small": values}

METHOD = Recipe(build, {"weight": Field(1.0, NOT_NEGATIVE, "of the one term")}, has_classes=False)
"""


def _config(file):
    config = paired.config()
    config.ensemble.members = 2
    config.method = {"name": str(file), "weight": 1.0}
    return config


def _check(file):
    stages.check_data(stages.plan(_config(file), file.parent), paired.dataset())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"weight": Field', '"name": Field', "'name', among the numbers .*, must be a Python name"),
        ('"weight": Field', '"a.b": Field', "'a.b', among the numbers .*, must be a Python name"),
        ('"weight": Field', "3: Field", "3, among the numbers .*, must be a Python name"),
        ('Field(1.0, NOT_NEGATIVE, "of the one term")', "1.0", "'weight', .* must be a jaxcmr"),
        ("1.0, NOT_NEGATIVE", "1.0, 0", "'weight', .* must be a jaxcmr.config.ranges.Field"),
        ('{"weight": Field(1.0, NOT_NEGATIVE, "of the one term")}', "[1]", "are a list, but they"),
        ("Field(1.0", "Field(None", "'weight' has the default None; what is no number"),
        (
            "has_classes",
            'choices={"weight": Field(True, flag, "")}, has_classes',
            "'weight' is among the numbers and the choices",
        ),
        ("    network =", "    1 / 0\n    network =", "fails in line 8 with ZeroDivisionError"),
        ("def build(config)", "def build()", "fails with TypeError"),
        ("    return Method(", "    Method(", "build in .* returns a NoneType, but it must"),
        ("    return beliefs", "    1 / 0\n    return beliefs", "fails in line 12 with ZeroDiv"),
        ("return beliefs, None", "return None", r"vote must return \(beliefs, targets\)"),
        ("return beliefs, None", "return jnp.ones(3), None", r"vote must return \(beliefs"),
        ("return beliefs, None", "return beliefs, jnp.ones(3)", r"vote must return targets \[E"),
        ('hp["weight"]', 'hp["other"]', "fails in line 15 with KeyError: 'other'"),
        (".sum((0, 2))", ".sum()", r"losses must return \{term: \[B\]\}"),
        (".sum((0, 2))", ".sum(2)", r"losses must return \{term: \[B\]\}"),
        ('{"small": values}', "values", r"losses must return \{term: \[B\]\}"),
        ('{"small": values}', "{}", r"losses must return \{term: \[B\]\}"),
        ('"small"', '"loss"', r"losses must return .* no name of loss, step, epoch"),
        (", has_classes=False", "", r"apply must return logits \[V, B, K\], unless"),
        ("network.apply", "lambda *args, **named: (1, {})", r"apply must return \(Outputs, state"),
        ("network.apply", "3", "fails with TypeError: 'int' object is not callable"),
    ],
)
def test_a_mistake_in_a_file_is_said_before_anything_is_trained(tmp_path, old, new, words):
    assert old in CONTENT
    file = tmp_path / "wrong.py"
    file.write_text(CONTENT.replace(old, new, 1))
    with pytest.raises(UsageError, match=words) as error:
        _check(file)
    assert "wrong.py" in str(error.value)


def test_a_method_without_mistakes_is_built_and_one_of_ours_is_not_tried(tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(CONTENT)
    _check(file)
    monkeypatch.setattr(trial, "check", None)
    stages.check_data(stages.plan(paired.config(), paired.Path("nowhere")), paired.dataset())


def test_what_a_file_finds_in_its_beliefs_may_be_an_array(tmp_path):
    file = tmp_path / "mine.py"
    said = "lambda beliefs, dataset, k: {'mean': jnp.float32(0.5), 'each': jnp.ones(2)}"
    file.write_text(CONTENT.replace("vote=vote)", f"diagnose={said})"))
    config = _config(file)
    config.train.epochs = 1
    trainer = paired.trainer(config, tmp_path)
    found = trainer.diagnose(trainer.untrained, 0)
    assert found == {"labels mean": 0.5, "labels each": [1.0, 1.0]}
    assert type(found["labels mean"]) is float
