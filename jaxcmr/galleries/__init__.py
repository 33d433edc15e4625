"""Galleries: the rows of a run, a folder or a manifest, as an index that is searched."""

from jaxcmr.galleries.paths import of_path
from jaxcmr.galleries.run import of_run

__all__ = ["of_path", "of_run"]
