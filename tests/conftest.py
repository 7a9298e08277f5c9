"""Settings for every test."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests import frames
from tests.boxed import box, run

__all__ = ["box", "run"]  # the command line's fixtures

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the finger process: its threads wait by spinning
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=500, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes get no name of their own: most hold keys made at this start, and workers must agree."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rig needs root; `make check` leaves it out, and anybody else is told."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "rig" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="the rig needs root"))


LEAKED = 8  # an exit status of its own: what leaked once is not tried again


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """A worker of xdist tells the first process what its oracles saw; that one, whoever ran it."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["frames"] = frames.told()
    yield
    if frames.RUN.leaked_frames:
        session.exitstatus = LEAKED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """The first process adds it up."""
    if told := getattr(node, "workeroutput", {}).get("frames"):
        frames.add(frames.RUN, **told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Said and saved if any oracle was asked."""
    if frames.RUN.frames_seen:
        terminalreporter.write_line(frames.save())
