"""Paths, whole writes, locks, formats of arrays and lazily read rows."""
