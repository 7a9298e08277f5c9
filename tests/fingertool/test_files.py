"""Fingers from files, results into files: what is read, what refused, what never replaced."""

import os
import stat
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.errors import AskAgain, Fault
from sdbox_agent.fingertool import files, pgm
from sdbox_agent.paths import Paths
from sdbox_agent.sensor.port import MAX_SIDE_PX, MIN_SIDE_PX
from sdbox_agent.state.trusted import FileRefused
from tests.biometrics.templates import finger

Image = pytest.importorskip("PIL.Image")
GREY = np.arange(120 * 100, dtype=np.uint8).reshape(120, 100)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[files.Image]:
    """Images that reach the detector, which here finds what a template of the tests has."""
    images: list[files.Image] = []

    def keep(image: files.Image):
        images.append(image)
        return finger(1)

    monkeypatch.setattr(files, "extract", keep)
    return images


def test_a_grey_map_reaches_the_detector_as_it_is(tmp_path: Path, seen: list) -> None:
    (tmp_path / "a.pgm").write_bytes(pgm.encode(GREY))
    found = files.read(tmp_path / "a.pgm", 569.0)
    assert np.array_equal(seen[0].pixels, GREY)
    assert (seen[0].dpi, found.image) == (569.0, seen[0])
    assert len(found.template.minutiae) == 45


@pytest.mark.parametrize("kind", ["png", "bmp", "tif"])
def test_what_pillow_reads_says_its_resolution(tmp_path: Path, seen: list, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(GREY).save(path, dpi=(569, 569))
    files.read(path)
    files.read(path, 500.0)
    assert [image.dpi for image in seen] == [569.0, 500.0]
    assert np.array_equal(seen[0].pixels, GREY)


@pytest.mark.parametrize("dpi", [None, (72, 72), (500, 300)])
def test_an_image_without_a_believable_resolution_asks_for_it(
    tmp_path: Path, seen: list, dpi: tuple | None
) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png", **({"dpi": dpi} if dpi else {}))
    with pytest.raises(AskAgain, match="resolution-unknown"):
        files.read(tmp_path / "a.png")
    (tmp_path / "a.pgm").write_bytes(pgm.encode(GREY))
    with pytest.raises(AskAgain, match="resolution-unknown"):
        files.read(tmp_path / "a.pgm")


def test_a_record_needs_no_detector(tmp_path: Path, seen: list) -> None:
    path = tmp_path / "a.any"
    path.write_bytes(iso.encode(iso.record_of({2: [finger(1)]}, 400, 400)))
    found = files.read(path)
    assert (len(found.template.minutiae), found.image, seen) == (45, None, [])
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FileRefused, match="finger-file-invalid"):
        files.read(path)


@pytest.mark.parametrize("side", [MIN_SIDE_PX - 1, MAX_SIDE_PX + 1])
@pytest.mark.parametrize("kind", ["pgm", "png"])
def test_a_size_that_no_sensor_has_never_reaches_the_detector(
    tmp_path: Path, seen: list, side: int, kind: str
) -> None:
    pixels = np.zeros((200, side), dtype=np.uint8)
    path = tmp_path / f"a.{kind}"
    if kind == "pgm":
        path.write_bytes(pgm.encode(pixels))
    else:
        Image.fromarray(pixels).save(path)
    with pytest.raises(FileRefused) as refused:
        files.read(path, 500.0)
    assert "pixels" in refused.value.diagnosis
    assert seen == []


def test_twenty_thousand_pixels_a_side_are_refused_unread(tmp_path: Path, seen: list) -> None:
    path = tmp_path / "a.png"
    head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(20_001))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, body)
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(FileRefused, match="finger-file-invalid"):
        files.read(path, 500.0)


def test_what_is_no_finger_is_refused(tmp_path: Path, seen: list) -> None:
    path = tmp_path / "a.png"
    for data in (b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n" + bytes(60), b"P5 1 1 255\n"):
        path.write_bytes(data)
        with pytest.raises(FileRefused, match="finger-file-invalid"):
            files.read(path, 500.0)
    Image.fromarray(np.zeros((200, 200), dtype=np.uint16)).save(path)
    with pytest.raises(FileRefused, match="finger-file-invalid"):
        files.read(path, 500.0)
    with pytest.raises(FileRefused) as absent:
        files.read(tmp_path / "absent")
    assert "No such file" in absent.value.diagnosis
    (tmp_path / "big").write_bytes(bytes(files.MAX_FILE_BYTES + 1))
    with pytest.raises(FileRefused, match="finger-file-invalid"):
        files.read(tmp_path / "big")


def test_a_pipe_is_not_waited_for(tmp_path: Path, seen: list) -> None:
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path):
        with pytest.raises(FileRefused) as refused:
            files.read(path, 500.0)
        assert refused.value.diagnosis.endswith(("not a file", "Is a directory"))


def test_without_pillow_only_grey_maps_are_read(
    tmp_path: Path, seen: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    (tmp_path / "a.pgm").write_bytes(pgm.encode(GREY))
    files.read(tmp_path / "a.pgm", 500.0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Fault, match="pillow-missing"):
        files.read(tmp_path / "a.png", 500.0)


def test_the_detector_is_the_sensors_own() -> None:
    pytest.importorskip("gi")
    with pytest.raises(AskAgain, match="finger-poor"):
        files.extract(files.Image(np.full((200, 200), 255, dtype=np.uint8), 500.0))


def test_a_result_is_its_owners_alone_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "out"
    old = os.umask(0)
    try:
        files.write(path, b"one", replace=False)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileRefused, match="finger-file-not-written"):
        files.write(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    files.write(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["out"]


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(FileRefused):
        files.write(tmp_path / "link", b"new", replace=False)
    files.write(tmp_path / "link", b"new", replace=True)
    assert (tmp_path / "kept").read_bytes() == b"kept"


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefused, match="finger-file-not-written"):
        files.write(tmp_path / "pipe", b"new", replace=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileRefused):
        files.write(tmp_path / "folder", b"new", replace=True)  # a folder can't be replaced
    with pytest.raises(FileRefused):
        files.write(tmp_path / "absent" / "out", b"new", replace=False)
    assert sorted(os.listdir(tmp_path)) == ["folder"]


def test_a_folder_is_ours_and_new(tmp_path: Path) -> None:
    files.folder(tmp_path / "r", replace=False)
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o700
    files.folder(tmp_path / "r", replace=True)
    with pytest.raises(FileRefused, match="finger-file-not-written"):
        files.folder(tmp_path / "r", replace=False)


def test_a_box_is_known_by_its_settings_or_by_not_letting_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    assert not files.is_box(paths)
    paths.config.parent.mkdir()
    paths.config.write_bytes(b"")  # no folder: nothing in it
    assert not files.is_box(paths)
    paths.config.unlink()
    paths.config.mkdir()
    (paths.config / "box.toml").symlink_to("nowhere")
    assert files.is_box(paths)

    def refuse(path: Path) -> None:
        raise PermissionError

    (paths.config / "box.toml").unlink()
    assert not files.is_box(paths)
    monkeypatch.setattr(os, "lstat", refuse)
    assert files.is_box(paths)


def test_nothing_of_a_finger_is_in_a_repr() -> None:
    image = files.Image(GREY, 500.0)
    assert repr(image) + repr(files.Finger(finger(1), image)) == "<Image><Finger>"
