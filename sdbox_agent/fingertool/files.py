"""Fingers from files, and results into files [door].

Images are read by us (PGM) or by Pillow where it is installed (PNG, BMP, TIFF). What is written is
for its owner alone (0600), whole or not at all, and replaces nothing unless that was asked for.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import record
from sdbox_agent.errors import AskAgain, DecodeError, Fault
from sdbox_agent.fingertool import pgm
from sdbox_agent.fingertool.options import MAX_DPI, MIN_DPI
from sdbox_agent.paths import Paths
from sdbox_agent.sensor.port import MAX_SIDE_PX, MIN_SIDE_PX
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.minutia import Template

MAX_FILE_BYTES: Final = 16 << 20
IMAGES: Final = (".pgm", ".png", ".bmp", ".tif", ".tiff")
RECORDS: Final = (".iso", ".fmr", ".ist", ".bin")
_BY_PILLOW: Final = ("PNG", "BMP", "TIFF")
_GREY: Final = frozenset({"1", "L", "RGB"})  # modes that become 8-bit grey without loss of meaning
_RECORD_MAGIC: Final = b"FMR\0"


@dataclass(frozen=True, slots=True, repr=False)
class Image:
    """Pixels uint8 (height, width), ridges dark, row 0 at the top; dots per inch."""

    pixels: NDArray[np.uint8]
    dpi: float

    @override
    def __repr__(self) -> str:
        return "<Image>"


@dataclass(frozen=True, slots=True, repr=False)
class Finger:
    """One impression from one file; `image` is None where the file was a record."""

    template: Template
    image: Image | None

    @override
    def __repr__(self) -> str:
        return "<Finger>"


def is_box(paths: Paths) -> bool:
    """Whether this machine is set up as a box; what can't be looked at counts as one."""
    for root in {paths, Paths(Path("/"))}:
        try:
            os.lstat(root.config / "box.toml")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return True
        return True
    return False


def read(path: Path, dpi: float | None = None) -> Finger:
    """The finger in a file; `dpi` overrides what an image says of itself.

    Raises FileRefused, AskAgain("resolution-unknown"; "finger-poor" for an image without minutiae),
    Fault.
    """
    data = _bytes(path)
    if data.startswith(_RECORD_MAGIC):
        try:
            return Finger(record.decode(data), None)
        except DecodeError as error:
            raise _refused(path, str(error)) from None
    image = _image(path, data, dpi)
    return Finger(extract(image), image)


def extract(image: Image) -> Template:
    """Its minutiae. Raises AskAgain("finger-poor"), Fault."""
    detect = _detector()
    found: Template = detect.extract(image.pixels, image.dpi)
    return found


def write(path: Path, data: bytes, *, replace: bool) -> None:
    """A new file; with `replace` also in the place of an old one. Raises FileRefused.

    Only a file or a link gives way: what root says by mistake costs no device its name.
    """
    if replace and not _gives_way(path):
        raise FileRefused("finger-file-not-written", str(path), 0, "not a file")
    beside = path.with_name(f".{path.name}.{os.getpid()}") if replace else path
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(beside, flags, 0o600)
    except OSError as error:
        raise _not_written(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if replace:
            beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise _not_written(path, error) from None


def folder(path: Path, *, replace: bool) -> None:
    """A folder of our own for results. Raises FileRefused."""
    try:
        path.mkdir(mode=0o700, exist_ok=replace)
    except OSError as error:
        raise _not_written(path, error) from None


def pillow(name: str) -> Any:  # noqa: ANN401  Pillow is not on every machine: it has no types here
    """A module of Pillow's. Raises Fault("pillow-missing")."""
    try:
        return importlib.import_module(f"PIL.{name}")
    except ImportError:
        raise Fault("pillow-missing") from None


@functools.cache
def _detector() -> Any:  # noqa: ANN401  a module: with libfprint in it, so loaded when needed
    from sdbox_agent.sensor import detect  # noqa: PLC0415

    detect.check_layout()
    return detect


def _gives_way(path: Path) -> bool:
    try:
        kind = path.lstat().st_mode
    except OSError:
        return True  # nothing there, or nothing that could be written: open() will tell
    return stat.S_ISREG(kind) or stat.S_ISLNK(kind)


def _bytes(path: Path) -> bytes:
    """All of a file's. Raises FileRefused, also for what is none: a pipe would never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _refused(path, "not a file")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or "can't be read") from None
    if len(data) > MAX_FILE_BYTES:
        raise _refused(path, "too large")
    return data


def _image(path: Path, data: bytes, dpi: float | None) -> Image:
    says: float | None = None
    if data.startswith(pgm.MAGIC):
        try:
            pixels = pgm.decode(data)
        except DecodeError as error:
            raise _refused(path, str(error)) from None
        _check_size(path, pixels.shape[1], pixels.shape[0])
    else:
        pixels, says = _by_pillow(path, data)
    chosen = dpi or says
    if chosen is None:
        raise AskAgain("resolution-unknown")
    return Image(pixels, chosen)


def _by_pillow(path: Path, data: bytes) -> tuple[NDArray[np.uint8], float | None]:
    pil = pillow("Image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a size that Pillow warns of is none of ours
        try:
            image = pil.open(io.BytesIO(data), formats=_BY_PILLOW)
            _check_size(path, *image.size)  # before a pixel is unpacked
            _check_mode(path, image.mode)
            pixels = np.array(image.convert("L"), dtype=np.uint8)
        except FileRefused:
            raise
        except Exception:  # noqa: BLE001  Pillow raises what it likes at bytes it does not like
            raise _refused(path, "neither a record nor an image") from None
    return pixels, _resolution(image.info.get("dpi"))


def _resolution(said: object) -> float | None:
    """Dots per inch if the image has one such number, in the range fingers are taken at."""
    try:
        x, y = map(float, said)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None
    return float(round(x)) if MIN_DPI <= x <= MAX_DPI and abs(x - y) < 1 else None


def _check_size(path: Path, width: int, height: int) -> None:
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (width, height)):
        raise _refused(path, f"sides are not of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels")


def _check_mode(path: Path, mode: str) -> None:
    if mode not in _GREY:
        raise _refused(path, "neither grey nor colour of 8 bits")


def _refused(path: Path, reason: str) -> FileRefused:
    return FileRefused("finger-file-invalid", str(path), 0, reason)


def _not_written(path: Path, error: OSError) -> FileRefused:
    return FileRefused("finger-file-not-written", str(path), 0, error.strerror or "failed")
