"""What is left behind is named; what was there before, and what has gone, is not."""

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from hil import census
from hil.census import Census, grown, growth_mb


def test_more_of_anything_is_named_and_less_is_not() -> None:
    before = Census({"process a": 1, "file run": 2, "thread of a": 3}, {"a": 10.0, "b": 5.0})
    after = Census({"process a": 2, "file new": 1, "thread of a": 2}, {"a": 12.0, "b": 4.0})
    assert grown(before, after, memory_mb=1.0) == ["file new: 1, was 0", "process a: 2, was 1"]
    assert growth_mb(before, after) == pytest.approx(1.0)
    assert grown(before, after, memory_mb=0.9)[-1] == "memory: +1.0 MB, at most +0.9"
    assert grown(after, before, memory_mb=0) == ["file run: 2, was 0", "thread of a: 3, was 2"]


def test_a_descriptor_and_a_thread_of_a_process_are_counted() -> None:
    process = Path("/proc/self")
    before = census._of("us", process)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with socket.socket(), contextlib.closing(os.fdopen(os.dup(0))):
            after = census._of("us", process)
    finally:
        done.set()
        thread.join()
    assert after["us holds socket:[N]"] == before["us holds socket:[N]"] + 1
    assert after["thread of us"] == before["thread of us"] + 1
    assert sum((after - before).values()) == 3
    assert sys.modules  # the interpreter's own stay


def test_files_are_counted_by_their_names_without_numbers(tmp_path: Path) -> None:
    for name in ("run/a-1", "run/a-22", "run/b", "log/c-1", "log/c-2"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    held = census._files(tmp_path)
    assert held == {
        "file run": 1, "file log": 1, "file link": 1, "file run/a-N": 2, "file run/b": 1,
    }  # fmt: skip


def test_sockets_are_those_under_the_rigs_directory() -> None:
    table = "Num Path\n0: 1 /tmp/x/run/a\n0: 2 @other\n0: 3 /tmp/x/run/b\n"
    assert census._sockets(table, Path("/tmp/x")) == 2
