"""Swap, hibernation, core dumps, journal, freed memory: as kernel and systemd word them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.provision.doctor import memory
from sdbox_agent.provision.doctor.finding import Result

HEADINGS = "Filename\tType\tSize\tUsed\tPriority\n"
NO_FILE_LIMIT = "Max core file size        0                    unlimited            bytes     \n"
HARD_LIMIT = (
    "Max cpu time  1 1 s\nMax core file size        0                    0             bytes\n"
)
COREDUMP = "|/lib/systemd/systemd-coredump %P %u %g %s %t %c %h"


def test_no_swap_now_and_none_at_the_next_start() -> None:
    fstab = "# /dev/sda3 none swap sw 0 0\nUUID=1 / ext4 defaults 0 1\n\n"
    (fine,) = memory.swap(HEADINGS, fstab, [])
    assert fine.result is Result.OK
    found = memory.swap(
        HEADINGS + "/dev/zram0 partition 1 0 100\n\n",
        fstab + "/swapfile none swap sw 0 0\n",
        ["etc/systemd/system/x.swap"],
    )
    assert [each.detail for each in found] == [
        "/dev/zram0",
        "/etc/fstab: /swapfile",
        "etc/systemd/system/x.swap",
    ]
    assert {(each.result, each.code) for each in found} == {(Result.FAILED, "swap-on")}


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ("freeze mem disk\n", Result.FAILED),
        ("freeze mem\n", Result.OK),
        ("", Result.OK),
        ("diskless", Result.OK),
    ],
)
def test_a_kernel_that_could_hibernate(state: str, result: Result) -> None:
    assert memory.hibernation(state).result is result


@pytest.mark.parametrize(
    ("pattern", "limits", "coredump", "result"),
    [
        ("|/bin/false\n", "", {}, Result.OK),
        ("", "", {}, Result.OK),
        ("core\n", HARD_LIMIT, {}, Result.OK),
        ("core\n", NO_FILE_LIMIT, {}, Result.FAILED),
        ("/var/core.%p", "", {}, Result.FAILED),
        (COREDUMP, HARD_LIMIT, {}, Result.FAILED),  # to a pipe no limit holds
        (COREDUMP, "", {"Storage": "none", "ProcessSizeMax": "0"}, Result.OK),
        (COREDUMP, "", {"Storage": "none"}, Result.FAILED),
        (COREDUMP, "", {"Storage": "journal", "ProcessSizeMax": "0"}, Result.FAILED),
        (
            "|/usr/bin/apport",
            "",
            {"Storage": "none", "ProcessSizeMax": "0"},
            Result.FAILED,
        ),
    ],
)
def test_nobody_keeps_a_core(pattern: str, limits: str, coredump, result: Result) -> None:
    assert memory.core_dumps(pattern, limits, coredump).result is result


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ({}, Result.FAILED),
        ({"SystemMaxUse": "500M"}, Result.OK),
        ({"SystemMaxUse": "1048576"}, Result.OK),
        ({"SystemMaxUse": "4G"}, Result.OK),
        ({"SystemMaxUse": "5G"}, Result.FAILED),
        ({"SystemMaxUse": "0"}, Result.FAILED),
        ({"SystemMaxUse": "much"}, Result.FAILED),
        ({"SystemMaxUse": ""}, Result.FAILED),
        ({"Storage": "volatile", "SystemMaxUse": "500M"}, Result.FAILED),
        ({"Storage": "volatile", "RuntimeMaxUse": "64M"}, Result.OK),
        ({"Storage": "none"}, Result.OK),
    ],
)
def test_a_journal_has_a_bound(said, result: Result) -> None:
    assert memory.journal(said).result is result


@pytest.mark.parametrize(
    ("command_line", "config", "result"),
    [
        ("quiet init_on_free=1\n", "", Result.OK),
        ("init_on_free=on", "", Result.OK),
        ("init_on_free=1 init_on_free=0", "", Result.FAILED),
        ("quiet", "CONFIG_INIT_ON_FREE_DEFAULT_ON=y\n", Result.OK),
        ("init_on_free=0", "CONFIG_INIT_ON_FREE_DEFAULT_ON=y\n", Result.FAILED),
        ("quiet", "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set\n", Result.FAILED),
        ("my_init_on_free=1", "", Result.FAILED),
    ],
)
def test_freed_memory_is_wiped(command_line: str, config: str, result: Result) -> None:
    assert memory.freed_memory(command_line, config).result is result


def test_the_last_word_of_the_right_section_counts() -> None:
    files = (
        "Storage=none\n[Journal]\n#Storage=none\n; Storage=none\nStorage = auto\n\n"
        "SystemMaxUse=1G\n",
        "[Other]\nSystemMaxUse=9G\n[Journal]\nSystemMaxUse=2G\nnonsense\n",
    )
    assert memory.settings(files, "Journal") == {"Storage": "auto", "SystemMaxUse": "2G"}


@given(st.text(), st.text())
def test_whatever_stands_there_is_judged(one: str, other: str) -> None:
    memory.swap(one, other, [])
    memory.hibernation(one)
    memory.core_dumps(one, other, memory.settings([other], "Coredump"))
    memory.journal(memory.settings([one, other], "Journal"))
    memory.journal({"SystemMaxUse": one})
    memory.freed_memory(one, other)
