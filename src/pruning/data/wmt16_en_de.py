"""WMT16 from English to German, in the files that Renda et al.'s GNMT was trained on."""

from dataclasses import replace
from pathlib import Path

from pruning.data.parallel_tokens import parallel_tokens
from pruning.data.text_sets import WMT16, WMT16_FILES
from pruning.data.text_store import TextData
from pruning.errors import PruningError
from pruning.option_types import Count


def wmt16_en_de(name: str, root: Path, path: str = WMT16, most_tokens: Count = 48) -> TextData:
    """The folder that ``resources/prepare_wmt16.py`` makes; newstest2014 validates, 2015 tests.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the folder.
        most_tokens: as of :func:`pruning.data.parallel_text.parallel_text`.

    Raises:
        PruningError: there is no such folder, or see :func:`parallel_tokens`.
    """
    if not Path(root, path).is_dir():
        raise PruningError(
            f"Data set {name!r}: there is no folder {Path(root, path)}. `python "
            "resources/prepare_wmt16.py` makes it where there is a network; or set PRUNING_DATA to "
            "the folder it is in."
        )
    data = parallel_tokens(name, root, path, most_tokens=most_tokens, **WMT16_FILES)
    return replace(data, source=f"WMT16 en -> de in {path}, newstest2014 and newstest2015")
