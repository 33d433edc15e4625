"""A process that does not import this library embeds by exported towers as the model does."""

import itertools
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from untrained_towers import TOWERS, model, rows

from jaxcmr.exporting import write

pytestmark = pytest.mark.slow
SIZES = (1, 3, 17)
CONSUMER = """
import json, pathlib, sys
import jax, numpy as np
from jax import export
from PIL import Image

folder, given, output = map(pathlib.Path, sys.argv[1:])
model = json.loads((folder / "model.json").read_text())
rows, found = np.load(given), {}
for modality, tower in model["towers"].items():
    data = (folder / tower["file"]).read_bytes()
    assert len(data) == tower["bytes"]
    call = jax.jit(export.deserialize(bytearray(data)).call)
    for size in (1, 3, 17):
        inputs = {one["name"]: rows[f"{modality} {size} {one['name']}"] for one in tower["inputs"]}
        outputs = call(inputs if len(inputs) > 1 else inputs[modality])
        found |= {f"{modality} {size} {name}": array for name, array in outputs.items()}

for modality in {"image", "photo"} & model["towers"].keys():  # as its preparation says
    recipe = model["towers"][modality]["preparation"]["recipe"]
    height, width, channels = recipe["shape"]
    picture = Image.open(given.with_name("picture.png")).convert("L" if channels == 1 else "RGB")
    picture.thumbnail((width, height))
    scale = min(width / picture.width, height / picture.height)
    picture = picture.resize([max(round(side * scale), 1) for side in picture.size])
    canvas = Image.new(picture.mode, (width, height), (recipe["margin"],) * channels)
    w, h = picture.size
    canvas.paste(picture, ((width - w) // 2, (height - h) // 2))
    found[f"{modality} of the file"] = np.asarray(canvas).reshape(recipe["shape"])

assert not any(name.partition(".")[0] in ("jaxcmr", "flax", "orbax") for name in sys.modules)
np.savez(output, **found)
"""


@pytest.fixture
def export(monkeypatch, tmp_path):
    """Exports a model into `tmp_path / "towers"`, and returns what another process computes by it.

    Of rows of noise, and of a picture.
    """
    (tmp_path / "consumer.py").write_text(CONSUMER)
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")

    def exported(of):
        monkeypatch.setattr(write, "load", lambda workdir, checkpoint, member: of)
        write.export("run", tmp_path / "towers")
        given = {}
        for modality in of.modalities:
            for size in SIZES:
                made = rows(modality, size)
                named = made if isinstance(made, dict) else {modality: made}
                given |= {f"{modality} {size} {name}": array for name, array in named.items()}
        np.savez(tmp_path / "rows.npz", **given)
        command = [sys.executable, "consumer.py", "towers", "rows.npz", "found.npz"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(np.load(tmp_path / "found.npz"))

    return exported


def is_equal(of, found, atol=1e-5):
    """Asserts that embeddings and classes of all modalities are those of the model."""
    for modality, size in itertools.product(of.modalities, SIZES):
        items, name = rows(modality, size), f"{modality} {size}"
        wanted = of.embed_rows(modality, items)
        np.testing.assert_allclose(found[f"{name} embeddings"], wanted, atol=atol, err_msg=name)
        np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), 1, atol=1e-5)
        if f"{name} probabilities" in found:
            wanted = of.classify_rows(modality, items)
            found_classes = found[f"{name} probabilities"]
            np.testing.assert_allclose(found_classes, wanted, atol=atol, err_msg=name)


def test_all_kinds_of_towers_of_several_members(export, tmp_path):
    of = model(*TOWERS, members=2, name="mmcd")
    found = export(of)
    is_equal(of, found)
    assert "text 17 probabilities" in found
    for modality in ("image", "photo"):  # prepared by the words alone
        wanted = of.preparation.rows(modality, [tmp_path / "picture.png"]).items[0]
        np.testing.assert_array_equal(found[f"{modality} of the file"], wanted)
    for modality in TOWERS:
        data = (tmp_path / "towers" / f"{modality}.stablehlo").read_bytes()
        program = jax.export.deserialize(bytearray(data))
        assert program.platforms == ("cpu", "cuda", "tpu")
        text = program.mlir_module()
        # What is called by name exists in no other compiler; this one checks the size of a batch.
        assert set(re.findall(r"custom_call @([\w$.]+)", text)) <= {"shape_assertion"}
        convolved = modality in ("image", "photo", "views", "cloud")
        assert ("stablehlo.convolution" in text) == convolved


def test_a_method_without_classes_gives_embeddings_alone(export):
    of = model("image", "text", members=1, name="pairs")
    found = export(of)
    is_equal(of, found)
    assert not [name for name in found if "probabilities" in name]


def test_towers_of_bfloat16(export):
    of = model("cloud", "graph", "image", "photo", members=2, dtype="bfloat16")
    # Products keep 8 bits, and convolutions add them up in another order.
    is_equal(of, export(of), atol=1e-2)
