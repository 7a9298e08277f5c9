"""The command: what is built it says, and what is lacking."""

from pathlib import Path

import pytest

from hil.package import __main__ as command
from hil.package import contents, control, deb, environment


def test_it_says_what_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(into: Path, compression: str) -> deb.Built:
        assert compression == "xz"
        (into / "a.deb").write_bytes(b"!<arch>\n")
        return deb.Built(into / "a.deb", control.Version("1", 0), 1.0)

    monkeypatch.setattr(deb, "build", build)
    assert command.main(["--into", str(tmp_path)]) == 0
    assert str(tmp_path / "a.deb") in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [environment.NoWheels("x==1"), contents.Unplaced("systemd/x==1"), deb.Failed("strip: x==1")],
)
def test_it_says_what_is_lacking(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(into: Path, compression: str) -> deb.Built:
        raise error

    monkeypatch.setattr(deb, "build", build)
    assert command.main([]) == 1
    assert "x==1" in capsys.readouterr().err
