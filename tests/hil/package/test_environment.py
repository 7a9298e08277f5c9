"""What of the wheels is on a box, and that it tells nothing of where it was compiled."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from hil.package import environment


@pytest.mark.parametrize(
    "name",
    [
        "numpy/_core/tests/test_api.py",
        "systemd/test/test_daemon.py",
        "numpy/__init__.pyi",
        "numpy/_core/_multiarray_tests.cpython-311-x86_64-linux-gnu.so",
        "numpy/_core/include/numpy/arrayobject.h",
        "x/__pycache__/y.cpython-311.pyc",
        "pyscard-2.3.1.dist-info/RECORD",
        "pyscard-2.3.1.dist-info/uv_cache.json",
    ],
)
def test_what_runs_nowhere_is_left_out(name: str) -> None:
    assert environment.is_dropped(name)


@pytest.mark.parametrize(
    "name",
    [
        "numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so",
        "numpy/testing/__init__.py",
        "cryptography-50.0.2.dist-info/METADATA",
        "cryptography-50.0.2.dist-info/licenses/LICENSE",
        "pyroute2.core-0.6.13-py3.11-nspkg.pth",
        "smartcard/scard/_scard.cpython-311-x86_64-linux-gnu.so",
        "latest/contest.py",
    ],
)
def test_what_runs_and_what_licenses_it_stay(name: str) -> None:
    assert not environment.is_dropped(name)


def _compiled(directory: Path) -> Path:
    """One library, with all that a compiler says of the place."""
    directory.mkdir(parents=True)
    source, library = directory / "x.c", directory / "x.so"
    source.write_text("int answer(void) { return 42; }\n")
    linked = "-Wl,--build-id,-z,relro,-z,now"
    command = ["cc", "-g", "-shared", "-fPIC", linked, "-o", library, source]
    subprocess.run(command, check=True)
    return library


@pytest.mark.skipif(not shutil.which("cc"), reason="no compiler")
def test_a_library_is_the_same_wherever_it_was_compiled(tmp_path: Path) -> None:
    libraries = [_compiled(tmp_path / "here"), _compiled(tmp_path / "somewhere/else")]
    assert libraries[0].read_bytes() != libraries[1].read_bytes()
    for library in libraries:
        environment.strip(library)
    assert libraries[0].read_bytes() == libraries[1].read_bytes()
    said = subprocess.check_output(["readelf", "-lnW", libraries[0]], text=True)
    assert "GNU_RELRO" in said
    assert "Build ID" in said
    assert ctypes.CDLL(str(libraries[0])).answer() == 42


def _wheel(site: Path, name: str, tag: str) -> None:
    info = site / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    (info / "RECORD").write_text(f'"{name}/a.so",sha256=x,1\n{name}/b.py,sha256=x,1\n')


def test_what_came_as_source_is_told_from_what_came_compiled(tmp_path: Path) -> None:
    _wheel(tmp_path, "source", "cp311-cp311-linux_x86_64")
    _wheel(tmp_path, "compiled", "cp311-cp311-manylinux_2_28_x86_64")
    _wheel(tmp_path, "pure", "py3-none-any")
    assert environment.compiled_here(tmp_path) == {"source/a.so"}


def test_a_wheel_is_copied_without_its_notes(tmp_path: Path) -> None:
    site = tmp_path / "site"
    _wheel(site, "pure", "py3-none-any")
    (site / "pure").mkdir()
    (site / "pure/b.py").write_text("B = 1\n")
    environment.bare(site, tmp_path / "bare")
    found = {
        path.relative_to(tmp_path / "bare").as_posix()
        for path in (tmp_path / "bare").rglob("*")
        if path.is_file()
    }
    assert found == {"pure/b.py", "pure-1.dist-info/WHEEL"}


def test_what_uv_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "UV", tmp_path / "uv")
    with pytest.raises(environment.NoWheels, match="make setup"):
        environment.bill(None)
    (tmp_path / "uv").write_text("#!/bin/sh\necho 'no x==1 here' >&2\nexit 2\n")
    (tmp_path / "uv").chmod(0o755)
    with pytest.raises(environment.NoWheels, match="no x==1 here"):
        environment.locked(None, tmp_path / "environment")


def test_the_cache_alone_does_or_it_says_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An empty cache and no network: the first wheel that is lacking is named."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(environment.NoWheels, match=r"(?i)network|cache|offline"):
        environment.locked(None, tmp_path / "environment")
