"""What every entry point does with its command line; JAX is imported only after all is checked."""

import errno
import logging as std_logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from jaxcmr import paths
from jaxcmr.errors import StoppedError, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def define_config():
    """Defines `--config=FILE[:ARGUMENT]` and, for each field, `--config.FIELD=VALUE`."""
    return config_flags.DEFINE_config_file(
        "config", None, "A file of configs/, with an argument behind a colon if it takes one."
    )


def config_name() -> str:
    """Returns the name of the chosen config, `rono_modelnet` or `rono_modelnet-quick`."""
    path, _, argument = _config_argument(sys.argv).partition(":")
    return Path(path).stem + (f"-{argument}" if argument else "")


def define_processes() -> None:
    """Defines the flags of a run of several processes."""
    flags.DEFINE_string("coordinator_address", "", "host:port of process 0, in every process.")
    flags.DEFINE_integer("num_processes", 0, "Processes of the run.", lower_bound=0)
    flags.DEFINE_integer("process_id", -1, "Which of them this is, from 0.", lower_bound=-1)


def run(main: Callable[[], None], trains: bool = False) -> None:
    """Runs `main` with parsed flags; a user's mistake becomes one sentence and exit code 2.

    So does a full disk. A command that trains goes on where it was stopped: SIGTERM ends it with
    code 0, at once where `main` does not handle it; and it may be one process of several (it must
    have called `define_processes`).
    """

    def guarded(argv: list[str]) -> None:
        del argv
        _prepare()
        try:
            if trains:
                signal.signal(signal.SIGTERM, _stop)
                _join()
            main()
        except UsageError as error:
            _mistake(str(error))
        except StoppedError as error:
            logging.info("%s", error)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _mistake(f"{error}; make room there, and start the same command again")

    app.run(guarded, flags_parser=_parse)


def _join() -> None:
    """Joins the other processes, before any other call of JAX; process 0 alone speaks."""
    from jaxcmr.train import distributed

    fields = flags.FLAGS
    distributed.start(fields.coordinator_address, fields.num_processes, fields.process_id)
    if distributed.several() and not distributed.first():
        logging.set_verbosity(logging.WARNING)


def _stop(*_) -> None:
    print("stopped by SIGTERM; the same command goes on from what is saved", file=sys.stderr)
    sys.exit(0)


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
    # The sentence is the end: nothing of what libraries leave unfinished is to follow it.
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    if "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized():
        time.sleep(2.0)  # the others may have met the same mistake, and say so
        os._exit(2)  # an orderly exit would wait minutes for processes that wait for this one
    sys.exit(2)


def _drop_lost_writes() -> None:
    """Keeps the threads that write checkpoints from printing tracebacks after one has failed.

    The event loop of a write ends with its first error. What is still under way then finds the loop
    closed, where nobody can catch it; the error itself is raised to us.
    """
    before = sys.unraisablehook

    def report(unraisable) -> None:
        if unraisable.object is not None or str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = report


def _prepare() -> None:
    """Sets up logging for people and the compilation cache, before JAX is imported."""
    _drop_lost_writes()
    log_for_people()
    os.environ[paths.COMPILED] = paths.compiled_programs()  # "": none are kept
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def log_for_people() -> None:
    """Makes log lines of a time and a sentence, and leaves out what libraries say of themselves."""
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    # Libraries report their own progress at level INFO too; people came for ours. And what goes
    # wrong with checkpoints is told by us, in one sentence.
    ours = (str(Path(__file__).parent), str(Path(__file__).parents[1] / "jaxcmr"))
    quiet = ("orbax", "asyncio")
    handler.addFilter(
        lambda record: (
            record.pathname.startswith(ours)
            or (
                record.levelno > std_logging.INFO
                and not any(f"{os.sep}{name}{os.sep}" in record.pathname for name in quiet)
            )
        )
    )
