"""A digest of the code a kept result rests on: what other code made is never taken for it.

Follows imports from a module's source, within the packages given; what is imported for types alone
is left out, and so are packages' `__init__`, which here only name things. A C file beside a module
belongs to it.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
OURS = ("hil", "sdbox_agent")


def digest(*modules: ModuleType, root: Path = ROOT) -> str:
    """Twelve hexadecimal digits of the sources of these modules and of all they import."""
    todo = [Path(str(module.__file__)) for module in modules]
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [found for found in _imported(path, root) if found not in seen]
    total = hashlib.sha256()
    for path in sorted(seen):
        total.update(str(path.relative_to(root)).encode() + b"\0")
        for source in (path, *sorted(path.parent.glob(f"{path.stem}.[ch]"))):
            total.update(hashlib.sha256(source.read_bytes()).digest())
    return total.hexdigest()[:12]


def _imported(path: Path, root: Path) -> Iterator[Path]:
    for node in _at_run_time(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            file = root.joinpath(*name.split(".")).with_suffix(".py")
            if name.split(".")[0] in OURS and file.is_file():
                yield file


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        types_only = (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        )
        if not types_only:
            yield child
            yield from _at_run_time(child)
