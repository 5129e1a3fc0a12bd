from importlib import import_module
from types import ModuleType


def import_optional(name: str, extra: str) -> ModuleType:
    """Import a package that only an extra of the library installs.

    Parameters
    ----------
    name : str
        The module to import, such as ``"awkward"`` or ``"matplotlib.pyplot"``.
    extra : str
        The extra of ``sklearn_hepcal`` that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed, with the command that installs it.

    Examples
    --------
    >>> from sklearn_hepcal._optional import import_optional
    >>> import_optional("json", "awkward").dumps([1])
    '[1]'
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        # a missing dependency of an installed package is not ours to explain
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ImportError(
            f"{package} is needed for this; install it with "
            f"`pip install sklearn_hepcal[{extra}]`.",
            name=package,
        ) from error
