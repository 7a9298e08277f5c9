"""`sdbox-agent renew` over a box's files and the real centre."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import cli, screen
from sdbox_agent.identity import centreanchors
from tests.identity.test_renewal import DAY, Settled
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    grown = World(tmp_path)
    yield grown
    grown.close()


def settled(world: World, port: int, days: int) -> tuple[Settled, str]:
    """A box, and its root."""
    box = Settled(world, days * DAY)
    root = world.root / "box"
    (root / "etc").mkdir(parents=True)
    box.config = box.config.rename(root / "etc/sdbox")
    (box.config / "box.toml").write_text(
        f'v = 1\nbox = "test-box-09"\nprofile = "virtual"\nlanguage = "en"\n[centre]\n'
        f'host = "127.0.0.1"\nport = {port}\naddresses = ["127.0.0.1"]\n'
    )
    return box, str(root)


def words(name: str, language: str) -> str:
    return screen.table()["renewal"][name][language]


def test_it_renews_in_time_and_says_until_when(world: World, capsys) -> None:
    with tls.served(world, est=ordering.est_of(world)) as port:
        box, root = settled(world, port, 300)
        assert cli.main(["--root", root, "renew"]) == 0
        until = f"{box.kept.not_valid_after_utc:%Y-%m-%d}"
        assert capsys.readouterr().out == f"{words('renewed', 'en')} {until}\n"
        assert box.kept != box.first
        assert cli.main(["--root", root, "--language", "fr", "renew"]) == 0
        assert capsys.readouterr().out == f"{words('not-yet', 'fr')} {until}\n"
        assert cli.main(["--root", root, "renew", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "renewed": False,
            "until": until,
            "learned": 0,
        }


def test_a_box_with_a_chip_has_nothing_to_renew_and_asks_no_chip(
    world: World, capsys, monkeypatch
) -> None:
    with tls.served(world, est=ordering.est_of(world)) as port:
        box, root = settled(world, port, 300)
        identity = box.config / "identity"
        (identity / "statement.tpm").write_bytes((identity / "statement.key").read_bytes())
        for name in ("statement.key", "tls.key", "tls.pem"):
            (identity / name).unlink()
        for language in ("en", "fr"):
            assert cli.main(["--root", root, "--language", language, "renew"]) == 0
            assert capsys.readouterr().out == f"{words('in-memory', language)}\n"
        assert cli.main(["--root", root, "renew", "--json"]) == 0
        said = {"renewed": False, "until": None, "learned": 0}
        assert json.loads(capsys.readouterr().out) == said
    assert world.trace().count(("vouch", "done")) == 0
    (box.config / "anchors/centre.pem").unlink()
    assert cli.main(["--root", root, "renew"]) == 1
    assert "(box-identity-missing)" in capsys.readouterr().err

    def fails(_config: Path) -> str:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(centreanchors, "load", fails)
    assert cli.main(["--root", root, "renew"]) == 1
    assert "(config-invalid)" in capsys.readouterr().err


def test_what_went_wrong_is_said_and_the_service_manager_told(world: World, capsys) -> None:
    box, root = settled(world, 1, 300)
    assert cli.main(["--root", root, "renew"]) == 1
    assert "(centre-unreachable)" in capsys.readouterr().err
    assert box.kept == box.first
