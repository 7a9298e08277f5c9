"""What a trial goes through. `make hil-deb` runs it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hil.package import clean, recipe, trial


def test_a_host_that_can_not_says_so_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clean.os, "geteuid", lambda: 0)
    monkeypatch.setattr(clean.shutil, "which", lambda _: None)
    assert trial.main([]) == 0
    assert capsys.readouterr().out == "skipped: host has no mmdebstrap\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [([], ["sdbox-agent", "sdbox-centre"]), (["sdbox-centre"], ["sdbox-centre"])],
)
def test_every_package_is_tried_or_those_that_are_named(
    words: list[str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial, "missing", lambda: None)
    monkeypatch.setattr(trial, "_lived", lambda one: tried.append(one.one.name))
    assert trial.main(words) == 0
    assert tried == names
    assert {one.one.name for one in (trial.BOX, trial.CENTRE)} == {one.name for one in recipe.EVERY}


def test_what_is_broken_is_told_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: trial.Trial) -> None:
        raise clean.Broken("left by a purge: etc/x")

    monkeypatch.setattr(trial, "missing", lambda: None)
    monkeypatch.setattr(trial, "_lived", broken)
    assert trial.main([]) == 1
    assert "left by a purge: etc/x" in capsys.readouterr().err


def _played(
    monkeypatch: pytest.MonkeyPatch, root: Path, act: Callable[[tuple[str, ...]], None]
) -> None:
    """A life in which dpkg does what a test has it do."""

    def dpkg(_: Path, *words: str) -> str:
        act(words)
        return ""

    (root / "tmp").mkdir()
    (root / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (root / "etc" / name).write_text("")
    monkeypatch.setattr(trial, "dpkg", dpkg)
    monkeypatch.setattr(trial, "newer", lambda _one, _two: None)
    installed = f"1{clean.UPGRADED} install ok installed"
    monkeypatch.setattr(trial, "inside", lambda *_: installed)
    (root / "one.deb").write_text("")
    kept = {"etc/kept": b"settings"}
    trial.life(trial.Trial(recipe.CENTRE, lambda _: None, kept), root, root / "one.deb")


def test_a_good_life_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def act(words: tuple[str, ...]) -> None:
        if words[0] == "-P":
            (tmp_path / "etc/kept").unlink()

    monkeypatch.setattr(trial, "files", lambda root: clean.files(root) - {"one.deb"})
    _played(monkeypatch, tmp_path, act)


@pytest.mark.parametrize(
    ("at", "harm", "told"),
    [
        ("-i", "gone", "etc/kept: not kept"),
        ("-r", "gone", "etc/kept: not kept"),
        ("-P", "stays", "left by a purge"),
    ],
)
def test_a_package_that_loses_or_leaves_something_is_broken(
    at: str, harm: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = tmp_path / "etc/kept"

    def act(words: tuple[str, ...]) -> None:
        if words[0] == at and harm == "gone" and kept.exists():
            kept.unlink()

    with pytest.raises(clean.Broken, match=told):
        _played(monkeypatch, tmp_path, act)
