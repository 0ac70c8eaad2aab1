"""What lies beside a prepared data set and says where its source files are.

Of its own, so that a training that reads them depends on no code that looks for sources.
"""

from pathlib import Path

from pruning.errors import PruningError
from pruning.files import read_json


def note_file(prepared: Path | str) -> Path:
    """The file beside a prepared data set that says where it is from."""
    return Path(prepared).with_suffix(".source.json")


def source_location(prepared: Path | str) -> Path:
    """The folder that a prepared data set was made from; where it was moved to, if it was.

    Raises:
        PruningError: nothing says.
    """
    note = note_file(prepared)
    try:
        return Path(read_json(note)["location"])
    except (PruningError, OSError, KeyError, TypeError):
        raise PruningError(
            f"{prepared} is a list of image files, and {note}, which says where these are, is "
            f"missing or damaged. Delete {prepared}; the next run makes both again."
        ) from None
