"""Which partition holds the data, whether it is encrypted, and how full it is."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.audit import outbox
from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor import disk
from sdbox_agent.provision.doctor.finding import Result

MOUNTS = """22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 254:1 / /var rw shared:1 - ext4 /dev/mapper/var rw
24 22 0:40 / /var/lib/sdbox\\040old rw - tmpfs tmpfs rw
25 23 0:41 / /run rw - tmpfs tmpfs rw
26 23 254:2 / /var rw - ext4 /dev/mapper/other rw
"""
ROOM = disk.Room(10 << 30, 1 << 20, 1 << 21, 0)
EXT4 = disk.Mount("/var", 254, 1, "ext4", "/dev/mapper/var")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/var/lib/sdbox", "/dev/mapper/other"),  # mounted over the first
        ("/var", "/dev/mapper/other"),
        ("/variety", "/dev/vda"),
        ("/", "/dev/vda"),
        ("/var/lib/sdbox old/x", "tmpfs"),
    ],
)
def test_the_nearest_mount_holds_it(path: str, source: str) -> None:
    assert disk.mount_of(path, MOUNTS).source == source


@pytest.mark.parametrize(
    "text", ["", "22 1 254:0 / /x rw - ext4 /dev/vda rw", "22", "1 2 a:b / / - x y"]
)
def test_what_is_no_mountinfo_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        disk.mount_of("/var", text)


@given(st.text())
def test_any_mountinfo_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(DecodeError):
        disk.mount_of("/var", text)


def test_encrypted_is_what_dm_crypt_made_wherever_in_the_stack() -> None:
    lvm = (("LVM-abc", "CRYPT-LUKS2-00ff-data"),)
    assert disk.data_partition(EXT4, lvm, "refuse").result is Result.OK
    assert disk.data_partition(EXT4, (("LVM-abc",),), "refuse").result is Result.FAILED
    assert disk.data_partition(EXT4, (), "warn").result is Result.WARN
    memory = replace(EXT4, major=0, kind="tmpfs")
    assert disk.data_partition(memory, (), "refuse").result is Result.OK
    assert (
        disk.data_partition(replace(memory, kind="overlay"), (), "refuse").result is Result.FAILED
    )
    assert disk.data_partition(replace(EXT4, kind="tmpfs"), (), "refuse").result is Result.FAILED
    half = (*lvm, ("LVM-abc",))  # a volume on two disks, one of them as it came
    assert disk.data_partition(EXT4, half, "refuse").result is Result.FAILED
    assert disk.data_partition(EXT4, ((),), "refuse").result is Result.FAILED


@pytest.mark.parametrize(
    ("room", "result"),
    [
        (ROOM, Result.OK),
        (replace(ROOM, free_bytes=64 << 20), Result.WARN),  # the record may still grow
        (replace(ROOM, free_bytes=64 << 20, record_bytes=60 << 20), Result.OK),
        (replace(ROOM, free_bytes=1 << 20), Result.FAILED),
        (replace(ROOM, free_inodes=1000), Result.WARN),
        (replace(ROOM, free_inodes=1), Result.FAILED),
        (replace(ROOM, free_inodes=0, inodes=0), Result.OK),  # btrfs counts none
    ],
)
def test_room_for_all_that_may_still_be_written(room: disk.Room, result: Result) -> None:
    assert disk.disk_space(room).result is result


@pytest.mark.parametrize(
    ("share", "result", "code"),
    [
        (0, Result.OK, ""),
        (0.79, Result.OK, ""),
        (0.81, Result.WARN, "audit-filling"),
        (0.96, Result.FAILED, "audit-full"),
    ],
)
def test_the_record_is_told_before_it_is_full(share: float, result: Result, code: str) -> None:
    found = disk.audit_fill(int(share * outbox.BUDGET_BYTES))
    assert (found.result, found.code) == (result, code)
