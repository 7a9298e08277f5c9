from pathlib import Path
from types import ModuleType

import pytest

from hil.calibrate import code


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package `hil` that is another: a imports b; b imports c for types alone, and d later."""
    (tmp_path / "hil").mkdir()
    sources = {
        "a": "from hil import b\n",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hil.c\n"
        "def f():\n    from hil.d import x\n",
        "c": "",
        "d": "x = 1\n",
        "e": "",
    }
    for name, source in sources.items():
        (tmp_path / "hil" / f"{name}.py").write_text(source)
    return tmp_path


def _module(tree: Path, name: str) -> ModuleType:
    module = ModuleType(f"hil.{name}")
    module.__file__ = str(tree / "hil" / f"{name}.py")
    return module


def _digest(tree: Path) -> str:
    return code.digest(_module(tree, "a"), root=tree)


@pytest.mark.parametrize("name", ["a", "b", "d"])
def test_it_changes_with_what_is_imported(tree: Path, name: str) -> None:
    before = _digest(tree)
    with (tree / "hil" / f"{name}.py").open("a") as file:
        file.write("# more\n")
    assert _digest(tree) != before


@pytest.mark.parametrize("name", ["c", "e"])
def test_it_stays_with_what_is_not(tree: Path, name: str) -> None:
    before = _digest(tree)
    (tree / "hil" / f"{name}.py").write_text("y = 2\n")
    assert _digest(tree) == before


def test_compiled_code_belongs_to_its_module(tree: Path) -> None:
    before = _digest(tree)
    (tree / "hil" / "d.c").write_text("int x;")
    assert _digest(tree) != before


def test_it_does_not_depend_on_the_order(tree: Path) -> None:
    a, e = _module(tree, "a"), _module(tree, "e")
    assert code.digest(a, e, root=tree) == code.digest(e, a, root=tree)
