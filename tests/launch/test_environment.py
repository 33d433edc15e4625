"""What surrounds a command: streams that are closed or narrow, devices that there are not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcmr.errors import StoppedError, UsageError

LAUNCH = Path(__file__).resolve().parents[2] / "launch"


@pytest.fixture
def environment(monkeypatch):
    """The module; where it would end this process it raises SystemExit alone."""
    monkeypatch.syspath_prepend(str(LAUNCH))
    import environment

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr(environment, "_leave", leave)
    monkeypatch.setattr(environment.interrupts, "end_children", lambda: None)
    return environment


class TerminatedWorkerError(Exception):
    """Of the same name as that of the library that starts workers."""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("no such thing; do that"), 2, "error: no such thing; do that"),
        (UsageError("two\nlines\x1b"), 2, "error: two?lines?"),
        (StoppedError("stopped by SIGTERM", 15), 0, "stopped by SIGTERM"),
        (StoppedError("stopped by SIGINT", 2), 130, "stopped by SIGINT"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
        (OSError(errno.ENOSPC, "No space left", "a.npz"), 2, "make room there, and start"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            2,
            "a cannot be used: Permission",
        ),
        (MemoryError(), 2, "there is not enough memory (MemoryError); lower config.train.batch"),
        (RuntimeError("RESOURCE_EXHAUSTED: 5 GiB"), 2, "not enough memory (RESOURCE_EXHAUSTED: 5"),
        (TerminatedWorkerError("x"), 2, "a process that prepares items was killed"),
        (SystemExit(7), 7, ""),
    ],
)
def test_what_surrounds_a_command_is_one_line(environment, capsys, error, code, message):
    def fail():
        raise error

    with pytest.raises(SystemExit) as end:
        environment.guarded(fail)
    printed = capsys.readouterr().err
    assert end.value.code == code and message in printed and printed.count("\n") == bool(message)


def test_a_mistake_of_ours_keeps_its_traceback(environment):
    with pytest.raises(ZeroDivisionError):
        environment.guarded(lambda: 1 / 0)
    with pytest.raises(SystemExit) as end:
        environment.guarded(lambda: 3)
    assert end.value.code == 3


def test_a_device_that_there_is_not_is_a_sentence(environment, monkeypatch):
    import jax

    def fail():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(UsageError, match=r"JAX_PLATFORMS=cuda .no such device here.; unset it"):
        environment.check_devices()
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(UsageError, match=r"JAX finds no device .*JAX_PLATFORMS=cpu"):
        environment.check_devices()


SPOKEN = """
import logging as python_logging, pathlib, sys
sys.path[:0] = {paths}
import jaxcmr, environment
from jaxcmr.train import log
from jaxcmr.workdir import logfile

environment.set_up_log()
with logfile.kept() as keep:
    keep(pathlib.Path({folder!r}))
    log.log_progress(dict(step=1, epoch=1, loss=0.5, steps_per_second=9.0), 2, 60.0)
    python_logging.getLogger("absl").info("of a library")
print(jaxcmr.__file__)
"""


@pytest.mark.parametrize("package", ["", "elsewhere"])
def test_lines_are_shown_and_kept_wherever_the_package_is_found(tmp_path, package):
    place = tmp_path / package if package else LAUNCH.parent
    if package:
        place.mkdir()
        (place / "jaxcmr").symlink_to(LAUNCH.parent / "jaxcmr")
    program = SPOKEN.format(paths=[str(LAUNCH), str(place)], folder=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == str(place / "jaxcmr" / "__init__.py"), ran.stderr
    for text in (ran.stderr, (tmp_path / "log.txt").read_text()):
        assert text.count("epoch 1/2  loss 0.500") == 1 and "of a library" not in text


def _shell(line: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs a line of shell; `$MAIN` is the main command."""
    main = f"{sys.executable} {LAUNCH / 'main.py'}"
    return subprocess.run(
        line.replace("$MAIN", main), shell=True, capture_output=True, text=True,
        env=os.environ | variables,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$MAIN --help | true; exit 0", 0),
        ("$MAIN --help >&-", 0),
        ("$MAIN --help 2>&-", 0),
        ("$MAIN --help >&- 2>&- <&-", 0),
        ("$MAIN --help >/dev/full", 2),
        ("$MAIN >&- 2>&-", 2),
        ("$MAIN 2>/dev/full", 2),
    ],
)
def test_streams_may_be_closed_or_full(line, code):
    ran = _shell(line)
    assert ran.returncode == code and "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


@pytest.mark.slow
def test_ascii_takes_every_character(tmp_path):
    ran = _shell("$MAIN --config=größe.py", PYTHONIOENCODING="ascii")
    assert ran.returncode == 2 and "there is no config file gr\\xf6\\xdfe.py" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"JAX_PLATFORMS": "cuda"}, "JAX finds no device with JAX_PLATFORMS=cuda"),
        ({"JAX_PLATFORMS": "abacus"}, "JAX finds no device with JAX_PLATFORMS=abacus"),
        ({"XLA_FLAGS": "--nonsense"}, "XLA_FLAGS is '--nonsense': Unknown flag in XLA_FLAGS"),
        ({"XLA_FLAGS": "nonsense"}, "XLA_FLAGS is 'nonsense': Could not open file"),
        ({"JAX_ENABLE_X64": "maybe"}, "JAX does not start: invalid truth value 'maybe'"),
    ],
)
def test_variables_that_stop_jax_are_one_sentence(variables, words):
    config = f"--config={LAUNCH.parent}/configs/rono_modelnet.py:quick"
    ran = _shell(f"$MAIN {config}", **variables)
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("error: ") and words in ran.stderr
