"""Serves a page to search with a trained run, and the same as JSON.

    python launch/serve.py --workdir=runs/mine
    python launch/serve.py --workdir=runs/mine --index=catalogue.index --port=8080

Without --index the rows of the run itself are searched. A new file in the place of --index, as
`Index.save` writes it, is served from the next second on. Ctrl-C or SIGTERM end the server.

    GET  /                the page
    POST /search          {"text": "red shoe", "to": "image", "k": 5, "where": {"label": "shoe"}}
                          {"id": "17", "modality": "image"}
                          {"file": {"modality": "image", "data": "<base64>"}}
                          {"queries": [{"text": "red shoe"}, {"id": "17", "modality": "image"}]}
    POST /embed           {"text": "red shoe"} or {"items": [{"text": "red shoe"}, ...]}
    GET  /items/<row>     the picture of a hit
    GET  /health          what is served

    curl localhost:8000/search -H 'content-type: application/json' -d '{"text": "red shoe"}'
"""

import os
import signal
from pathlib import Path

import command_line
from absl import flags, logging

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
INDEX = flags.DEFINE_string("index", None, "File of an index; default the rows of the run.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ("best", "last"), "Weights of which epoch.")
MEMBER = flags.DEFINE_integer("member", None, "One member of the ensemble; default: all.")
HOST = flags.DEFINE_string("host", "127.0.0.1", "Address that is listened at.")
PORT = flags.DEFINE_integer("port", 8000, "Port; 0: any.", lower_bound=0, upper_bound=65535)
RATE = flags.DEFINE_float("rate", 1000.0, "Requests a second from one address.", lower_bound=0.1)


def main() -> None:
    """Loads the model and the index, and answers until a signal."""
    from jaxcmr.errors import UsageError
    from jaxcmr.serving import server
    from jaxcmr.storage.paths import expanded

    for flag in (WORKDIR, INDEX, HOST):
        if flag.value == "":  # of a shell's variable that is not set
            raise UsageError(f"--{flag.name} is empty; give a value, or leave the flag out")
    if WORKDIR.value is None:
        raise UsageError("no run is named; add --workdir=FOLDER, the folder of a finished run")
    index = expanded(INDEX.value) if INDEX.value else None
    listening = server.bound(HOST.value, PORT.value)
    if HOST.value not in server.LOCAL:
        logging.warning(
            "--host=%s: EVERYONE WHO REACHES THIS MACHINE can search and see the items. There is "
            "no password and no encryption; put a server that has both in front", HOST.value,
        )  # fmt: skip
    app = _application(expanded(WORKDIR.value), index)
    said = f"{server.address(listening)} answers; Ctrl-C ends it"
    signal.set_wakeup_fd(-1)  # from here on signals are the server's
    server.run(app, listening, ready=lambda: print(said, flush=True))
    print("the server has stopped", flush=True)


def _application(workdir: Path, index: Path | None):
    """Loads the model of a run and an index, and compiles what requests need."""
    import jaxcmr
    from jaxcmr.serving import app, server
    from jaxcmr.serving.answers import Answers, described
    from jaxcmr.serving.current import Current
    from jaxcmr.serving.limits import Limits

    model = jaxcmr.load(workdir, CHECKPOINT.value, MEMBER.value)
    current = Current(model, index)
    limits = Limits(rate=RATE.value)
    answers = Answers(model, current, limits, threads=os.cpu_count() or 1)
    logging.info("%s; compiling what requests need", described(current.now))
    answers.warm()
    hosts = server.LOCAL_NAMES if HOST.value in server.LOCAL else None
    return app.build(answers, limits, hosts)


if __name__ == "__main__":
    command_line.run(main)
