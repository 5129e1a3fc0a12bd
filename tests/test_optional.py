import sys

import pytest

from sklearn_hepcal._optional import import_optional


def test_imports_an_installed_module():
    assert import_optional("json", "any") is sys.modules["json"]


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.part"])
def test_missing_package_names_the_extra(name):
    with pytest.raises(
        ImportError,
        match=r"no_such_package is needed.*pip install sklearn_hepcal\[plot\]",
    ) as info:
        import_optional(name, "plot")
    assert info.value.name == "no_such_package"


def test_broken_dependency_keeps_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import its_missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="its_missing_dependency"):
        import_optional("half_installed", "plot")
