"""Why a run's folder lacks a file that every finished run has."""

from pathlib import Path


def why(folder: Path, name: str) -> str:
    """Returns the sentence that says why `folder` has no file `name`, and what to do."""
    if not (folder / "config.json").is_file():
        return f"{folder} holds no run; name the folder of one with --workdir"
    if not (folder / "result.json").is_file():
        return f"the run in {folder} is not finished; start its command again, and come back then"
    return (
        f"the run in {folder} has no {name}, which earlier versions did not write; start its "
        "command again, which writes it without training again"
    )
