"""Measures encoders, training, retrieval and models, beside PyTorch and faiss if installed.

    python launch/benchmark/main.py encoders                    # forward and backward passes
    python launch/benchmark/main.py encoders --only=dgcnn       # one line of the table
    python launch/benchmark/main.py encoders --memory           # peak memory, a process a number
    python launch/benchmark/main.py epoch                       # an epoch of RONO on 3D MNIST
    python launch/benchmark/main.py members                     # MMCD's step by ensemble size
    python launch/benchmark/main.py retrieval                   # mAP of 5,000 x 5,000, all ways
    python launch/benchmark/main.py retrieval --queries=100000 --items=100000 --ours_only
    python launch/benchmark/main.py model                       # load, query and embed
    python launch/benchmark/main.py search                      # of a million items, beside faiss

Weights and inputs are random: speed does not depend on them. Runs alternate (ours, theirs, ours,
...) and medians are compared; `retrieval` and `model` print the best run, `search` both. Without
PyTorch or faiss only our side is measured. `device.py` beside this file measures all of it, and
more, on an accelerator.
"""

import sys
from pathlib import Path

# A script finds the modules of its own folder; command_line.py lies in the folder above.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import command_line
import encoders
import epoch
import members
import model
import retrieval
import search
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 5, "Runs of each side.", lower_bound=1)
flags.DEFINE_multi_string("only", [], "encoders: names of those to measure; all if not given.")
flags.DEFINE_integer("members", 4, "encoders, model: size of the ensemble.", lower_bound=1)
flags.DEFINE_bool("memory", False, "encoders: measure peak memory instead of time.")
flags.DEFINE_string("side", "", "Internal: the side whose memory this process measures.")
flags.DEFINE_integer("queries", 5000, "retrieval: number of queries.", lower_bound=1)
flags.DEFINE_integer("items", 5000, "retrieval: number of gallery items.", lower_bound=1)
flags.DEFINE_integer("classes", 10, "retrieval: number of classes.", lower_bound=1)
flags.DEFINE_bool("ours_only", False, "retrieval: leave the slow and memory-hungry ways out.")
flags.DEFINE_integer("gallery", 1_000_000, "search: number of gallery items.", lower_bound=1000)


def measure_encoders() -> None:
    """Runs the benchmark of the encoders that its flags choose."""
    names = encoders.named(FLAGS.only)
    if FLAGS.side:
        encoders.print_peak(names[0], FLAGS.side)
    elif FLAGS.memory:
        encoders.compare_memory(names)
    else:
        encoders.compare_time(names, FLAGS.members, FLAGS.repeats)


BENCHMARKS = {
    "encoders": measure_encoders,
    "epoch": lambda: epoch.run(FLAGS.repeats),
    "members": lambda: members.run(FLAGS.repeats),
    "model": lambda: model.run(FLAGS.members, FLAGS.repeats),
    "retrieval": lambda: retrieval.run(
        FLAGS.queries, FLAGS.items, FLAGS.classes, FLAGS.repeats, FLAGS.ours_only
    ),
    "search": lambda: search.run(FLAGS.gallery, FLAGS.repeats),
}


if __name__ == "__main__":
    command_line.run(lambda what: BENCHMARKS[what](), words=tuple(BENCHMARKS))
