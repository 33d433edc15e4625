"""A gallery that is spread over devices: the same scores, the same items found, bit by bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_a_spread_gallery_has_the_scores_of_a_whole_one():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    }
    command = [sys.executable, str(HERE / "on_devices.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    # What a device holds of 37 items.
    assert json.loads(done.stdout) == {"devices": 8, "1": 37, "8": 5, "2x4": 5}
