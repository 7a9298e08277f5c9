"""A whole session as a person at the box sees it: on the console's terminal, as its own user."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from hil.box import CONSOLE_UID
from hil.issuing import Holder
from hil.net.process import Process, Unit
from hil.rig import Rig
from sdbox_agent import errors, screen
from tests.console.terminals import TERM, Desk, desk
from tests.hil.refusals import Bench, People

pytestmark = pytest.mark.rig

BOTH = ("p-alpha", "p-beta")


def prepare(_: Rig, people: People) -> Holder:
    return people.holder(projects=BOTH)


@pytest.fixture
def glass(bench: Bench) -> Iterator[Desk]:
    """What its unit starts, but for the manager: a terminal, a user of its own, no network."""
    root = bench.rig.root / "box"
    words = ("-I", "-m", "sdbox_agent", "--root", str(root), "watch", "--console")
    with desk(80, 25) as one:
        process = Process(
            Unit(
                argv=[sys.executable, *words],
                uid=CONSOLE_UID,
                private_network=True,
                stdin=one.slave,
                environment=TERM,
                output=root / "log/console.log",
            )
        )
        try:
            yield one
            assert process.status is None, "it has ended"
        finally:
            process.end()


def said(kind: str, name: str) -> str:
    words = screen.words(kind, name, "en")  # type: ignore[arg-type]  # a Kind
    return words.replace("’", "'").replace("…", "...")  # noqa: RUF001  as it is shown


def test_a_whole_session_is_seen_and_its_project_chosen_there(
    bench: Bench, people: Holder, glass: Desk
) -> None:
    glass.sees(said("state", "idle"))
    glass.type(b"1\r1\r")  # before anybody asks
    bench.to_finger(people)
    glass.sees(errors.explain("place-finger").sentence["en"])
    seen = bench.touch(people.person)
    assert seen.state == "choosing"
    glass.sees("(p-alpha)")
    glass.sees("(p-beta)")
    row = next(at for at, one in enumerate(seen.projects, 1) if one.project == "p-beta")
    glass.type(f"{row}".encode())
    glass.sees(f"> {row}_")
    glass.type(b"\r")
    opened = bench.watch.state("open", "spent")
    assert (opened.state, opened.project) == ("open", "p-beta")
    glass.sees(said("state", "open"))
    glass.sees("project / projet: p-beta")
    glass.sees("tunnel: open / ouvert (udp)")
    assert "centre: in reach" in glass.glass.text
    bench.leave()
    glass.sees("card-removed")
    bench.watch.state("idle")
    glass.sees(said("state", "idle"))
    glass.sees("tunnel: closed / fermé")


def test_a_core_that_is_killed_is_missed_and_seen_again(bench: Bench, glass: Desk) -> None:
    glass.sees(said("state", "idle"))
    os.kill(bench.rig.box.pid("sdbox-agent"), signal.SIGKILL)
    glass.sees(said("console", "starting"))
    glass.sees(said("state", "idle"))
    bench.watch = bench.rig.watch()
    bench.watch.state("idle")
