from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from .. import __version__
from ..jets._files import PathLike
from ._container import FIRST_LINE, FileError, unpack
from ._decode import Decoder


def load(path: PathLike) -> Any:
    """Load an estimator from a file of `save`.

    Nothing in the file is run, and nothing is imported but the types that files may
    hold, whatever the file says: it is not a pickle.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    estimator
        The estimator as it was stored.

    Raises
    ------
    FileError
        If the file is truncated, was changed, holds other types than `save` stores, or
        was written by a later major version or in a later format.
    OSError
        If there is no such file, or it cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        If a part of the estimator is of scikit-learn, of another version than that
        which is installed. Its results may differ.

    See Also
    --------
    save : Write such a file.

    Notes
    -----
    The checksum finds accidents. It is no signature: who changes a file on purpose can
    repair it. Such a file cannot run code, but its estimator can be any other.

    Memory and time are bounded by the size of the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_hepcal import export
    >>> from sklearn_hepcal.calibration import SimplexTransformer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export.save(SimplexTransformer(kind="alr"), Path(folder, "coordinates"))
    ...     export.load(Path(folder, "coordinates"))
    SimplexTransformer(kind='alr')
    """
    with Path(path).expanduser().open("rb") as file:
        content = file.read(len(FIRST_LINE))
        if content == FIRST_LINE:  # what is no such file may be of any size
            content += file.read()
    try:
        header, arrays = unpack(content)
        _check_version(header.get("sklearn_hepcal"))
        estimator = Decoder(arrays).decode(header.get("estimator"))
        if not isinstance(estimator, BaseEstimator):
            raise FileError("it holds no estimator.")
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    except Warning:
        raise
    # Whatever is wrong with a value, numpy, pandas or scikit-learn say it their way.
    except Exception as error:
        raise FileError(
            f"{path}: it holds a value that is none: {type(error).__name__}: {error}"
        ) from error
    return estimator


def _check_version(version: Any) -> None:
    if not isinstance(version, str) or not re.match(r"\d{1,9}\.", version):
        raise FileError("it does not say which version of sklearn_hepcal wrote it.")
    written, own = (int(v.partition(".")[0]) for v in (version, __version__))
    if written > own:
        raise FileError(
            f"written by sklearn_hepcal {version:.30}, and this is {__version__}: a "
            "later major version is needed."
        )
