"""Two processes and one lock: who is refused, who waits, and what the dead leave."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from jaxcmr.errors import UsageError
from jaxcmr.storage import locks

HOLD = """
import sys, pathlib
from jaxcmr.storage import locks
with locks.alone(pathlib.Path(sys.argv[1]), str):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path/lock` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def quick(monkeypatch):
    """Notes are renewed often, so that no test waits for long."""
    monkeypatch.setattr(locks, "BEAT", 0.02)
    monkeypatch.setattr(locks, "PATIENCE", 0.3)
    monkeypatch.setattr(locks, "POLL", 0.02)


@pytest.fixture
def without_system(monkeypatch, quick):
    """A file system that has no locks."""

    def refuse(handle, kind):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


def _refusal(owner):
    return f"in use by {owner}"


def _leave_note(path, **fields):
    """What a holder that is gone has left in the file."""
    note = locks._own_note(time.time() - 200, 7) | fields
    path.write_bytes(json.dumps(note).encode().ljust(locks.LENGTH))


def test_the_second_is_refused_at_once_with_the_name_and_age_of_the_first(tmp_path):
    with locks.alone(tmp_path / "lock", _refusal):
        text = rf"in use by process {os.getpid()} on {locks.socket.gethostname()}, for 0 seconds"
        with pytest.raises(UsageError, match=text), locks.alone(tmp_path / "lock", _refusal):
            pass
    with locks.alone(tmp_path / "lock", _refusal):
        pass
    assert os.listdir(tmp_path) == []


def test_a_lock_of_another_process_holds_until_that_is_killed(tmp_path, holder):
    refused = pytest.raises(UsageError, match=f"in use by process {holder.pid} on")
    with refused, locks.alone(tmp_path / "lock", _refusal):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / "lock").exists()
    with locks.alone(tmp_path / "lock", _refusal):
        assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_who_waits_goes_on_when_the_first_has_ended(tmp_path, holder, quick, caplog):
    threading.Timer(0.2, holder.stdin.close).start()
    with caplog.at_level("INFO"), locks.in_turn(tmp_path / "lock", "preparing x"):
        assert holder.wait() == 0
    assert f"waiting for process {holder.pid} on" in caplog.text
    assert "which is preparing x" in caplog.text


def test_many_take_turns(tmp_path, quick):
    inside, most = [], []

    def work():
        with locks.in_turn(tmp_path / "lock", "x"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.005)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12 and os.listdir(tmp_path) == []


def test_an_error_inside_lets_go(tmp_path):
    with pytest.raises(KeyError), locks.alone(tmp_path / "lock", _refusal):
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "../1"}', b"\xff" * 900, b"null"])
def test_a_file_without_a_holder_is_taken_whatever_is_in_it(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with locks.alone(tmp_path / "lock", _refusal):
        pass


def test_the_note_of_another_host_that_is_no_longer_renewed_is_taken_over(tmp_path, quick):
    _leave_note(tmp_path / "lock", host="elsewhere")
    with locks.alone(tmp_path / "lock", _refusal):
        assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()


def test_another_host_that_renews_its_note_is_alive(tmp_path, quick):
    _leave_note(tmp_path / "lock", host="elsewhere", pid=7)
    later = lambda: _leave_note(tmp_path / "lock", host="elsewhere", pid=7, beat=8)
    threading.Timer(0.1, later).start()
    refused = pytest.raises(UsageError, match=r"process 7 on elsewhere, for 3 minutes")
    with refused, locks.alone(tmp_path / "lock", _refusal):
        pass


def test_the_note_is_renewed(tmp_path, quick):
    with locks.alone(tmp_path / "lock", _refusal):
        first = json.loads((tmp_path / "lock").read_bytes())["beat"]
        time.sleep(0.2)
        assert json.loads((tmp_path / "lock").read_bytes())["beat"] > first


def test_without_locks_of_the_system_the_living_are_looked_up(tmp_path, without_system):
    with locks.alone(tmp_path / "lock", _refusal):
        refused = pytest.raises(UsageError, match=f"in use by process {os.getpid()}")
        with refused, locks.alone(tmp_path / "lock", _refusal):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dead", [{"pid": 2**22 + 1}, {"started": "1"}])
def test_without_locks_of_the_system_the_dead_are_taken_over(tmp_path, without_system, dead):
    _leave_note(tmp_path / "lock", **dead)
    with locks.alone(tmp_path / "lock", _refusal):
        pass


def test_a_lock_of_another_user_is_waited_for_or_refused(tmp_path, holder, quick, monkeypatch):
    real = os.open

    def refuse(path, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    refused = pytest.raises(UsageError, match=f"in use by process {holder.pid} on")
    with refused, locks.alone(tmp_path / "lock", _refusal):
        pass
    threading.Timer(0.2, holder.kill).start()
    with locks.in_turn(tmp_path / "lock", "preparing x"):
        assert holder.wait() != 0
    with pytest.raises(UsageError, match="other cannot be written: Permission denied"):
        locks._take(tmp_path / "other")


def test_a_lock_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(UsageError, match="lock cannot be written: Is a directory"),
        locks.alone(tmp_path / "lock", _refusal),
    ):
        pass
