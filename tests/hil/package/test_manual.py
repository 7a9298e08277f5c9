"""The page and the completions say what the command line takes."""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hil.package import control, manual, recipe
from hil.package.recipe import Recipe
from sdbox_agent import cli

EPOCH_S = 1_767_323_045  # 2026-01-02


def _page() -> str:
    return manual.page(cli._parser(), "a terminal", control.MANUAL_TAIL, EPOCH_S, "0.1.0")


def test_each_command_has_its_section() -> None:
    commands = re.findall(r"^\.SS (.+)$", _page(), re.MULTILINE)
    assert {"status", "audit verify", "network\\-sheet", "profile check"} <= set(commands)
    assert "audit" not in commands, "it does nothing without its act"


def test_the_page_is_of_the_commit_and_of_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    once = _page()
    assert '1 "2026-01-02" "sdbox-agent 0.1.0"' in once
    for name, value in {"COLUMNS": "40", "LANGUAGE": "fr", "TZ": "Pacific/Kiritimati"}.items():
        monkeypatch.setenv(name, value)
    assert _page() == once
    assert str(Path(cli.__file__).parents[1]) not in once


@pytest.mark.parametrize("text", ["-x", ".so /etc/passwd", "'y", "a\\b"])
def test_no_text_is_a_request(text: str) -> None:
    parser = argparse.ArgumentParser(prog="p")
    parser.add_argument("--x", help=text)
    lines = manual.page(parser, "w", "", 0, "1").splitlines()
    allowed = re.compile(r"^(?:\.(?:TH|SH|SS|TP|PP|B)\b|[^.'])")
    assert [line for line in lines if line and not allowed.match(line)] == []
    assert "\\-x" in lines or text != "-x"


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("one", recipe.EVERY, ids=lambda one: one.name)
def test_groff_has_nothing_to_say(one: Recipe) -> None:
    text = manual.page(one.parser(), one.words.what, one.words.manual_tail, EPOCH_S, "0.1.0")
    ran = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def _completed(line: str, tmp_path: Path, one: Recipe = recipe.AGENT) -> set[str]:
    """What bash offers at the end of a line."""
    script = tmp_path / "completion"
    script.write_text(manual.completion(one.parser(), "bash"))
    words = line.split(" ")
    play = (
        f"source {script}; COMP_WORDS=({' '.join(word or chr(39) * 2 for word in words)});"
        f"COMP_CWORD={len(words) - 1};"
        f"$(complete -p {one.name} | sed 's/.*-F \\([^ ]*\\).*/\\1/');"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(["bash", "-c", play], text=True, capture_output=True, check=True)
    return set(ran.stdout.split())


def test_bash_completes_commands_acts_and_options(tmp_path: Path) -> None:
    assert {"status", "watch", "profile", "audit"} <= _completed("sdbox-agent ", tmp_path)
    assert "verify" in _completed("sdbox-agent audit ", tmp_path)
    assert {"list", "show", "check"} <= _completed("sdbox-agent card ", tmp_path)
    assert "--json" in _completed("sdbox-agent status --", tmp_path)


def test_the_centres_command_is_told_of_in_the_same_way(tmp_path: Path) -> None:
    page = manual.page(recipe.CENTRE.parser(), "w", "", EPOCH_S, "0.1.0")
    assert '.TH SDBOX-CENTRE 1 "2026-01-02" "sdbox-centre 0.1.0"' in page
    assert "python -m" not in page, "the command is installed under its own name"
    commands = set(re.findall(r"^\.SS (.+)$", page, re.MULTILINE))
    assert {"init", "api", "gateway", "gateway\\-check", "grant add", "box order"} <= commands
    offered = _completed("sdbox-centre ", tmp_path, recipe.CENTRE)
    assert {"init", "gateway-check", "grant", "acts"} <= offered
    assert "order" in _completed("sdbox-centre box ", tmp_path, recipe.CENTRE)


def test_zsh_is_told_of_the_same(tmp_path: Path) -> None:
    text = manual.completion(cli._parser(), "zsh")
    assert text.startswith("#compdef sdbox-agent\n")
    assert "network-sheet" in text
    if shutil.which("zsh"):
        (tmp_path / "it").write_text(text)
        subprocess.run(["zsh", "-n", tmp_path / "it"], check=True)
