"""The command line of every entry point.

An entry point imports this file first: it opens closed streams and installs handlers of signals.
The environment is prepared before flags are read: the numbers of a method stand beside its formula,
and reading them imports JAX.
"""

import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import requirements  # noqa: F401 (before what it looks for)

import environment  # isort: skip
import usage
from absl import flags, logging
from ml_collections import ConfigDict

from jaxcmr import config as configuration
from jaxcmr.config import loading, overrides
from jaxcmr.config.checks import closest
from jaxcmr.errors import UsageError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
HELP = ("--help", "-help", "-h", "--helpfull", "--helpshort")
FLAG = re.compile(r"--?(no)?config(?:\.([^=]*))?(?:=(.*))?", re.DOTALL)

TAKES = {  # what absl says of a value -> what the flag takes
    "invalid literal for int": "a whole number",
    "could not convert string to float": "a number",
    "Non-boolean argument": "true or false",
}


class ConfigFlag:
    """`--config=FILE[:VARIANT]` and, for each field, `--config.FIELD=VALUE`.

    Attributes:
        value: the config, checked and locked.
        name: of the config, `rono_modelnet` or `rono_modelnet-quick`.
        notes: sentences for the user on how it was made.
    """

    def __init__(self) -> None:
        self.value: ConfigDict | None = None
        self.name = ""
        self.notes: list[str] = []

    def parse(self, argv: list[str]) -> list[str]:
        """Takes its flags out of a command line, and returns the others.

        Raises:
            UsageError: no config, one that cannot be used, or a field that it does not have.
        """
        files, rest = _files(argv)
        if len(set(files)) > 1:
            raise UsageError(
                f"--config is given twice, as {files[0]} and {files[-1]}; give it once"
            )
        if not files or not files[0]:
            raise UsageError(
                "no config is given; add --config=configs/rono_modelnet.py, for example"
            )
        self.value, self.name = loading.load(files[0], CONFIGS), loading.name_of(files[0])
        found, rest = _overrides(self.value, rest)
        self.notes = overrides.apply(self.value, found)
        configuration.check(self.value)
        return rest


_config: list[ConfigFlag] = []


def define_config() -> ConfigFlag:
    """Defines `--config` and its fields for this command."""
    _config[:] = [ConfigFlag()]
    return _config[0]


def define_processes() -> None:
    """Defines the flags of a run of several processes."""
    flags.DEFINE_string("coordinator_address", "", "host:port of process 0, in every process")
    flags.DEFINE_integer("num_processes", 0, "processes of the run", lower_bound=0)
    flags.DEFINE_integer("process_id", -1, "which of them this is, from 0", lower_bound=-1)


def run(
    main: Callable[..., None],
    trains: bool = False,
    words: tuple[str, ...] = (),
    computes: bool = True,
) -> None:
    """Runs `main` with parsed flags; a user's mistake becomes one sentence and exit code 2.

    Args:
        main: the command; it is called with the one word of `words` that is given, if there are.
        trains: whether it goes on where it was stopped, and may be one process of several (it must
            have called `define_processes`).
        words: what may stand in the command line besides flags.
        computes: whether it needs JAX's devices, which another process may have taken.
    """
    environment.guarded(lambda: _run(main, trains, words, computes))


def _run(main: Callable[..., None], trains: bool, words: tuple[str, ...], computes: bool) -> None:
    environment.prepare()
    if computes:
        environment.check_variables()
    if any(word in HELP for word in sys.argv[1:]):
        found = [match.group(2, 3) for match in map(FLAG.fullmatch, sys.argv) if match]
        files = [text for path, text in found if path == "method.name" and text]
        print(usage.of(sys.modules["__main__"], words, CONFIGS if _config else None, files))
        return
    given = parse(sys.argv, words)
    if trains:
        _join()
    if computes:
        environment.check_devices()
    for note in _config[0].notes if _config else ():
        logging.info("%s", note)
    main(*given)


def parse(argv: list[str], words: tuple[str, ...] = ()) -> list[str]:
    """Parses all flags; returns the other words.

    Raises:
        UsageError: for the first mistake.
    """
    try:
        argv = flags.FLAGS.read_flags_from_files(list(argv), force_gnu=True)
        if _config:
            argv = _config[0].parse(argv)
        rest = flags.FLAGS(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_no_flag(error.flagname)) from None
    except (flags.Error, OSError) as error:
        raise UsageError(_refused(str(error).splitlines()[0])) from None
    if words and (len(rest) != 1 or rest[0] not in words):
        given = f"{rest[0]!r} is none of them" if rest else "none is given"
        raise UsageError(f"say what to do, one of {', '.join(words)}; {given}")
    if rest and not words:
        raise UsageError(f"{rest[0]!r} is no flag; flags begin with two dashes, see --help")
    return rest


def _files(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns the values of `--config`, and the command line without them."""
    files, rest, words = [], [], iter(argv)
    for word in words:
        match = FLAG.fullmatch(word)
        if word == "--":
            return files, [*rest, word, *words]
        if match and match[1] is None and match[2] is None:
            files.append(next(words, "") if match[3] is None else match[3])
        else:
            rest.append(word)
    return files, rest


def _overrides(config: ConfigDict, argv: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the fields that are set, and the command line without them."""
    found, rest, words = [], [], iter(argv)
    for word in words:
        match = FLAG.fullmatch(word)
        if word == "--":
            return found, [*rest, word, *words]
        if not match or match[2] is None:
            rest.append(word)
            continue
        no, path, text = match.groups()
        if overrides.takes_value(config, path):
            text = next(words, None) if text is None else text
            if text is None or no:
                raise UsageError(f"--config.{path} needs a value, --config.{path}=VALUE")
        elif text is None or no:
            text = "False" if no else "True"
        found.append((path, text))
    return found, rest


def _no_flag(name: str) -> str:
    """Returns the error for an unknown flag, with the flag that may be meant."""
    field = closest(name, _config[0].value.method.name) if _config and _config[0].value else ""
    near = [f"config.{field}"] if field else get_close_matches(name, list(flags.FLAGS), 1, 0.7)
    hint = f" (did you mean --{near[0]}?)" if near else ""
    return f"there is no flag --{name}{hint}; see --help"


def _refused(sentence: str) -> str:
    """Returns absl's sentence on a value; where it speaks of Python's types, one of our own."""
    for words, takes in TAKES.items():
        if match := re.fullmatch(rf"flag --([^=]*)=(.*): .?.?{words}.*", sentence, re.DOTALL):
            return f"--{match[1]} takes {takes}, not {match[2]!r}"
    return sentence


def _join() -> None:
    """Joins the other processes, before any other call of JAX; only process 0 logs."""
    from jaxcmr import distributed

    fields = flags.FLAGS
    distributed.start(fields.coordinator_address, fields.num_processes, fields.process_id)
    if distributed.several() and not distributed.first():
        logging.set_verbosity(logging.WARNING)
