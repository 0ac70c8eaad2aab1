"""A job's log: a file that may not be writable, in which case standard error has it instead."""

import contextlib
import logging
import sys
from pathlib import Path


class JobLog(logging.FileHandler):
    """Appends to a file. A log that cannot be written fails no job and hides nothing.

    What does not go into the file goes to standard error, after one line that says why.

    Args:
        path: the log.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, mode="a", encoding="utf-8")
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Write a record to standard error instead."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        if not self._told:
            _tell(self.baseFilename, error)
        self._told = True
        print(self.format(record), file=sys.stderr)

    def close(self) -> None:
        """Close the file; what it did not take has been said already."""
        with contextlib.suppress(OSError):
            super().close()


def job_log(path: Path | str | None) -> logging.Handler:
    """Where a job's messages go: a file, or standard error without one or where that is not to be
    written."""
    if not path:
        return logging.StreamHandler()
    try:
        return JobLog(path)
    except OSError as error:
        _tell(path, error)
        return logging.StreamHandler()


def _tell(path: Path | str, error: OSError) -> None:
    print(f"The log {path} cannot be written ({error.strerror}); it goes on here:", file=sys.stderr)
