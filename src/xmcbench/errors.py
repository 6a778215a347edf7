"""The few exceptions that a user may meet; each message is one line that says what to change and where."""

from collections.abc import Iterable


class XmcbenchError(Exception):
    """Base of every error that is the user's (or the machine's) to mend; the command line prints it as one line."""


class ConfigError(XmcbenchError):
    """A recipe, grid, method or data-set file says something that the suite does not know."""


class DataError(XmcbenchError):
    """A data file is missing, malformed, or does not hold what its data-set file declares."""


class FetchError(XmcbenchError):
    """A file cannot be had from a source, or is not what its source or the lock file declares."""


class DeviceError(XmcbenchError):
    """A device was asked for that this machine does not have."""


class KernelError(XmcbenchError):
    """A kernel was asked for by name that cannot run here."""


class ForeignError(XmcbenchError):
    """A foreign program has no environment, ended badly, or left nothing."""


class ShapeError(XmcbenchError, ValueError):
    """A tensor does not fit the layer it was given to."""


class RunLockedError(XmcbenchError):
    """Another process trains in the same run folder."""


class CheckpointError(XmcbenchError):
    """No checkpoint of this run can be read."""


class NonFiniteError(XmcbenchError):
    """A loss, feature or gradient is infinite or not a number; nothing was updated with it."""


class CheckFailedError(XmcbenchError):
    """A check of many runs found some that do not run; its file says which, and why."""


class Interrupted(XmcbenchError):
    """The run was asked to stop; it saved a checkpoint first."""


def allowed(values: Iterable[object]) -> str:
    """Format the allowed values of a key for an error message."""
    return "allowed: " + ", ".join(sorted(str(v) for v in values))
