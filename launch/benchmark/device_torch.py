"""The same in PyTorch, each in a process of its own that prints its numbers.

Float32 products are computed in full precision, or as TF32, as the row says; bfloat16 is PyTorch's
own autocast. cuDNN may try its algorithms first, as XLA does.
"""

import json
import subprocess
import sys
from pathlib import Path

from stopwatch import HAS_TORCH, median_seconds


def row(what: str, platform: str, **options) -> dict:
    """Returns the numbers of a case in PyTorch, or a note why there are none.

    Args:
        what: a key of `CASES`.
        platform: of JAX's device; PyTorch must see the same.
        **options: arguments of the case.
    """
    if not HAS_TORCH:
        return {"note": "left out: PyTorch is not installed"}
    if platform not in ("cpu", "gpu"):
        return {"note": f"left out: PyTorch does not run on {platform}"}
    device = "cuda" if platform == "gpu" else "cpu"
    asked = json.dumps({"what": what, "device": device, "options": options})
    done = subprocess.run([sys.executable, __file__, asked], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"note": f"failed: {lines[-1][:160]}"}
    return json.loads(done.stdout.splitlines()[-1])


def _wait(result) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rono(device, batch, views, pixels, points, width, precision):
    """Returns a function that takes one step of RONO with ResNet18 and DGCNN."""
    import torch
    from torch import nn
    from torch_models import DGCNN, ResNet18, Rono, update

    class Views(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, images):
            return self.net(images.flatten(0, 1)).view(*images.shape[:2], -1).mean(1)

    model = Rono(Views(ResNet18(width)), DGCNN(width=width), 10).to(device).train()
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-5)
    images = torch.rand(batch, views, 3, pixels, pixels, device=device)
    clouds = torch.randn(batch, 3, points, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)

    def run():
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(images, clouds, labels)
        update(sgd, loss)

    return run, 1


def mmcd(device, members, precision):
    """Returns a function that trains members one after the other, and how many steps that is."""
    from members import STEPS, theirs

    return theirs(members, device), STEPS


def scores(device, size, precision):
    """Returns a function that computes the mAP of `size` queries against as many items."""
    import torch
    from retrieval import synthetic

    place = lambda array: torch.tensor(array, device=device)
    query, query_labels = map(place, synthetic(size, 10, seed=1))
    gallery, gallery_labels = map(place, synthetic(size, 10, seed=2))

    def run():
        total = 0.0
        for rows in range(0, size, 1000):
            order = (query[rows : rows + 1000] @ gallery.T).argsort(1, descending=True)
            relevant = gallery_labels[order] == query_labels[rows : rows + 1000, None]
            precision_at = relevant.cumsum(1) / torch.arange(1, size + 1, device=device)
            total += ((precision_at * relevant).sum(1) / relevant.sum(1).clamp(min=1)).sum()
        return float(total) / size

    return run, 1


CASES = {"rono": rono, "mmcd": mmcd, "scores": scores}


def main(what: str, device: str, options: dict) -> None:
    """Prints the milliseconds of a step, and the most memory that was in use."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"note": "left out: this PyTorch sees no GPU"}))
        return
    exact = options["precision"] == "float32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = True
    run, steps = CASES[what](device, **options)
    found = {"ms a step": 1e3 * median_seconds(run, _wait) / steps}
    if what == "scores":
        found = {"s": found["ms a step"] / 1e3, "mAP": run()}
    if device == "cuda":
        found["MiB at peak"] = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps(found))


if __name__ == "__main__":
    sys.path[1:1] = [str(Path(__file__).resolve().parents[2])]
    main(**json.loads(sys.argv[1]))
