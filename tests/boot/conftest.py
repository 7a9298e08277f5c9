"""The booted box that all of `make hil-boot` shares: Debian, the package, a centre, one holder.

Nothing here is collected by anything else: the files stand in an order (hil.boot.__main__), and the
last one purges the package.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boot import root
from hil.boot.__main__ import PACKAGE
from tests.boot.bench import FIGURES, Bench, booted

collect_ignore_glob = [] if PACKAGE in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    with booted(root.clean(), Path(os.environ[PACKAGE])) as one:
        yield one


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.ensure_newline()
    for line in FIGURES:
        terminalreporter.write_line(line)
