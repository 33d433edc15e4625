"""Indexes: embeddings of items of any modalities, searched, kept in one file, and exported.

| file | what it holds |
|---|---|
| `index.py` | `Index` and its `Hits`: what others use |
| `adding.py`, `filters.py` | checks of what is added, and of what a search may find |
| `store.py`, `segment.py`, `columns.py` | the rows in memory or on the disk |
| `file.py`, `export.py` | the file of an index; files for other programs |
| `changing.py`, `summary.py` | a file changed by one process at a time; what is in it |
"""

from jaxcmr.index.index import Hits, Index

__all__ = ["Hits", "Index"]
