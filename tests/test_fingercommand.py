"""`sdbox-agent finger` as staff at a desk meet it, on virtual fingers and drawn ones."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.finger import cache
from hil.finger.impression import impression
from sdbox_agent import cli, errors, hardening
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.fingertool import files, protocol
from sdbox_agent.paths import Paths
from tests.biometrics.templates import finger, moved

Image = pytest.importorskip("PIL.Image")
ROOT = Path(__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Each time a process would have closed its memory; this one stays open."""
    times: list[bool] = []
    monkeypatch.setattr(hardening, "close_memory", lambda: times.append(True))
    return times


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], closed: list[bool]) -> Run:
    def call(*words: object, language: str = "en") -> tuple[int, str, str]:
        arguments = ["--root", str(tmp_path / "root"), "--language", language, "finger"]
        code = cli.main([*arguments, *map(str, words)])
        return code, *capsys.readouterr()

    return call


def record(path: Path, template) -> Path:
    shown = iso.record_of({2: [template]}, 600, 600)
    path.write_bytes(iso.encode(shown))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three fingers, three impressions each, as records."""
    one = tmp_path / "set"
    one.mkdir()
    for f in range(1, 4):
        for k in range(1, 4):
            template = moved(finger(f), 0.1 * k, (60.0 + 5 * k, 60.0), jitter_px=2.0, seed=k)
            record(one / f"{f}_{k}.iso", template)
    (one / "readme.txt").write_text("not a finger")
    return one


@pytest.mark.parametrize("words", [("extract", "a"), ("compare", "a", "b"), ("evaluate", "a")])
def test_on_a_box_nothing_is_even_opened(
    run: Run, tmp_path: Path, words: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(path: Path, dpi: float | None) -> None:
        raise AssertionError

    monkeypatch.setattr(files, "read", touched)
    settings = Paths(tmp_path / "root").config / "box.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("")
    code, out, err = run(*words)
    assert (code, out) == (cli.FAILED, "")
    assert err.strip() == errors.render("not-on-a-box", "en")


def test_memory_is_closed_before_a_finger_is_read(run: Run, closed: list, tmp_path: Path) -> None:
    run("extract", tmp_path / "absent.png")
    assert closed == [True]


def test_two_records_are_compared_and_explained(run: Run, folder: Path) -> None:
    code, out, _ = run("compare", folder / "1_1.iso", folder / "1_2.iso")
    assert (code, out.splitlines()[1][:7]) == (0, "Match  ")
    assert "no." not in out
    code, out, _ = run("compare", folder / "1_1.iso", folder / "1_2.iso", "--explain")
    assert out.splitlines()[-1].split()[0] == "45"
    code, out, _ = run("compare", folder / "1_1.iso", folder / "2_2.iso", language="fr")
    assert out.splitlines()[1].startswith("Pas de concordance")


def test_for_programs_a_comparison_shows_its_pairs_only_if_asked(run: Run, folder: Path) -> None:
    plain = json.loads(run("compare", folder / "1_1.iso", folder / "1_2.iso", "--json")[1])
    assert set(plain) == {"score", "matches"}
    assert all(plain["matches"].values())
    explained = json.loads(
        run("compare", folder / "1_1.iso", folder / "1_2.iso", "--json", "--explain")[1]
    )
    assert explained["score"] == plain["score"]
    assert len(explained["pairs"]) == 45
    nothing = record(folder / "9_9.iso", type(finger(1))(finger(1).minutiae[:1]))
    document = json.loads(run("compare", nothing, folder / "1_1.iso", "--json", "--explain")[1])
    assert (document["score"], document["pairs"]) == (0, [])


def test_the_picture_is_drawn_once_and_replaced_only_if_asked(run: Run, folder: Path) -> None:
    words = ("compare", folder / "1_1.iso", folder / "1_2.iso", "--picture", folder / "p.png")
    assert run(*words)[0] == 0
    with Image.open(folder / "p.png") as drawn:
        assert drawn.format == "PNG"
    code, _, err = run(*words)
    assert code == cli.FAILED
    assert "finger-file-not-written" in err
    assert run(*words, "--force")[0] == 0


def test_a_record_is_not_extracted_again(run: Run, folder: Path) -> None:
    code, _, err = run("extract", folder / "1_1.iso", "--output", folder / "x.iso")
    assert code == cli.FAILED
    assert "is a record already" in err
    assert not (folder / "x.iso").exists()
    code, out, _ = run("extract", folder / "1_1.iso", "--json")
    assert json.loads(out)["minutiae"] == 45


def test_a_set_is_evaluated_and_its_report_kept(run: Run, folder: Path, tmp_path: Path) -> None:
    folder = folder.rename(folder.with_name('a, "b"'))
    code, out, _ = run("evaluate", folder, "--output", tmp_path / "r")
    assert code == 0
    assert "genuine comparisons: 9, impostor comparisons: 27" in out
    assert sorted(os.listdir(tmp_path / "r")) == [
        "det.png",
        "report.json",
        "report.txt",
        "scores.csv",
    ]
    kept = json.loads((tmp_path / "r/report.json").read_text())
    assert kept["sets"][0]["eer"]["rate"] == 0
    assert set(kept["median_ms"]) == {"extract", "prepare", "compare"}
    with (tmp_path / "r/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    assert {row["set"] for row in rows} == {folder.name}
    assert sum(int(row["genuine"]) for row in rows) == 9
    least = min(float(row["score"]) for row in rows if row["genuine"] == "1")
    assert least > max(float(row["score"]) for row in rows if row["genuine"] == "0")
    assert "finger-file-not-written" in run("evaluate", folder, "--output", tmp_path / "r")[2]


def test_sets_are_pooled_at_one_threshold(run: Run, folder: Path, tmp_path: Path) -> None:
    words = ("evaluate", folder, folder, "--output", tmp_path / "r", "--impostor", "fvc", "--json")
    document = json.loads(run(*words)[1])
    assert [one["name"] for one in document["sets"]] == ["set", "set", protocol.POOLED]
    assert [one["impostor"] for one in document["sets"]] == [3, 3, 6]
    assert document["sets"][2]["fingers"] == 6


def test_on_card_is_said_and_costs_little(run: Run, folder: Path) -> None:
    out = run("evaluate", folder, "--on-card")[1]
    assert "a card would have a matcher of its own" in out
    full, compact = (
        json.loads(run("evaluate", folder, "--json", *more)[1]) for more in ((), ("--on-card",))
    )
    assert (full["on_card"], compact["on_card"]) == (False, True)
    assert compact["sets"][0]["eer"]["rate"] == 0
    least = [each["sets"][0]["fnmr_at"]["ZeroFMR"]["threshold"] for each in (full, compact)]
    assert least[0] != least[1]  # it went through three bytes a minutia


def test_who_has_too_little_for_a_card_is_not_enrolled(run: Run, folder: Path) -> None:
    record(folder / "4_1.iso", type(finger(1))(finger(1).minutiae[:5]))
    assert "not enrolled: 1" in run("evaluate", folder, "--on-card")[1]
    assert "not enrolled: 0" in run("evaluate", folder)[1]


def test_a_folder_that_is_no_set_is_refused_by_name(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "absent"):
        code, _, err = run("evaluate", wrong)
        assert code == cli.FAILED
        assert wrong.name in err
        assert "finger-set-invalid" in err
    (folder / "1_1.fmr").write_bytes((folder / "1_1.iso").read_bytes())
    assert "is the same impression" in run("evaluate", folder)[2]
    (folder / "1_1.fmr").rename(folder / "one.fmr")
    assert "one.fmr" in run("evaluate", folder)[2]


def test_an_image_needs_its_resolution_and_says_so_in_both_languages(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    Image.new("L", (200, 200), 255).save(folder / "5_1.png")
    for language in errors.LANGUAGES:
        err = run("evaluate", folder, language=language)[2]
        assert err.strip() == errors.render("resolution-unknown", language)


@pytest.mark.rig
def test_from_images_of_virtual_fingers_to_a_decision(tmp_path: Path) -> None:
    """The command as a process: images, a record, a comparison, a trial."""
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in (1, 2):
        for touch in (1, 2):
            pixels = impression(cache.master(seed), touch).pixels
            Image.fromarray(pixels).save(folder / f"{seed}_{touch}.png", dpi=(500, 500))
    Image.new("L", (200, 200), 255).save(folder / "3_1.png", dpi=(500, 500))

    def finger_command(*words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sdbox_agent", "--root", str(tmp_path), "--language", "en",
             "finger", *map(str, words)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    written = finger_command("extract", folder / "1_1.png", "--output", tmp_path / "1.iso")
    found = iso.decode((tmp_path / "1.iso").read_bytes())
    assert f"minutiae: {len(found.views[0].minutiae)}" in written
    out = finger_command(
        "compare", tmp_path / "1.iso", folder / "1_2.png", "--picture", tmp_path / "p.png"
    )
    assert out.splitlines()[1].startswith("Match  ")
    assert (tmp_path / "p.png").stat().st_size > 10_000
    out = finger_command("compare", folder / "1_1.png", folder / "2_1.png")
    assert out.splitlines()[1].startswith("No match  ")
    assert "not enrolled: 1" in finger_command("evaluate", folder)
