"""Files: paths, writing whole or not at all, locks, numpy's formats, rows read when asked for."""
