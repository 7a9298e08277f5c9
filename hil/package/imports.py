"""What a program loads when it runs, by its sources: each module and who imports it. No I/O."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def reached(roots: Iterable[str], texts: Mapping[str, str]) -> dict[str, str]:
    """Files that these lead to, each with one that imports it (a root: itself).

    `texts`: every module there is, by its file's name. A package comes with what is in it.
    """
    modules = {module_of(name): name for name in texts}
    found: dict[str, str] = {}
    waiting = [(name, name) for name in roots]
    while waiting:
        name, importer = waiting.pop()
        if name in found:
            continue
        found[name] = importer
        package, _, _ = module_of(name).rpartition(".")
        for module in (package, *imported(texts[name])):
            if module in modules:
                waiting.append((modules[module], name))
    return found


def module_of(name: str) -> str:
    """`a/b/__init__.py` is a.b."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(text: str) -> Iterator[str]:
    """What a module may import when it runs, in functions too: not what only type checkers read.

    `from a import b` may mean a module b or a name in a: both are given.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
