"""Changes the file of an index, one process after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxcmr.index.index import Index
from jaxcmr.storage import locks

LOCK = ".jaxcmr-index-lock"  # beside the file, while it is changed


@contextmanager
def changing(path: Path, fingerprint: str | None = None) -> Iterator[Index]:
    """Opens an index, and saves it at the end of the block; an error leaves the file as it was.

    Waits while another process changes an index of the same folder.

    Raises:
        UsageError: as `Index.open` and `Index.save`.
    """
    Index.open(path, fingerprint)  # before a file is made beside it
    with locks.in_turn(path.with_name(LOCK), f"changing an index in {path.parent}"):
        index = Index.open(path, fingerprint)
        yield index
        index.save(path)
