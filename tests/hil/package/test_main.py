"""The command: what is built it says, and what is lacking."""

from pathlib import Path

import pytest

from hil.package import __main__ as command
from hil.package import contents, control, deb, environment, recipe
from hil.package.recipe import Recipe


@pytest.mark.parametrize(
    ("words", "names"),
    [((), ["sdbox-agent", "sdbox-centre"]), (("--only", "sdbox-centre"), ["sdbox-centre"])],
)
def test_it_says_what_was_built(
    words: tuple[str, ...],
    names: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def build(into: Path, compression: str, one: Recipe) -> deb.Built:
        assert compression == "xz"
        path = into / f"{one.name}.deb"
        path.write_bytes(b"!<arch>\n")
        return deb.Built(path, control.Version("1", 0), 1.0)

    monkeypatch.setattr(deb, "build", build)
    assert command.main(["--into", str(tmp_path), *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [str(tmp_path / f"{name}.deb") for name in names] == [line.split()[1] for line in said]


def test_a_package_that_there_is_not_is_no_package() -> None:
    with pytest.raises(SystemExit):
        command.main(["--only", "sdbox-desk"])
    assert {one.name for one in recipe.EVERY} == {"sdbox-agent", "sdbox-centre"}


@pytest.mark.parametrize(
    "error",
    [environment.NoWheels("x==1"), contents.Unplaced("systemd/x==1"), deb.Failed("strip: x==1")],
)
def test_it_says_what_is_lacking(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(into: Path, compression: str, one: Recipe) -> deb.Built:
        raise error

    monkeypatch.setattr(deb, "build", build)
    assert command.main([]) == 1
    assert "x==1" in capsys.readouterr().err
