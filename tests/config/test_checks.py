"""Every field of a config has a range, and a wrong value is named before anything runs."""

import inspect
import math
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from jaxcmr import config as configuration
from jaxcmr import noise
from jaxcmr.config import checks, default, encoder, fields, method, section, stage
from jaxcmr.config.ranges import SEED, choice, either, name, number, several, text, whole, widths
from jaxcmr.encoders import ENCODERS, towers
from jaxcmr.errors import UsageError
from jaxcmr.methods import METHODS
from jaxcmr.train import stages

VARIANTS = {
    "mmcd_mnist3d": ("", "ce", "pairs", "mrl", "rono", "clean", "one", "quick"),
    "mmcd_modelnet": ("", "ce", "pairs", "mrl", "rono", "clean", "quick", "three", "three_quick"),
    "mmcd_wikipedia": ("", "ce", "pairs", "mrl", "rono", "clean", "nrcl", "co_teaching"),
    "romo_mnist3d": ("", "described", "quick"),
    "romo_modelnet": ("", "quick"),
    "romo_wikipedia": ("", "described"),
    "rono_custom": ("",),
    "rono_mnist3d": ("", "quick", "features"),
    "rono_modelnet": ("", "quick", "paper"),
}
EVERY = [(file, variant) for file, variants in VARIANTS.items() for variant in variants]


def small() -> ConfigDict:
    """A whole config that passes the check."""
    config = default()
    config.encoders.image = encoder("compact_cnn", views=2, augment={"flip_images": 0.5})
    config.encoders.points = encoder("pointnet", widths=(8,), augment={"scale_points": 0.2})
    config.method = method("mmcd")
    config.optimizer.groups.centers = ConfigDict({"weight_decay": 0.0})
    config.stages, config.start_from = ("first", "main"), "first"
    config.stage.first = stage(method("pairs"), epochs=2, batch_size=64)
    return config


def put(config: ConfigDict, path: str, value) -> ConfigDict:
    """Sets a field past ConfigDict's own check of types."""
    *sections, last = path.split(".")
    section = config
    for part in sections:
        section = section[part]
    with section.ignore_type():
        section[last] = value
    return config


@pytest.mark.parametrize(("file", "variant"), EVERY)
def test_every_leaf_of_every_config_has_a_range_and_is_in_it(real_config, file, variant):
    config = real_config(file, variant)
    for path, _ in checks.leaves(config):
        assert fields.range_of(path, checks.method_of(config, path)), path
    configuration.check(config)


def test_the_tables_name_what_there_is():
    assert set(fields.AUGMENTATIONS) == set(towers.AUGMENTATIONS)
    assert {*noise.KINDS, "open_set", "file"} == set(checks.NOISES)
    assert set(fields.ENCODERS) == set(ENCODERS)
    for name_, (_, options) in fields.ENCODERS.items():
        taken = set(inspect.signature(ENCODERS[name_]).parameters) - {"embedding_size", "dtype"}
        assert set(options) == taken, name_


