"""The command line, parsed in this process: every mistake is a sentence that names its flag."""

import importlib.util
import sys
from pathlib import Path

import pytest
from absl import flags

from jaxcmr.config.fields import FIELDS, method_fields
from jaxcmr.errors import UsageError
from jaxcmr.methods import METHODS

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
QUICK = f"--config={LAUNCH.parent}/configs/rono_modelnet.py:quick"


@pytest.fixture
def command_line(monkeypatch):
    """The module, with the flags of `launch/main.py` and no others."""
    monkeypatch.syspath_prepend(str(LAUNCH))
    import command_line

    values = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", values)
    monkeypatch.setattr(command_line.flags, "FLAGS", values)
    flags.DEFINE_string("workdir", "", "folder of the results", flag_values=values)
    monkeypatch.setattr(command_line, "_config", [])
    return command_line


@pytest.fixture
def parse(command_line):
    """`(*flags) -> ConfigFlag`."""

    def parsed(*words: str):
        config = command_line.define_config()
        command_line.parse(["main.py", *words])
        return config

    return parsed


def test_flags_are_taken_in_every_form(parse):
    path = QUICK.partition("=")[2]
    found = parse(
        "--config.train.epochs", "3", "-config.seed=5", "--config", path, "--workdir=w",
        "--config.noise.per_modality", "--config.noise.rate=0.25",
    )  # fmt: skip
    config = found.value
    assert (config.train.epochs, config.seed, config.noise.rate) == (3, 5, 0.25)
    assert config.noise.per_modality is True and found.name == "rono_modelnet-quick"
    assert flags.FLAGS.workdir == "w"
    assert parse(QUICK, "--noconfig.noise.per_modality").value.noise.per_modality is False
    assert parse(QUICK, "--config.data.seed", "3", "--").value.data.seed == 3


def test_flags_of_a_file_count(parse, tmp_path):
    (tmp_path / "flags").write_text("--config.seed=9\n--workdir=there\n")
    assert parse(QUICK, f"--flagfile={tmp_path / 'flags'}").value.seed == 9
    assert flags.FLAGS.workdir == "there"
    with pytest.raises(UsageError, match="nowhere"):
        parse(QUICK, "--flagfile=nowhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no config is given; add --config=configs/rono_modelnet.py"),
        (["--config"], "no config is given"),
        (["--config="], "no config is given"),
        ([QUICK, "--config=other.py"], "--config is given twice, as .* and other.py"),
        ([QUICK, "--config.train.epoch=3"], r"did you mean --config\.train\.epochs\?"),
        (["--config.train.epoch=3", QUICK], r"did you mean --config\.train\.epochs\?"),
        ([QUICK, "--config.data.path=a", "--config.train.epoch=3"], r"--config\.train\.epoch "),
        ([QUICK, "--config.train.epochs"], r"--config\.train\.epochs needs a value"),
        ([QUICK, "--noconfig.train.epochs"], r"--config\.train\.epochs needs a value"),
        ([QUICK, "--config.train=3"], r"--config\.train is a section"),
        ([QUICK, "--train.epochs=3"], r"no flag --train\.epochs \(did you mean --config\.train"),
        ([QUICK, "--epochs=3"], r"no flag --epochs \(did you mean --config\.train\.epochs\?"),
        ([QUICK, "--noise.rate", "0.2"], r"did you mean --config\.noise\.rate\?"),
        ([QUICK, "--temperature=1"], "there is no flag --temperature; see --help"),
        ([QUICK, "--tau1=1"], r"did you mean --config\.method\.tau1\?"),
        ([QUICK, "--wrkdir=w"], r"did you mean --workdir\?"),
        ([QUICK, "--nonsense=1"], "there is no flag --nonsense; see --help"),
        ([QUICK, "--workdir"], "Missing value for flag --workdir"),
        ([QUICK, "stray"], "'stray' is no flag; flags begin with two dashes"),
        ([QUICK, "--", "--workdir=w"], "'--workdir=w' is no flag"),
        ([QUICK, "config.train.epochs=3"], r"'config\.train\.epochs=3' is no flag"),
        ([QUICK, "--config.encoders.embedding_size=0"], "size is 0, but it must be at least 1"),
        ([QUICK, "--config.data.seed=-1"], "data.seed is -1, but it must be at least 0"),
        ([QUICK, "--config.data.modalities=('image','image')"], "names nothing twice"),
        ([QUICK.replace("quick", "quik")], "no variant 'quik'; use quick"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(parse, words, message):
    with pytest.raises(UsageError, match=message) as error:
        parse(*words)
    assert "\n" not in str(error.value)


def test_words_beside_flags_are_those_of_the_command(command_line):
    assert command_line.parse(["b.py", "epoch", "--workdir=w"], ("epoch", "members")) == ["epoch"]
    for given, message in (([], "none is given"), (["epochs"], "'epochs' is none of them")):
        with pytest.raises(UsageError, match=f"one of epoch, members; {message}"):
            command_line.parse(["b.py", *given], ("epoch", "members"))


def test_help_shows_how_the_command_is_used(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(LAUNCH))
    import command_line
    import usage

    spec = importlib.util.spec_from_file_location("main", LAUNCH / "main.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "main", module)
    spec.loader.exec_module(module)
    file = tmp_path / "my_method.py"
    file.write_text(
        "from jaxcmr.config.ranges import SHARE, Field\n"
        "from jaxcmr.methods import Recipe, ce\n"
        "NUMBERS = {'my_number': Field(0.5, SHARE, 'of the new term')}\n"
        "METHOD = Recipe(ce.METHOD.build, NUMBERS, {})\n"
    )
    shown = usage.of(module, (), command_line.CONFIGS, [str(file)])
    assert "python launch/main.py --config=configs/rono_modelnet.py:quick" in shown
    for flag in ("--config=FILE[:VARIANT]", "--config.FIELD=VALUE", "--workdir", "--num_processes"):
        assert flag in shown
    for path in command_line.CONFIGS.glob("*.py"):
        assert f"configs/{path.name}" in shown
    for field in (
        *FIELDS,
        *(f"method.{name}" for method in METHODS for name in method_fields(method)),
    ):
        assert f"  {field}=" in shown
    assert f"Numbers of the method {file}" in shown and "  method.my_number=0.5 " in shown
    assert "Internal" not in shown


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--k=three: 3", "--k takes a whole number, not 'three: 3'"),
        ("--rate=x", "--rate takes a number, not 'x'"),
        ("--json=perhaps", "--json takes true or false, not 'perhaps'"),
        ("--k=0", "flag --k=0: 0 is not a positive integer"),
    ],
)
def test_a_value_of_another_type_is_refused_without_python_s_words(command_line, word, message):
    flags.DEFINE_integer("k", 10, "", lower_bound=1, flag_values=flags.FLAGS)
    flags.DEFINE_float("rate", 1.0, "", flag_values=flags.FLAGS)
    flags.DEFINE_bool("json", False, "", flag_values=flags.FLAGS)
    with pytest.raises(UsageError) as caught:
        command_line.parse(["search.py", word])
    assert str(caught.value) == message


def test_help_says_once_that_a_flag_may_be_given_again(command_line):
    command = type(sys)("command")
    words = "Words to search with; may be given again."
    flags.DEFINE_multi_string("text", [], words, flags.FLAGS, module_name="command")
    assert command_line.usage.of(command, (), None).splitlines()[-1].split(maxsplit=1) == [
        "--text=", words
    ]  # fmt: skip
