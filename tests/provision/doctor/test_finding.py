"""What a finding says, what all come to, and what activation asks."""

import json
import os
import re
from pathlib import Path

import pytest

from sdbox_agent import errors, screen
from sdbox_agent.errors import Fault
from sdbox_agent.provision.doctor import finding
from sdbox_agent.provision.doctor.examine import CHECKS
from sdbox_agent.provision.doctor.finding import ACTIVATION, STATUS, Result

FINE = tuple(finding.ok(name) for name in sorted(ACTIVATION))
SWAP = finding.failed("swap", code="swap-on", detail="/dev/sda2")


def test_the_worst_decides_and_what_nobody_looked_at_does_not() -> None:
    warned = finding.warn("clock", code="clock-drifting")
    unseen = finding.skipped("walls", "needs-root")
    assert STATUS[finding.worst([])] == STATUS[finding.worst([unseen, *FINE])] == 0
    assert STATUS[finding.worst([unseen, warned, *FINE])] == 1
    assert STATUS[finding.worst([SWAP, warned, *FINE])] == 2


def test_activation_wants_each_of_its_checks_made_and_none_failed() -> None:
    finding.permit_activation(FINE)
    finding.permit_activation((*FINE, finding.failed("walls", code="walls-missing")))
    finding.permit_activation((*FINE[1:], finding.warn(FINE[0].check, code="data-unencrypted")))
    unseen = finding.skipped(FINE[0].check, "not-running")
    for wrong in ((*FINE, SWAP), FINE[1:], (), (unseen, *FINE[1:])):
        with pytest.raises(Fault, match="box-not-fit"):
            finding.permit_activation(wrong)


def test_troubles_or_none() -> None:
    assert finding.whole("swap", [SWAP]) == (SWAP,)
    assert finding.whole("swap", [], "x") == (finding.ok("swap", "x"),)


def test_json_has_the_words_of_both_languages() -> None:
    told = json.loads(finding.as_json((SWAP, finding.skipped("walls", "needs-root"), *FINE)))
    assert (told["v"], told["result"]) == (1, "failed")
    swap, walls, *others = told["checks"]
    assert (swap["check"], swap["code"], swap["detail"]) == ("swap", "swap-on", "/dev/sda2")
    for words in ("title", "sentence", "remedy"):
        assert set(swap[words]) == set(errors.LANGUAGES)
    assert (walls["result"], walls["reason"]) == ("skipped", "needs-root")
    assert set(walls["why"]) == set(errors.LANGUAGES)
    assert {each["result"] for each in others} == {"ok"}


def test_no_name_on_a_disk_is_a_command_or_stops_the_report() -> None:
    """A core that was taken over names its files as it likes; root reads of them on a terminal."""
    name = os.fsdecode(b"\xff\x1b[2J") + "\u009b31m\u202e\n" + "x" * 5000
    found = (finding.failed("files", code="file-exposed", detail=name),)
    shown = "?" * 2 + "[2J" + "?" + "31m" + "??"
    (row,) = json.loads(finding.as_json(found).decode())["checks"]
    assert row["detail"].startswith(f"{shown}xxx")
    assert len(row["detail"]) == finding.MOST_CHARACTERS
    line, *_ = finding.text(found, "fr")
    assert f"({shown}xxx" in line


def test_a_person_reads_what_to_do_once_for_all_of_one_kind() -> None:
    found = (SWAP, finding.failed("swap", code="swap-on", detail="/swapfile"), *FINE)
    lines = list(finding.text(found, "en"))
    assert lines[:2] == ["failed   No swap (/dev/sda2)", "failed   No swap (/swapfile)"]
    assert lines[2].strip() == errors.render("swap-on", "en")
    assert lines[-1] == f"ok {len(FINE)}, warning 0, failed 2, skipped 0"
    french = "\n".join(finding.text((finding.skipped("walls", "needs-root"),), "fr"))
    assert "non vu   Règles réseau (il faut être root)" in french


def test_every_check_reason_and_result_has_words_and_no_other_name() -> None:
    folder = Path(finding.__file__).parent
    sources = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    reasons = set(re.findall(r'skipped\(\w+|"(?:\w|-)+", "([a-z-]+)"\)', sources)) - {""}
    reasons |= set(re.findall(r'skipped\((?:name|"[a-z-]+"), "([a-z-]+)"\)', sources))
    said = set(screen.table()["doctor"])
    assert said >= set(CHECKS) | {result.value for result in Result}
    assert said - set(CHECKS) - {result.value for result in Result} <= reasons
    assert set(CHECKS) >= ACTIVATION


def test_every_code_of_doctor_is_an_operators_to_mend() -> None:
    folder = Path(finding.__file__).parent
    codes = {
        code
        for path in folder.glob("*.py")
        for code in re.findall(r'code="([a-z-]+)"', path.read_text("utf-8"))
    }
    assert len(codes) > 25
    assert {errors.explain(code).call for code in codes} == {"operator"}