def test_every_default_is_in_its_range_and_says_what_it_means():
    numbers = {
        f"method.{name}.{number}": field
        for name in METHODS
        for number, field in fields.method_fields(name).items()
    }
    for path, field in {**fields.FIELDS, **numbers}.items():
        assert field.range(field.default) == "" and field.meaning, path
    for name_, (_, options) in fields.ENCODERS.items():
        for option, allowed in options.items():
            value = inspect.signature(ENCODERS[name_]).parameters[option].default
            assert allowed(value) == "", (name_, option)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("encoders.embedding_size", 0, "at least 1"),
        ("data.seed", -1, "at least 0"),
        ("seed", 2**32, "at most 4294967295"),
        ("data.modalities", ("image", "image"), "must be a tuple that names nothing twice"),
        ("data.modalities", ("image",), "must be a tuple of at least 2"),
        ("data.modalities", "image,points", "must be a tuple"),
        ("data.modalities", ("image", "centers"), "other than embedding_size, head, centers"),
        ("data.points", 0, "at least 1"),
        ("data.points", True, "a whole number"),
        ("data.validation", 1.0, r"in \[0, 1\)"),
        ("noise.rate", math.nan, r"in \[0, 1\)"),
        ("noise.rate", -0.1, r"in \[0, 1\)"),
        ("noise.seed", -1, "at least 0"),
        ("ensemble.members", 0, "at least 1"),
        ("mesh.data", 0, "-1, or at least 1"),
        ("train.epochs", 10**12, "at most 1000000"),
        ("train.batch_size", 1, "at least 2"),
        ("optimizer.learning_rate", math.inf, r"in \[0, 1000\]"),
        ("optimizer.learning_rate", -1e-3, r"in \[0, 1000\]"),
        ("optimizer.weight_decay", math.nan, r"in \[0, 1000\]"),
        ("optimizer.b2", 1.0, r"in \[0, 1\)"),
        ("optimizer.groups.centers.weight_decay", -1.0, r"in \[0, 1000\]"),
        ("evaluate.at", (10, 2.5), "a tuple whose values are each a whole number"),
        ("evaluate.at", (0,), "a tuple whose values are each at least 1"),
        ("evaluate.at", (-5,), "a tuple whose values are each at least 1"),
        ("evaluate.every_epochs", -3, "at least 1"),
        ("method.temperature", 0.0, r"in \[1e-06, 1e\+06\]"),
        ("method.center_temperature", 0.0, r"in \[1e-06, 1e\+06\]"),
        ("method.label_weight", -1.0, r"in \[0, 1e\+06\]"),
        ("method.memory_decay", 1.5, r"in \[0, 1\]"),
        ("method.held_out_share", math.nan, r"in \[0, 1\]"),
        ("method.warmup_epochs", -1, "at least 0"),
        ("method.warmup_epochs", 2.5, "a whole number"),
        ("method.label_loss", "hinge", "one of cross_entropy, focal"),
        ("encoders.image.views", -1, "at least 0"),
        ("encoders.image.augment.flip_images", 1.5, r"in \[0, 1\]"),
        ("encoders.points.options.pointnet.widths", (), "a tuple of at least 1 widths"),
        ("encoders.points.options.pointnet.widths", (8, 0), "widths, each at least 1"),
        ("stage.first.train.epochs", 0, "at least 1"),
        ("stage.first.method.pair_temperature", -0.2, r"in \[1e-06, 1e\+06\]"),
        ("stage.first.pseudo_labels", "best", "one of '', mean, votes, per_modality"),
        ("stages", ("first", "first"), "names nothing twice"),
        ("stages", (), "a tuple of at least 1"),
        ("audit.folds", 1, "it must be 0, or at least 2"),
        ("audit.folds", 1001, "it must be 0, or at most 1000"),
        ("method.name", 5, "must be a text"),
        ("labels", "none", "one of given, absent"),
        ("data.root", "a\nb", "a text without line breaks"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named(path, value, words):
    with pytest.raises(
        UsageError, match=rf"^config\.{path} is {re.escape(repr(value))}, .*{words}"
    ):
        configuration.check(put(small(), path, value))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("train.epoch", r"no field config\.train\.epoch \(did you mean config\.train\.epochs\?\)"),
        ("optimizer.groups.centers.weigth_decay", r"no field config\.optimizer\.groups\.centers"),
        ("method.temprature", r"did you mean config\.method\.temperature\?"),
        ("epochs", r"no field config\.epochs \(did you mean config\.train\.epochs\?\)"),
        ("encoders.image.options.compact_cnn.widht", r"did you mean config.*compact_cnn\.width\?"),
        (
            "encoders.image.augment.flip",
            r"did you mean config\.encoders\.image\.augment\.flip_images",
        ),
        ("encoders.points.augment.flip_images", "'flip_images', but the encoder 'pointnet' takes"),
        ("encoders.points.sound", r"no field config\.encoders\.points\.sound"),
        ("stage.first.data.points", r"no field config\.stage\.first\.data\.points"),
        ("optimizer.groups.center", "groups has 'center', but the groups of parameters are"),
    ],
)
def test_a_field_without_an_effect_is_named(path, words):
    config = small()
    if path.startswith("stage.first.data"):
        config.stage.first.data = ConfigDict()
    value = ConfigDict({"weight_decay": 0.0}) if path.endswith("center") else 1
    with pytest.raises(UsageError, match=words):
        configuration.check(put(config, path, value))


