import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_hepcal

ROOT = Path(__file__).parents[1]
# nn is the one folder that needs torch, and the one that users do not import from
FOLDERS = sorted(
    module.name
    for module in pkgutil.iter_modules(sklearn_hepcal.__path__)
    if module.ispkg and module.name not in ("nn", "_command_line")
)
MODULES = {name: importlib.import_module(f"sklearn_hepcal.{name}") for name in FOLDERS}
PUBLIC = [
    (folder, name)
    for folder, module in MODULES.items()
    for name in getattr(module, "__all__", ())
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_says_what_it_is_for(folder):
    assert len(MODULES[folder].__doc__.split()) > 2
    names = MODULES[folder].__all__
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize(("folder", "name"), PUBLIC)
def test_every_public_name_is_documented(folder, name):
    thing = getattr(MODULES[folder], name)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        for method, member in vars(thing).items():
            if callable(member) and not method.startswith("_"):
                assert inspect.getdoc(getattr(thing, method)), method


def test_lazy_names_agree_with_the_stub():
    stub = ast.parse((ROOT / "sklearn_hepcal" / "__init__.pyi").read_text())
    imported = {
        alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(sklearn_hepcal.__all__) == imported
    assert imported == set(FOLDERS)
    for name in sklearn_hepcal.__all__:
        assert getattr(sklearn_hepcal, name).__name__ == f"sklearn_hepcal.{name}"


def test_imports_are_light():
    heavy = {
        *("torch", "skorch", "ot", "zuko", "matplotlib"),
        *("awkward", "h5py", "uproot", "yaml", "pooch", "pythia8mc", "fastjet"),
        *("onnx", "onnxruntime"),
    }
    code = f"""
import importlib, sys
for folder in {["", *(f".{folder}" for folder in FOLDERS)]}:
    importlib.import_module("sklearn_hepcal" + folder)
    loaded = {heavy} & set(sys.modules)
    assert not loaded, (folder, loaded)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_citation_has_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {sklearn_hepcal.__version__}\n" in citation


def test_changelog_has_the_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    unreleased = ".dev" in sklearn_hepcal.__version__
    assert headings[0] == ("Unreleased" if unreleased else sklearn_hepcal.__version__)


def test_readme_names_what_there_is():
    readme = (ROOT / "README.md").read_text()
    for folder in ("calibration", "plotting"):
        for name in MODULES[folder].__all__:
            assert f"`{name}`" in readme, name
