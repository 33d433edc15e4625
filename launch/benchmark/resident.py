"""The memory that this process holds (Linux)."""


def mebibytes(field: str) -> float:
    """Returns a size of this process in MiB: `VmRSS` now, `VmHWM` at its peak.

    Unlike `ru_maxrss`, the peak is not that of a larger process that has started this one.
    """
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024
