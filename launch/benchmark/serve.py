"""Measures a running server: many clients at once, and a hostile one beside them.

    python launch/serve.py --workdir=runs/mine --index=catalogue.index
    python launch/benchmark/serve.py                      # 200 clients for 60 seconds
    python launch/benchmark/serve.py --hostile            # and again, beside a hostile client
    python launch/benchmark/serve.py --pause=1            # clients that read what they found

Only a server on this machine is measured. Each client sends its next request when it has the
answer to the last: words, a known row, a photo, or the picture of a hit, in turn. They share the
processor with the server. The hostile client comes from 127.0.0.2, so that its own rate is full
while that of the others is not. Its kinds of requests, and how each of them ends, are printed.
"""

import asyncio
import multiprocessing
import sys
from pathlib import Path

# A script finds the modules of its own folder; command_line.py lies in the folder above.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import command_line
import serve_clients
import serve_hostile
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("port", 8000, "Port of the server on 127.0.0.1.", lower_bound=1)
flags.DEFINE_integer("clients", 200, "Clients at once.", lower_bound=1, upper_bound=900)
flags.DEFINE_float("seconds", 60.0, "Of each measurement.", lower_bound=1, upper_bound=600)
flags.DEFINE_float("pause", 0.0, "Seconds of a client between two requests.", lower_bound=0)
flags.DEFINE_bool("hostile", False, "Measure a second time, beside a hostile client.")


def main() -> None:
    """Measures, and prints a line a measurement."""
    from jaxcmr.errors import UsageError

    try:
        measure("alone")
        if FLAGS.hostile:
            beside_a_hostile_client()
    except ConnectionRefusedError:
        raise UsageError(
            f"no server answers at 127.0.0.1:{FLAGS.port}; start launch/serve.py, or correct --port"
        ) from None


def measure(title: str) -> None:
    """Prints how long requests take."""
    run = serve_clients.run(FLAGS.port, FLAGS.clients, FLAGS.seconds, FLAGS.pause)
    print(f"{title:22} {asyncio.run(run).line(FLAGS.seconds)}", flush=True)


def beside_a_hostile_client() -> None:
    """Measures while another process does what it should not."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (FLAGS.port, FLAGS.seconds, results)
    process = context.Process(target=serve_hostile.main, args=arguments)
    process.start()
    results.get(timeout=120)  # it is ready
    measure("beside a hostile one")
    for kind, endings in sorted(results.get(timeout=60).items()):
        told = ", ".join(f"{count} x {ending}" for ending, count in sorted(endings.items()))
        print(f"    {kind:30} {told}")
    process.join()


if __name__ == "__main__":
    command_line.run(main, computes=False)
