"""Paths, whole writes, locks, numpy's file formats and lazily read rows."""
