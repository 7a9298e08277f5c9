"""The commands that are nobody's act. Staff's verbs: tests/sdbox_centre/staff/test_commands.py."""

import contextlib
import json
from pathlib import Path

import pytest

from sdbox_agent import errors
from sdbox_centre import cli
from sdbox_centre.memory import Memory, Taken
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.world import World


def test_a_centre_describes_itself_and_makes_its_key(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = settings(world)
    cli.main(["init", "--config", api])
    cli.main(["openapi", "--config", api])
    assert "/v1/hello" in json.loads(capsys.readouterr().out)["paths"]
    with pytest.raises(SystemExit, match="1"):
        cli.main(["make-otp-key", "--config", api])
    assert errors.table()["config-invalid"].sentence["en"] in capsys.readouterr().err
    Path(api).write_text('otp_key = "otp.key"\n' + Path(api).read_text())
    cli.main(["make-otp-key", "--config", api])
    assert (world.root / "otp.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SystemExit, match="2"):
        cli.main(["make-otp-key", "--config", api])  # never over another
    assert "otp.key" in capsys.readouterr().err


def test_what_another_machine_remembers_is_never_an_empty_file_made_here(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = settings(world)
    cli.main(["init", "--config", api])
    mistyped = world.root / "remembred"
    with pytest.raises(SystemExit, match="2"):
        cli.main(["restore-accept", "--config", api, "--motive", "x", "--also", str(mistyped)])
    assert "remembred" in capsys.readouterr().err
    assert not mistyped.exists()


def test_a_database_that_is_none_or_damaged_is_said_in_words(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = settings(world)
    cli.main(["init", "--config", api])
    database = world.root / "cli.db"
    for damaged in (b"no database" * 500, database.read_bytes()[:5000]):
        for beside in world.root.glob("cli.db-*"):
            beside.unlink()
        database.write_bytes(damaged)
        with pytest.raises(SystemExit, match="1"):
            cli.main(["init", "--config", api])
        assert errors.table()["centre-fault"].sentence["en"] in capsys.readouterr().err


def test_settings_that_are_not_there_are_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main(["init", "--config", str(tmp_path / "none.toml")])
    assert errors.table()["config-invalid"].sentence["en"] in capsys.readouterr().err


def test_a_back_up_is_worked_on_once_that_was_accepted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api = Path(settings(world)[0])
    api.write_text('remembered = "remembered"\n' + api.read_text())
    cli.main(["init", "--config", str(api)])
    with contextlib.closing(Memory(world.root / "remembered")) as memory:
        memory.keep([Taken(7, "card", "ab" * 32, 0)])
    with pytest.raises(SystemExit, match="1"):
        cli.main(["holder", "list", "--config", str(api)])
    assert errors.table()["database-restored"].sentence["en"] in capsys.readouterr().err
    accept = ["restore-accept", "--config", str(api), "--motive", "test"]
    with pytest.raises(SystemExit, match="2"):
        cli.main([*accept, "--also", str(world.root / "none")])
    assert not (world.root / "none").exists()
    capsys.readouterr()
    cli.main(accept)
    assert capsys.readouterr().out == f"card {'ab' * 32}\n"
    cli.main(["holder", "list", "--config", str(api)])


def test_what_is_remembered_is_not_in_the_database_itself(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api = Path(settings(world)[0])
    api.write_text('remembered = "./cli.db"\n' + api.read_text())
    with pytest.raises(SystemExit, match="1"):
        cli.main(["init", "--config", str(api)])
    assert "the database itself" in capsys.readouterr().err
