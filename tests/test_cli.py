"""The command line: its words, and the commands that need no core."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sdbox_agent import cli, errors
from sdbox_agent.paths import Paths

ROOT = Path(__file__).parents[1]


def test_explain_says_sentence_and_remedy_or_that_there_is_no_such_code(run) -> None:
    code, out, _ = run("explain", "card-revoked")
    assert (code, out.strip()) == (0, errors.render("card-revoked", "en"))
    assert json.loads(run("explain", "card-revoked", "--json")[1])["call"] == "centre"
    code, out, err = run("explain", "\x1b[2J")
    assert (code, out) == (cli.USAGE, "")
    assert "\x1b" not in err


@pytest.mark.parametrize("after", [False, True])
def test_the_language_may_stand_before_the_command_or_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, after: bool
) -> None:
    words, language = ["explain", "card-revoked"], ["--language", "en"]
    cli.main(["--root", str(tmp_path), *(words + language if after else language + words)])
    assert capsys.readouterr().out.strip() == errors.render("card-revoked", "en")


@pytest.mark.parametrize(
    ("content", "language"),
    [
        ('language = "en"\n', "en"),
        ('language = "fr"\n', "fr"),
        ("", "fr"),
        ('language = "de"\n', "fr"),
    ],
)
def test_a_box_speaks_the_language_of_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, language: str
) -> None:
    config = Paths(tmp_path).config
    config.mkdir(parents=True)
    (config / "box.toml").write_text(
        f'v = 1\nbox = "b"\nprofile = "virtual"\n{content}[centre]\nhost = "centre.test"\n'
    )
    cli.main(["--root", str(tmp_path), "explain", "card-revoked"])
    assert capsys.readouterr().out.strip() == errors.render("card-revoked", language)


def test_the_record_of_a_new_box_can_t_be_verified_and_says_which_file(run, tmp_path: Path) -> None:
    code, _, err = run("audit", "verify")
    assert code == cli.FAILED
    assert str(Paths(tmp_path).state) in err


def test_the_record_to_verify_may_be_named_before_json_or_after(run, tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"")
    for words in (["--json", str(tmp_path / "record")], [str(tmp_path / "record"), "--json"]):
        code, out, _ = run("audit", "verify", *words)
        assert (code, json.loads(out)["lines"]) == (0, 0)


def test_a_profile_is_checked_with_file_and_line(run, tmp_path: Path) -> None:
    assert run("profile", "check", str(ROOT / "firmware_profiles/virtual.toml"))[0] == 0
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("v = 1\nnonsense = 2\n")
    code, _, err = run("profile", "check", str(wrong))
    assert code == cli.FAILED
    assert "wrong.toml:" in err
    assert "profile-invalid" in err


def test_a_profile_is_checked_with_the_kinds_of_card_it_names(run, tmp_path: Path) -> None:
    """A box with such a profile would not start: the check is asked before."""
    text = (ROOT / "firmware_profiles/virtual.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace('"virtual"', '"mine"').replace('"piv-free"', '"piv-other"'))
    code, _, err = run("profile", "check", str(mine))
    assert (code, "piv-other.toml" in err, "profile-invalid" in err) == (cli.FAILED, True, True)
    (tmp_path / "cards").mkdir()
    kind = tmp_path / "cards/piv-other.toml"
    good = (ROOT / "firmware_profiles/cards/piv-free.toml").read_text()
    kind.write_text(good.replace("piv-free", "piv-other"))
    assert run("profile", "check", str(mine))[0] == 0, "its own kinds, and those that are shipped"
    assert run("profile", "check", str(kind))[0] == 0
    kind.write_text(kind.read_text().replace("P-256", "P-257"))
    for path in (mine, kind):
        code, _, err = run("profile", "check", str(path))
        assert (code, "piv-other.toml:5: algorithms" in err) == (cli.FAILED, True), err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dance",),
        ("choose",),
        ("choose", "p" * 201),
        ("choose", "p\udcff"),
        ("code", "12345"),
        ("code", "12345x"),
        ("code", "١٢٣٤٥٦"),
        ("audit",),
        ("run", "--card-user", "no-such"),
    ],
)
def test_a_wrong_call_exits_with_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == cli.USAGE


def test_an_output_that_takes_no_more_is_told_and_is_no_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "sdbox_agent", "explain", "card-revoked"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "sdbox-agent: No space left on device\n")
