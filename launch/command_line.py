"""What every entry point does with its command line; JAX is imported only after all is checked."""

import logging as std_logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from jaxcmr.errors import UsageError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcmr"


def define_config():
    """Defines `--config=FILE[:ARGUMENT]` and, for each field, `--config.FIELD=VALUE`."""
    return config_flags.DEFINE_config_file(
        "config", None, "A file of configs/, with an argument behind a colon if it takes one."
    )


def config_name() -> str:
    """Returns the name of the chosen config, `rono_modelnet` or `rono_modelnet-quick`."""
    path, _, argument = _config_argument(sys.argv).partition(":")
    return Path(path).stem + (f"-{argument}" if argument else "")


def run(main: Callable[[], None]) -> None:
    """Runs `main` with parsed flags; a user's mistake becomes one sentence and exit code 2."""

    def guarded(argv: list[str]) -> None:
        del argv
        _prepare()
        try:
            main()
        except UsageError as error:
            _mistake(str(error))

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags; ml_collections alone would answer many mistakes with a traceback."""
    try:
        if "config" in flags.FLAGS:
            _check_config_file(_config_argument(argv))
        rest = flags.FLAGS(argv)
    except (AttributeError, KeyError) as error:
        key = re.sub(r"\W", "", str(error).split("'")[1] if "'" in str(error) else str(error))
        wrong = [a for a in argv if re.match(rf"--?config\.(.*\.)?{key}\b", a.split("=")[0])]
        _mistake(f"the config has no field {wrong[0].split('=')[0] if wrong else key}")
    except (flags.Error, UsageError, TypeError, ValueError) as error:
        _mistake(_sentence(error))
    if len(rest) > 1:
        _mistake(f"{rest[1]!r} is no flag; flags begin with two dashes, see --help")
    return rest


def _sentence(error: BaseException) -> str:
    """Returns the first line of an error, or, if it is a whole traceback, what its last line says.

    ml_collections turns an error inside a config file into such a text.
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        return re.sub(r"^[\w.]+: ", "", lines[-1])
    return lines[0]


def _config_argument(argv: list[str]) -> str:
    for position, argument in enumerate(argv):
        match = re.fullmatch(r"--?config(?:=(.*))?", argument)
        if match:
            return match[1] or "".join(argv[position + 1 : position + 2])
    return ""


def _check_config_file(argument: str) -> None:
    path = argument.partition(":")[0]
    if any(flag in sys.argv for flag in ("--help", "--helpfull", "--helpshort", "-h")):
        return
    if not path:
        raise UsageError("no config is given; add --config=configs/rono_modelnet.py, for example")
    if not Path(path).is_file():
        raise UsageError(f"there is no config file {path}; see the folder configs/")


def _mistake(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)


def _prepare() -> None:
    """Sets up logging for people and the compilation cache, before JAX is imported."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    # Libraries report their own progress at level INFO too; people came for ours.
    ours = (str(Path(__file__).parent), str(Path(__file__).parents[1] / "jaxcmr"))
    handler.addFilter(
        lambda record: record.levelno > std_logging.INFO or record.pathname.startswith(ours)
    )
