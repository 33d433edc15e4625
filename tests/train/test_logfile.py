"""The log that a run keeps in its folder."""

import os
import signal

import pytest
from absl import logging

from jaxcmr.errors import StoppedError, UsageError
from jaxcmr.train import log
from jaxcmr.workdir import logfile


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """Messages of the tests count as those of the library."""
    monkeypatch.setattr(logfile, "PACKAGE", os.path.dirname(__file__))
    logging.set_verbosity(logging.INFO)


def _lines(path):
    return [line.split("  ", 1)[-1] for line in path.read_text().splitlines()]


def test_what_is_said_before_and_after_is_kept_and_a_second_run_appends(tmp_path):
    for run in ("one", "two"):
        with logfile.kept() as keep:
            logging.info("before %s", run)
            keep(tmp_path)
            logging.warning("after %s", run)
        logging.info("when all is over")
    first, *lines = _lines(tmp_path / "log.txt")
    assert first.startswith("# jaxcmr ")
    assert lines[:2] == ["INFO  before one", "WARNING  after one"]
    assert lines[2].startswith("# jaxcmr ")
    assert lines[3:] == ["INFO  before two", "WARNING  after two"]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError), logfile.kept():
        logging.info("before")
        raise UsageError("a mistake")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error, line",
    [
        (UsageError("the mistake"), "ERROR  the mistake"),
        (StoppedError("stopped", signal.SIGTERM), "INFO  stopped"),
        (KeyboardInterrupt(), "ERROR  KeyboardInterrupt"),
        (KeyError("ours"), "ERROR  Traceback (most recent call last):"),
    ],
)
def test_what_ends_a_run_is_kept(tmp_path, error, line):
    with pytest.raises(type(error)), logfile.kept() as keep:
        keep(tmp_path)
        raise error
    assert _lines(tmp_path / "log.txt")[1] == line


@pytest.mark.parametrize("content", ["", "12:00:00  mine\n"])
def test_a_persons_log_is_left_alone(tmp_path, content):
    """Such as the one into which the shell writes what this run says."""
    (tmp_path / "log.txt").write_text(content)
    for _ in range(2):
        with logfile.kept() as keep:
            keep(tmp_path)
            logging.info("said")
    assert (tmp_path / "log.txt").read_text() == content
    assert _lines(tmp_path / "jaxcmr-log.txt").count("INFO  said") == 2


def test_where_no_log_can_be_kept_the_run_goes_on(tmp_path):
    for name in logfile.NAMES:
        (tmp_path / name).mkdir()
    with logfile.kept() as keep:
        keep(tmp_path)
        logging.info("said")
    with logfile.kept() as keep:
        keep(tmp_path / "nowhere")


def test_names_that_are_no_text_are_kept(tmp_path):
    with logfile.kept() as keep:
        keep(tmp_path)
        logging.info("a folder %s", "\udcff")
    assert _lines(tmp_path / "log.txt")[1] == r"INFO  a folder \udcff"


@pytest.mark.parametrize("damage", ['{"epoch": 1', "\x00", '{"epoch": "x"}', "[]", '{"a": 1}'])
def test_a_damaged_line_of_metrics_is_dropped(tmp_path, damage, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n' + damage + "\n" + '{"epoch": 3}\n{"epoch": 4}\n{"epo')
    metrics = log.MetricsLog(path, 3)
    metrics.write({"epoch": 4, "loss": 1.0})
    assert [line["epoch"] for line in log.read(path)] == [1, 3, 4]
    assert "has lost the lines of 1 epochs" in caplog.text