@pytest.mark.parametrize("path", sorted(fields.FIELDS))
def test_a_field_that_is_missing_is_named(path):
    config = small()
    *sections, last = path.split(".")
    section = config
    for part in sections:
        section = section[part]
    del section[last]
    with pytest.raises(UsageError):
        configuration.check(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.path": "a.csv"}, "reads no such file; add --config.data.name=own"),
        ({"noise.kind": "file"}, "say which with config.noise.file"),
        ({"noise.kind": "odd"}, "unknown kind of noise 'odd' .*; use one of symmetric,"),
        ({"noise.file": "a.npy"}, "noise.kind is 'symmetric', which reads no file"),
        ({"noise.class_map": "rono"}, "add --config.noise.kind=asymmetric"),
        ({"noise.open_classes": 2}, "noise.kind is 'symmetric'; add --config.noise.kind=open_set"),
        (
            {"noise.kind": "open_set", "noise.per_modality": True, "method": method("rono")},
            "config.noise.per_modality is True, .* where an item has one label; set it to False",
        ),
        ({"classes": 1}, "classes is 1, but it must be 0, or -1, or at least 2"),
        ({"classes": 5}, "classes is 5, but it must be 0 where labels are given"),
        ({"labels": "absent"}, "no stage before the method 'mmcd' makes pseudo labels"),
        (
            {"start_from": "", "labels": "absent", "classes": -1, "method": method("matching"),
             "data.corrections": "fixes.csv"},
            "corrections is 'fixes.csv', but config.labels is 'absent', so that no label is used",
        ),
        ({"pseudo_labels": "mean"}, "nothing follows the last stage"),
        ({"stage.first.pseudo_labels": "mean"}, "its method 'pairs' has no classes"),
        ({"noise.per_modality": True}, r"one label a pair, .*; set config\.noise\.per_modality to"),
        (
            {"stage.first.method": method("matching"), "stage.first.pseudo_labels": "per_modality"},
            r"one label a pair, .*; set config\.stage\.first\.pseudo_labels to mean or votes",
        ),
        (
            {"ensemble.members": 3, "stage.first.ensemble": ConfigDict({"members": 2})},
            r"has 2 members, and this one 3, .* set config\.stage\.first\.ensemble\.members to 3",
        ),
        ({"stages": ("second", "main")}, "names 'second', but config.stage has first"),
        ({"stages": ("first",)}, "ends with 'first', whose fields are those of the config itself"),
        ({"start_from": "main"}, r"start_from is 'main', .* before; name first or the folder of"),
        ({"stage.first.start_from": "main"}, r"first\.start_from .* before; name the folder"),
        ({"stages": ("main",)}, "start_from is 'first', but that stage is not trained before"),
        ({"start_from": ""}, "nothing starts from the stage 'first', and it makes no pseudo"),
        ({"start_from": "runs/a"}, r"'first' then; set config\.stage\.first\.start_from instead"),
        ({"method": ConfigDict({"name": "mrl"})}, "method lacks tau, beta, pair_temperature of"),
        ({"method": ConfigDict({"name": "odd"})}, "there is no method 'odd'; choose from ce,"),
        ({"method": ConfigDict()}, "config.method has no name"),
        ({"train": 5}, "no section config.train"),
        ({"data.modalities": ("image", "text")}, "no encoder is configured for .* 'text'"),
        ({"encoders.points.views": 2}, "'pointnet' takes points; set it to 0"),
        ({"encoders.image.name": "cnn"}, "there is no encoder 'cnn' .*; choose from"),
    ],
)  # fmt: skip
def test_fields_that_do_not_go_together_are_named(changes, words):
    config = small()
    for path, value in changes.items():
        put(config, path, value)
    with pytest.raises(UsageError, match=words):
        configuration.check(config)


@pytest.mark.parametrize(
    "changes",
    [
        {"start_from": "", "stage.first.method": "matching", "stage.first.pseudo_labels": "mean"},
        {
            "stage.first.method": "matching",
            "stage.first.pseudo_labels": "mean",
            "noise.per_modality": True,
        },
        {"stage.first.start_from": "runs/a"},
        {"stages": ("main",), "start_from": "runs/a"},
        {"stages": ("main",), "start_from": "./first"},
        {"start_from": "", "labels": "absent", "classes": -1, "method": "matching"},
    ],
)
def test_stages_that_follow_from_each_other_pass(changes):
    config = small()
    for path, value in changes.items():
        put(config, path, method(value) if path.endswith("method") else value)
    configuration.check(config)


def test_the_config_of_a_stage_has_its_fields_and_those_of_the_config():
    config = small()
    config.stage.first.optimizer = ConfigDict({"learning_rate": 0.5})
    first, last = section(config, "first"), section(config, "main")
    assert first.method == config.stage.first.method and last.method == config.method
    assert (first.train.epochs, first.train.batch_size, last.train.epochs) == (2, 64, 50)
    assert first.optimizer.learning_rate == 0.5 and first.optimizer.b1 == config.optimizer.b1
    assert (first.start_from, last.start_from) == ("", "first")
    del config.stage.first.start_from, config.stage.first.pseudo_labels  # as in a section by hand
    assert section(config, "first") == first
    assert (first.stages, last.stages) == ((), ()) and not first.stage and not last.stage
    last.method.temperature = 9.0
    assert config.method.temperature != 9.0


