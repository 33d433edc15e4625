"""The exceptions that a command answers without a traceback."""


class UsageError(ValueError):
    """A mistake of the user, told in one sentence: what is wrong, the value seen, what to do.

    The entry points in `launch/` print it without a traceback and exit with code 2; every other
    exception is a bug of ours and keeps its traceback.
    """


class StoppedError(Exception):
    """The run was asked to stop, and has saved what it needs to go on; exit code 0."""
