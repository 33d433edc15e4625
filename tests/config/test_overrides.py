"""Fields set at the command line: read by their type, named if they cannot be set."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import config as configuration
from jaxcmr.config import checks, loading, method, overrides
from jaxcmr.errors import UsageError
from jaxcmr.methods import METHODS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
EVERY = sorted(path.name for path in CONFIGS.glob("*.py"))


def load(file: str = "mmcd_modelnet.py"):
    return loading.load(f"{CONFIGS}/{file}", CONFIGS)


def changed(*fields: str, file: str = "mmcd_modelnet.py"):
    """The config after `path=text`, and the notes."""
    config = load(file)
    return config, overrides.apply(config, [tuple(field.split("=", 1)) for field in fields])


def test_a_flag_is_read_in_any_case():
    config, _ = changed("noise.per_modality=true", file="rono_modelnet.py")
    assert config.noise.per_modality is True


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train.epochs", "3", 3),
        ("train.epochs", " 1_000 ", 1000),
        ("seed", "0x10", 16),
        ("seed", "007", 7),
        ("noise.rate", "0", 0.0),
        ("noise.rate", "2e-1", 0.2),
        ("noise.per_modality", "False", False),
        ("data.root", "a b", "a b"),
        ("data.root", "'a b'", "a b"),
        ("data.root", '"~/data"', "~/data"),
        ("data.root", "it's", "it's"),
        ("data.modalities", "('image','points')", ("image", "points")),
        ("data.modalities", "['image', 'points']", ("image", "points")),
        ("data.modalities", "image,points", ("image", "points")),
        ("data.modalities", "(image, points)", ("image", "points")),
        ("data.standardize", "()", ()),
        ("data.standardize", "text", ("text",)),
        ("evaluate.at", "5", (5,)),
        ("evaluate.at", "1,5,10", (1, 5, 10)),
        ("optimizer.groups.image.learning_rate", "1e-4", 1e-4),
        ("encoders.image.augment.zoom_images", "0.3", 0.3),
        ("encoders.image.options.resnet18.width", "32", 32),
        ("stage.pairs.train.epochs", "2", 2),
        ("stage.pairs.optimizer.learning_rate", "1e-3", 1e-3),
        ("stage.pairs.method.pair_temperature", "0.5", 0.5),
    ],
)
def test_a_text_is_read_by_the_type_of_the_field(path, text, value):
    config, notes = changed(f"{path}={text}")
    found = dict(checks.leaves(config))[path]
    assert found == value and type(found) is type(value) and notes == []
    configuration.check(config)


def test_sections_that_may_be_empty_are_set_whole():
    config, _ = changed("encoders.image.augment={'crop_images': 2}", "optimizer.groups={}")
    assert config.encoders.image.augment.to_dict() == {"crop_images": 2}
    assert config.is_locked


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("train.epoch=3", r"field --config\.train\.epoch \(did you mean --config\.train\.epochs\?"),
        ("epochs=3", r"no field --config\.epochs \(did you mean --config\.train\.epochs\?"),
        ("config.train.epochs=3", r"did you mean --config\.train\.epochs\?"),
        ("=3", r"no field --config\.$"),
        ("train..epochs=3", r"no field --config\.train\.\.epochs"),
        ("train.epochs.more=3", r"no field --config\.train\.epochs\.more"),
        ("encoders.imgae.name=fc", r"no field --config\.encoders\.imgae\.name"),
        ("stage.vote.train.epochs=3", r"no field --config\.stage\.vote\.train\.epochs"),
        ("method.tau1=3", r"no field --config\.method\.tau1$"),
        ("method.temperatur=3", r"did you mean --config\.method\.temperature\?"),
        ("train=3", r"--config\.train is a section; .* --config\.train\.\w+=VALUE"),
        ("encoders.image.augment=3", r"augment=3 gives no section"),
        ("train.epochs=many", r"--config\.train\.epochs=many gives no whole number"),
        ("train.epochs=2.0", r"--config\.train\.epochs=2\.0 gives no whole number"),
        ("train.epochs=", r"--config\.train\.epochs= gives no whole number"),
        ("noise.rate=40%", r"--config\.noise\.rate=40% gives no number"),
        ("noise.per_modality=maybe", r"per_modality=maybe must be True or False"),
        ("data.modalities=('image','points'", r"no tuple; write --config\.data\.modalities=FIRST"),
        ("data.modalities=image points)", r"gives no tuple"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_named(field, words):
    with pytest.raises(UsageError, match=words):
        changed(field)


def test_of_several_values_the_last_counts_and_tuples_are_refused():
    config, notes = changed("train.epochs=2", "train.epochs=4", "seed=1", "seed=1")
    assert config.train.epochs == 4
    assert notes == ["--config.train.epochs is given 2 times; the last, 4, counts"]
    with pytest.raises(
        UsageError, match=r"at is given twice, as 5 and 10; .*--config\.evaluate\.at=5,10"
    ):
        changed("evaluate.at=5", "evaluate.at=10")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("file", EVERY)
def test_every_method_brings_its_numbers_to_every_config(file, name):
    before = load(file)
    config, notes = changed(f"method.name={name}", file=file)
    assert config.method.name == name
    if before.method.name == name:
        assert config == before and notes == []
    else:
        assert config.method.to_dict() == method(name).to_dict()
        assert f"the method {name!r} in place of {before.method.name!r}" in notes[0]
    if config.data.name == "own":
        config.data.path = "items.csv"
    configuration.check(config)


def test_numbers_of_another_method_are_set_whatever_their_order():
    config, notes = changed("method.tau1=0.2", "method.name=rono", "method.warmup_epochs=3")
    assert (config.method.tau1, config.method.warmup_epochs, config.method.tau2) == (0.2, 3, 0.5)
    assert len(notes) == 1
    with pytest.raises(UsageError, match="there is no method 'none'"):
        changed("method.name=none")
    config, _ = changed("stage.pairs.method.name=matching")
    assert config.stage.pairs.method.to_dict() == method("matching").to_dict()


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("mmcd_mnist3d.py", ["stages=main", "start_from="]),
        ("romo_mnist3d.py", ["labels=given", "stages=pairs,main", "start_from=pairs"]),
        ("romo_mnist3d.py:described", ["start_from="]),
        ("mmcd_mnist3d.py:one", ["stage.pairs.start_from=runs/a", "method.name=ce"]),
    ],
)
def test_stages_are_left_out_at_the_command_line(file, fields):
    config, notes = changed(*fields, file=file)
    configuration.check(config)
    assert len(notes) == ("method.name=ce" in fields)


METHOD_FILE = """
from jaxcmr.config.ranges import SHARE, Field, choice
from jaxcmr.methods import Recipe, ce
METHOD = Recipe(
    ce.METHOD.build,
    {"alpha": Field(0.5, SHARE, "of the new term")},
    {"form": Field("linear", choice("linear", "square"), "of the new term")},
)
"""


def test_a_method_in_a_file_of_ones_own_brings_its_numbers_too(tmp_path):
    file = tmp_path / "my_method.py"
    file.write_text(METHOD_FILE)
    config, notes = changed("method.alpha=.3", f"method.name={file}")
    assert config.method.to_dict() == {"name": str(file), "alpha": 0.3, "form": "linear"}
    assert "my_method.py' in place of 'mmcd', with its defaults (" in notes[0]
    configuration.check(config)
    file.write_text(METHOD_FILE.replace("alpha", "gamma"))
    os.utime(file, ns=(0, 0))
    assert set(changed(f"method.name={file}")[0].method) == {"name", "gamma", "form"}
    file.write_text(METHOD_FILE)
    for field, words in (
        ("alpha=1.5", r"config\.method\.alpha is 1\.5, but it must be in \[0, 1\]"),
        ("form=cubic", r"config\.method\.form is 'cubic', but it must be one of linear, square"),
        ("alhpa=0.3", r"no field --config\.method\.alhpa \(did you mean --config\.method\.alpha\?"),
        ("alpha=much", r"method\.alpha=much gives no number"),
    ):
        with pytest.raises(UsageError, match=words):
            configuration.check(changed(f"method.{field}", f"method.name={file}")[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file .*my_method.py to take a method from"),
        ("METHOD = 3\n", r"my_method\.py exports no method: it needs METHOD = jaxcmr\.methods"),
        ("x = 1 +\n", r"my_method\.py is no method file: line 1 is no Python"),
        (
            "\nraise ValueError('no luck')\n",
            r"my_method\.py fails in line 2 with ValueError: no luck",
        ),
    ],
)
def test_a_file_that_is_no_method_is_said(tmp_path, content, words):
    if content is not None:
        (tmp_path / "my_method.py").write_text(content)
    with pytest.raises(UsageError, match=words):
        changed(f"method.name={tmp_path / 'my_method.py'}")


def test_own_data_get_the_noise_of_a_config_only_where_it_is_set():
    own_data = ("data.name=own", "data.path=items.csv")
    config, notes = changed(*own_data)
    assert config.noise.rate == 0.0
    assert notes == [
        "your own data get none of this config's noise; --config.noise.rate=0.4 puts it in"
    ]
    assert changed(*own_data, "noise.rate=0.2")[0].noise.rate == 0.2
    assert changed(*own_data, "noise.kind=asymmetric")[0].noise.rate == 0.4
    assert changed("noise.seed=1")[0].noise.rate == 0.4  # the config's own data
    assert changed(*own_data, file="rono_custom.py")[1] == []


def test_an_encoder_is_chosen_for_a_modality_of_own_data():
    config, _ = changed(
        "encoders.image.views=1", "encoders.image.name=resnet18", file="rono_custom.py"
    )
    assert config.encoders.image.name == "resnet18" and config.encoders.image.views == 1


LEAVES = sorted(path for path, _ in checks.leaves(load()))
TEXTS = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1", "1e999", "None", "True", "()", "('a','a')", "[1", "{}"]
    ),
    st.text(max_size=6),
    st.integers().map(str),
    st.floats().map(str),
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(path=st.one_of(st.sampled_from(LEAVES), st.text(max_size=8)), text=TEXTS)
def test_any_text_for_any_field_passes_or_is_a_sentence(path, text):
    try:
        config = load()
        overrides.apply(config, [(path, text)])
        configuration.check(config)
    except UsageError as error:
        assert path in str(error) or "config" in str(error) or repr(text) in str(error)


def test_a_field_of_a_section_that_other_configs_have_is_not_suggested_for_itself():
    field = "encoders.image.augment.flip_images"
    with pytest.raises(UsageError, match=r"no section encoders\.image\.augment, which") as error:
        changed(f"{field}=0.5", file="rono_custom.py")
    assert "did you mean" not in str(error.value)
