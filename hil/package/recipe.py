"""[door] The packages there are, and all in which one is made otherwise than another."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from unittest import mock

from hil.net.process import REPOSITORY
from hil.package import contents, control
from sdbox_agent import cli

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import PurePosixPath

    from hil.package.contents import Placed


@dataclass(frozen=True, slots=True)
class Recipe:
    """One package."""

    words: control.Words
    library: PurePosixPath  # what of it is Python's
    module: str  # that its command runs
    scripts: str  # of hil/package/scripts, by what their names begin with
    wheels: str | None  # the group of uv.lock whose they are; None: the agent's own
    gi: bool  # is Debian's python3-gi seen?
    placed: Callable[[], list[Placed]]
    written: Callable[[], dict[PurePosixPath, str]]  # files that are made here
    parser: Callable[[], argparse.ArgumentParser]  # the command line as it is installed

    @property
    def name(self) -> str:
        """The package's, and its command's."""
        return self.words.package


def tracked() -> list[str]:
    """Every file of the repository."""
    words = ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "-z"]
    said = subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    return said.stdout.split("\0")[:-1]


def texts() -> dict[str, str]:
    """Each module of agent and centre, by its file's name."""
    return {
        name: (REPOSITORY / name).read_text()
        for name in tracked()
        if name.startswith(("sdbox_agent/", "sdbox_centre/")) and name.endswith(".py")
    }


def _parser_on_a_box() -> argparse.ArgumentParser:
    with mock.patch.object(cli, "fingeroptions", None):
        return cli._parser()


def _parser_at_the_centre() -> argparse.ArgumentParser:
    # Only when it is built: with it comes all of the API's framework, and whoever has imported
    # that can't start pytest any more (anyio brings a plugin of its own).
    from sdbox_centre import cli as centre_cli  # noqa: PLC0415

    return centre_cli._parser()


AGENT: Final = Recipe(
    words=control.AGENT,
    library=contents.LIBRARY,
    module="sdbox_agent",
    scripts="agent",
    wheels=None,
    gi=True,
    placed=lambda: contents.of_agent(tracked()),
    written=dict,
    parser=_parser_on_a_box,
)
CENTRE: Final = Recipe(
    words=control.CENTRE,
    library=contents.CENTRE,
    module="sdbox_centre",
    scripts="centre",
    wheels="centre",
    gi=False,
    placed=lambda: contents.of_centre(tracked(), texts()),
    written=lambda: contents.examples((REPOSITORY / "docs/centre.md").read_text()),
    parser=_parser_at_the_centre,
)
EVERY: Final = (AGENT, CENTRE)