def test_a_section_of_a_method_has_all_numbers_and_refuses_others():
    numbers = method("rono", tau1=0.5, warmup_epochs=3)
    assert (numbers.name, numbers.tau1, numbers.warmup_epochs, numbers.tau2) == (
        "rono",
        0.5,
        3,
        0.5,
    )
    assert type(method("rono", margin=1).margin) is float
    with pytest.raises(
        UsageError, match="method 'mrl' has no number 'alpha'; it has tau, beta, pair"
    ):
        method("mrl", alpha=1.0)
    with pytest.raises(UsageError, match="method 'ce' has no number 'alpha'; it has none"):
        method("ce", alpha=1.0)
    with pytest.raises(UsageError, match="there is no method 'odd'; choose from ce,"):
        method("odd")


def test_importing_the_package_imports_no_jax():
    code = "import sys, jaxcmr.config; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_open_for_own_data_passes_for_them_alone(real_config):
    config = real_config("rono_custom")
    config.data.path = "items.csv"
    configuration.check(config)
    for path, value in checks.LEFT_OPEN.items():
        with pytest.raises(UsageError, match=rf"config\.{path} is"):
            configuration.check(put(small(), path, value))
    with pytest.raises(UsageError, match=r"data\.validation is -0\.2"):
        configuration.check(put(config, "data.validation", -0.2))


ODD = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1, 0, 2**32, 2**63, 1e300, -0.5, 1e-30]),
    st.sampled_from([None, True, "", "text", "a\0b", (), (0,), ("image", "image"), (2.5,), [1]]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
)
LEAVES = sorted(path for path, _ in checks.leaves(small()))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(path=st.sampled_from(LEAVES), value=ODD)
def test_any_value_of_any_field_passes_or_is_named(path, value):
    try:
        configuration.check(put(small(), path, value))
    except UsageError as error:
        message = str(error)
        assert "\n" not in message
        last = path.rpartition(".")[2]
        assert path in message or last in message or repr(value) in message


@pytest.mark.parametrize(
    ("allowed", "good", "bad"),
    [
        (whole(1, 3), (1, 3), (0, 4, 1.0, True, "1", None, math.nan)),
        (number(0, 1), (0, 0.5, 1), (-1e-9, 1.1, math.nan, math.inf, True, "0")),
        (number(0, below=1), (0, 0.999), (1, 1.0, -1)),
        (choice("", "a", 1), ("", "a", 1), ("b", True, 1.0, None, ["a"])),
        (several(whole(1), 1), ((1,), [1, 2]), ((), (1, 1), (0,), 1, "1")),
        (widths(1), ((8, 8), [1]), ((), (0,), (8.0,), 8, None)),
        (either(-1, whole(1)), (-1, 5), (0, -2, -1.0, None)),
        (name, ("image", "my sound"), ("", "a.b", "a/b", 1, None)),
        (text, ("", "/a b/ü"), ("a\0", None, 1)),
        (SEED, (0, 2**32 - 1), (-1, 2**32, 0.0)),
    ],
)
def test_ranges_hold_what_they_say(allowed, good, bad):
    assert [allowed(value) for value in good] == [""] * len(good)
    assert all(allowed(value) for value in bad)


def test_more_steps_than_are_counted_are_refused():
    config = small()
    config.train.epochs, config.train.batch_size = 1000, 2
    assert stages.steps_per_epoch(config, 4_000_000) == 2_000_000
    with pytest.raises(UsageError, match="epochs is 1000, which are more than 2147483647 steps"):
        stages.steps_per_epoch(config, 5_000_000)


def test_every_stage_has_at_least_as_many_members_as_there_are_folds():
    config = small()
    config.audit.folds = 5
    members = lambda: [section(config, name).ensemble.members for name in config.stages]
    assert members() == [5, 5]
    config.ensemble.members = 7
    assert members() == [7, 7]
    config.stage.first.ensemble = ConfigDict({"members": 2})  # too few for the next one: 5 for 3
    config.ensemble.members = 3
    assert members() == [5, 5] and config.ensemble.members == 3
    configuration.check(config)
    config.audit.folds = 0
    assert members() == [2, 3]


def test_folds_are_those_of_the_whole_run():
    config = small()
    config.stage.first.audit = ConfigDict({"folds": 2})
    with pytest.raises(UsageError, match=r"no field config\.stage\.first\.audit\.folds"):
        configuration.check(config)
