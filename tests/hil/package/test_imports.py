"""What a program loads, by its sources."""

import sys
from pathlib import Path

import pytest

from hil.package import imports

TEXTS = {
    "p/__init__.py": "",
    "p/__main__.py": "from p import a",
    "p/a.py": "import os\nimport p.b.c\n",
    "p/b/__init__.py": "from p.d import name",
    "p/b/c.py": "def late():\n    from p import e\n",
    "p/d.py": "name = 1",
    "p/e.py": "if TYPE_CHECKING:\n    from p import types\nelse:\n    from p import f\n",
    "p/f.py": "",
    "p/types.py": "",
    "p/alone.py": "import p.a",
}


def test_all_that_is_imported_is_reached_and_nothing_else() -> None:
    found = imports.reached(["p/__main__.py"], TEXTS)
    assert set(TEXTS) - set(found) == {"p/types.py", "p/alone.py"}
    assert found["p/e.py"] == "p/b/c.py", "in a function, too"
    assert found["p/b/__init__.py"] in {"p/a.py", "p/b/c.py"}


def test_circles_end() -> None:
    texts = {"a.py": "import b", "b.py": "import a"}
    assert set(imports.reached(["a.py"], texts)) == {"a.py", "b.py"}


@pytest.mark.parametrize(
    ("name", "module"), [("a/b.py", "a.b"), ("a/__init__.py", "a"), ("a/b/__init__.py", "a.b")]
)
def test_a_file_is_a_module(name: str, module: str) -> None:
    assert imports.module_of(name) == module


def test_the_interpreter_agrees(tmp_path: Path) -> None:
    """Whatever it loads of these, was reached."""
    import subprocess  # noqa: PLC0415

    for name, text in TEXTS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("TYPE_CHECKING = False\n" + text)
    script = (
        "import sys, p.__main__, p.b.c; p.b.c.late();"
        "print(*(m for m in sys.modules if m.split('.')[0] == 'p'))"
    )
    said = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, text=True)
    reached = imports.reached(["p/__main__.py"], TEXTS)
    assert set(said.split()) == {imports.module_of(name) for name in reached}
