"""`launch/serve.py` on a run that was really trained: a client, a crowd, a hostile one, its end."""

import asyncio
import base64
import csv
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "launch" / "benchmark"))
import serve_clients  # noqa: E402
import serve_hostile  # noqa: E402

pytestmark = pytest.mark.slow

COLORS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220)}
TRAIN = (
    "--config=configs/rono_custom.py", "--config.data.image_size=8", "--config.data.channels=3",
    "--config.train.epochs=12", "--config.encoders.embedding_size=16",
)  # fmt: skip


class Server:
    """The command in a process of its own."""

    def __init__(self, *flags, environment=None):
        command = [sys.executable, str(ROOT / "launch" / "serve.py"), "--port=0", *map(str, flags)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment or dict(os.environ), **pipes)
        self.errors = []
        threading.Thread(target=self._read_errors, daemon=True).start()
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        self.port = int(found[1]) if found else 0

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def ask(self, method: str, path: str, content=None) -> tuple[int, str, bytes]:
        """Returns status, media type and body; no answer may tell a path of this machine."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        found = answer.status, answer.getheader("content-type"), answer.read()
        connection.close()
        if not found[1].startswith("image/"):
            assert not re.search(rb"(?<![\w<])/(tmp|root|home|work|usr)\b", found[2])
        return found

    def search(self, **content) -> list[dict]:
        status, _, body = self.ask("POST", "/search", content)
        assert status == 200, body
        return json.loads(body)["hits"]

    def stop(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        time.sleep(0.2)
        assert "Traceback" not in "".join(self.errors), self.errors
        return code


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with 90 pictures and texts of three colors, `run` and `shop.index`."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    with open(folder / "items.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", "label"])
        for number in range(90):
            name, color = list(COLORS.items())[number % 3]
            pixels = np.clip(rng.normal(color, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            text = " ".join(rng.permutation([name, "a", rng.choice(["cup", "mug", "jug"])]))
            writer.writerow([f"item {number}", f"{number}.png", text, name])
    command = [sys.executable, str(ROOT / "launch" / "main.py"), *TRAIN]
    command += [f"--config.data.path={folder / 'items.csv'}", f"--workdir={folder / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    write_index(folder, 90)
    return folder


def write_index(folder: Path, count: int) -> None:
    """Indexes the first pictures and their texts."""
    import jaxcmr

    model = jaxcmr.load(folder / "run")
    with open(folder / "items.csv", newline="") as file:
        rows = list(csv.DictReader(file))[:count]
    index = jaxcmr.Index(model.size, model.fingerprint)
    for modality, sources in (
        ("image", [str(folder / row["image"]) for row in rows]),
        ("text", [row["text"] for row in rows]),
    ):
        raw = [Path(source) for source in sources] if modality == "image" else sources
        index.add(
            model.embed(**{modality: raw}), modality=modality, ids=[row["id"] for row in rows],
            metadata={"label": [row["label"] for row in rows]}, sources=sources,
        )  # fmt: skip
    index.save(folder / "shop.index")


@pytest.fixture(scope="module")
def server(shop):
    running = Server(f"--workdir={shop / 'run'}", f"--index={shop / 'shop.index'}", "--rate=100000")
    assert running.port, running.errors
    yield running
    assert running.stop() == 0


def test_words_a_photo_and_a_row_find_what_goes_with_them(server, shop):
    labels = lambda hits: [hit["metadata"]["label"] for hit in hits]
    photo = base64.b64encode((shop / "1.png").read_bytes()).decode()
    assert labels(server.search(text="green", to="text", k=5)) == ["green"] * 5
    hits = server.search(file={"modality": "image", "data": photo}, to="image", k=5)
    assert hits[0]["id"] == "item 1" and hits[0]["score"] > 0.9999  # it is in the index
    others = server.search(id="item 1", modality="image", to="image", k=5)
    assert [hit["id"] for hit in others[:4]] == [hit["id"] for hit in hits[1:]]
    both = [{"text": "blue"}, {"id": "item 2", "modality": "text"}]
    assert set(labels(server.search(queries=both, to="text", where={"label": "blue"}))) == {"blue"}


def test_an_embedding_is_that_of_the_library(server, shop):
    import jaxcmr

    model = jaxcmr.load(shop / "run")
    photo = base64.b64encode((shop / "5.png").read_bytes()).decode()
    items = [{"text": "red mug"}, {"file": {"modality": "image", "data": photo}}]
    status, _, body = server.ask("POST", "/embed", {"items": items})
    found = json.loads(body)
    assert status == 200 and found["size"] == model.size
    expected = [*model.embed(text=["red mug"]), *model.embed(image=[shop / "5.png"])]
    np.testing.assert_allclose(found["embeddings"], expected, atol=1e-6)


def test_the_page_and_the_pictures_of_hits_are_there(server):
    status, kind, body = server.ask("GET", "/")
    assert status == 200 and kind.startswith("text/html") and b"Search" in body
    (hit,) = server.search(text="red", to="image", k=1)
    status, kind, body = server.ask("GET", hit["picture"])
    assert status == 200 and kind in ("image/png", "image/jpeg") and len(body) > 50
    health = json.loads(server.ask("GET", "/health")[2])
    assert health["items"] == {"image": 90, "text": 90}


def memory(process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def test_two_hundred_clients_get_answers_and_take_no_memory(server):
    asyncio.run(serve_clients.run(server.port, 200, 3, 0))
    before = memory(server.process)
    measured = asyncio.run(serve_clients.run(server.port, 200, 6, 0))
    assert not measured.errors and all(len(s) > 20 for s in measured.seconds.values())
    assert memory(server.process) - before < 60e6


def test_a_hostile_client_gets_statuses_and_the_others_their_answers(server):
    async def both():
        hostile = serve_hostile.run(server.port, 6, serve_hostile.attacks())
        return await asyncio.gather(hostile, serve_clients.run(server.port, 10, 6, 0.05))

    ended, measured = asyncio.run(both())
    expected = {
        "a body of 1 GB": {"413"}, "1 GB without a length": {"413"},
        "a body, a byte in .5 s": {"408"}, "a head, a byte in .5 s": {"408"},
        "a PNG that is cut off": {"422"}, "a bomb of 60000 x 60000": {"422"},
        "a PNG of 39 million pixels": {"200"}, "39 million clear pixels": {"200"},
        "a text of 10,000 words": {"422"}, "wrong JSON": {"400"}, "deep JSON": {"422"},
        "9 MB of brackets": {"422"},
    }  # fmt: skip
    for kind, statuses in expected.items():
        allowed = {f"status {status}" for status in statuses}
        assert ended[kind] and set(ended[kind]) <= allowed, (kind, ended[kind])
    assert not measured.errors and all(measured.seconds.values())
    assert server.ask("GET", "/health")[0] == 200


def test_a_new_index_is_served_and_a_restart_serves_it_too(shop):
    flags = f"--workdir={shop / 'run'}", f"--index={shop / 'shop.index'}"
    running = Server(*flags)
    write_index(shop, 30)
    end = time.monotonic() + 20
    while json.loads(running.ask("GET", "/health")[2])["items"]["image"] != 30:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(running.search(text="red", to="image", k=100)) == 30
    assert running.stop() == 0
    again = Server(*flags)
    assert json.loads(again.ask("GET", "/health")[2])["items"] == {"image": 30, "text": 30}
    assert again.stop(signal.SIGINT) == 0
    write_index(shop, 90)


def test_without_an_index_the_rows_of_the_run_are_served(shop):
    running = Server(f"--workdir={shop / 'run'}")
    assert json.loads(running.ask("GET", "/health")[2])["items"] == {"image": 90, "text": 90}
    (hit,) = running.search(id="item 4", modality="image", to="text", k=1)
    assert hit["text"] and hit["metadata"]["split"] in ("train", "validation", "test")
    (hit,) = running.search(id="item 4", modality="text", to="image", k=1)
    assert running.ask("GET", hit["picture"])[0] == 200
    assert running.stop() == 0


def refused(*flags, environment=None) -> str:
    """Returns the one sentence with which the command ends."""
    running = Server(*flags, environment=environment)
    assert running.process.wait(60) == 2
    time.sleep(0.2)
    last = running.errors[-1]
    assert last.startswith("error: ") and "Traceback" not in "".join(running.errors)
    return last


def test_mistakes_are_one_sentence(shop, server, tmp_path):
    run = f"--workdir={shop / 'run'}"
    assert "no run is named; add --workdir=" in refused()
    assert "--index is empty" in refused(run, "--index=")
    assert "it is in use" in refused(run, f"--port={server.port}")
    assert "there is no index" in refused(run, f"--index={tmp_path / 'none'}")
    import jaxcmr

    other = jaxcmr.Index(16, "another")
    other.add(np.eye(16), modality="image")
    other.save(tmp_path / "other.index")
    assert "another" in refused(run, f"--index={tmp_path / 'other.index'}")


def test_an_absent_package_is_one_sentence(shop, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'starlette':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    sentence = refused(f"--workdir={shop / 'run'}", environment=environment)
    assert "the package starlette is not installed, but needed for the server" in sentence


def test_another_host_is_announced_loudly(shop):
    running = Server(f"--workdir={shop / 'run'}", "--host=0.0.0.0")
    line = next(line for line in running.errors if "--host=0.0.0.0" in line)
    assert "EVERYONE" in line and "no password" in line
    running.stop()
