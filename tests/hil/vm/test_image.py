"""What an image is made of, and that the programs which make it die with us."""

import signal
import subprocess
from pathlib import Path

import pytest

from hil.vm import image
from tests.waiting import until
from tests.workers.tunnel_parts import children_of


def test_a_list_has_names_and_comments() -> None:
    assert image.packages("# why\none\n\ntwo\n") == ["one", "two"]
    wanted = image.packages(image.PACKAGES.read_text())
    assert wanted == sorted(wanted)
    assert "linux-image-amd64" in wanted


def test_an_image_is_another_when_anything_it_is_made_of_is(tmp_path: Path) -> None:
    made_of = (tmp_path / "one", tmp_path / "two")
    for path in made_of:
        path.write_text("same")
    keys = {image.key(made_of)}
    for path in made_of:
        path.write_text("other")
        keys.add(image.key(made_of))
    assert len(keys) == 3
    assert image.key() == image.key()


def test_the_kept_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "KEPT", tmp_path / "vm")
    made: list[Path] = []

    def make(directory: Path) -> None:
        made.append(directory)
        (directory / "vmlinuz").touch()

    monkeypatch.setattr(image, "_make", make)
    (tmp_path / "vm/of-yesterday").mkdir(parents=True)
    first, second = image.image(), image.image()
    assert first == second
    assert len(made) == 1
    assert first.kernel.is_file()
    assert [path.name for path in (tmp_path / "vm").iterdir()] == [image.key()]


def test_one_that_is_half_made_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "KEPT", tmp_path / "vm")

    def make(directory: Path) -> None:
        (directory / "vmlinuz").touch()
        raise image.ChildFailed("mmdebstrap: 1")

    monkeypatch.setattr(image, "_make", make)
    for _ in range(2):
        with pytest.raises(image.ChildFailed):
            image.image()


def test_a_program_that_fails_is_absent_or_late_is_told() -> None:
    with pytest.raises(image.ChildFailed, match="false: 1"):
        image.child("false")
    with pytest.raises(image.ChildFailed, match="not installed"):
        image.child("no-such-program")
    with pytest.raises(image.ChildFailed, match="not in time"):
        image.child("sleep", "60", within_s=0.1)


def test_a_program_dies_with_who_started_it() -> None:
    script = "from hil.vm import image; image.child('sleep', '600')"
    starter = subprocess.Popen([image.sys.executable, "-c", script], cwd=image.REPOSITORY)
    (sleeper,) = until(lambda: children_of(starter.pid))
    until(lambda: b"sleep" in Path(f"/proc/{sleeper}/cmdline").read_bytes())
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    until(lambda: not Path(f"/proc/{sleeper}").exists())
