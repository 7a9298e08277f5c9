"""What a host lacks is named, one thing at a time, and is no failure."""

from pathlib import Path

import pytest

from hil import host
from hil.vm.image import ChildFailed


def test_whoever_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    assert host.root() == "no root"
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    assert host.root() is None


def test_a_program_is_told_with_debians_package() -> None:
    assert host.program("sh", "dash") is None
    assert host.program("no-such-program", "some-package") == (
        "no no-such-program (Debian: some-package)"
    )


def test_a_host_without_tun_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TUN", tmp_path / "tun")
    assert host.tun() == f"no {tmp_path / 'tun'}"
    (tmp_path / "tun").touch()
    assert host.tun() is None


def test_no_mirror_is_asked_where_everything_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.image, "child", lambda *_, **__: pytest.fail("asked"))
    assert host.mirror([tmp_path]) is None


@pytest.mark.parametrize("answers", [True, False])
def test_a_mirror_is_asked_by_who_will_use_it(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def child(*argv: str, within_s: float, output: Path) -> None:
        asked.append(argv)
        assert output.parent.is_dir()
        assert Path(argv[-1]).parent.is_dir()
        assert within_s <= host.MIRROR_S
        if not answers:
            raise ChildFailed("mmdebstrap: 1")

    monkeypatch.setattr(host.image, "child", child)
    assert host.mirror([tmp_path, tmp_path / "absent"]) == (None if answers else "no Debian mirror")
    ((program, *words),) = asked
    assert program == "mmdebstrap"
    assert "--simulate" in words
    assert not Path(words[-1]).parent.exists(), "nothing of it is left"


def test_a_mirror_that_does_not_answer_in_time_is_told_and_no_more_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """mmdebstrap itself, or its absence."""
    monkeypatch.setattr(host, "MIRROR_S", 0.05)
    assert host.mirror([tmp_path / "absent"]) == "no Debian mirror"
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_one_line_and_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert host.skipped("no root") == 0
    assert capsys.readouterr().out == "skipped: host has no root\n"
