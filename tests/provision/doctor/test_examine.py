"""Every check on a whole box of files, and on one that is spoilt in one place."""

import datetime as dt
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hil.net.topology import UPLINK, Topology
from sdbox_agent.errors import Fault
from sdbox_agent.identity.place import remember
from sdbox_agent.paths import Paths
from sdbox_agent.profile.load import load_box
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.doctor import finding
from sdbox_agent.provision.doctor.examine import CHECKS, Examination, for_activation
from sdbox_agent.provision.doctor.finding import ACTIVATION, Finding, Result
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.parts import Answer
from sdbox_agent.provision.doctor.places import MARK
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.state import record
from sdbox_agent.tunnel.killswitch import EGRESS, ruleset
from sdbox_agent.tunnel.standing import Standing
from tests.provision.doctor.trees import NOW, RELEASE, grow, spoil

NOWHERE = Path("/nonexistent")


def examine(look: Look, now: dt.datetime = NOW) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {name: [] for name in CHECKS}
    for each in Examination(look, now, NOWHERE).findings():
        found[each.check].append(each)
    return found


def test_a_fit_box_has_nothing_but_what_only_a_running_one_shows(tmp_path: Path) -> None:
    look = grow(tmp_path)
    key = tmp_path / "etc/sdbox/identity/statement.key"
    key.rename(key.with_suffix(".tpm"))  # the profile knows a chip
    for name in ("key", "pem"):  # and its box makes the other in memory
        (key.parent / f"tls.{name}").unlink()
    found = examine(look)
    results = {name: [each.result for each in of] for name, of in found.items()}
    unseen = {name for name, of in results.items() if of == [Result.SKIPPED]}
    assert unseen == {"sockets", "agent", "walls"}
    fine = {name: set(of) for name, of in results.items() if name not in unseen}
    assert all(of == {Result.OK} for of in fine.values()), fine


def test_a_fit_box_may_be_activated(tmp_path: Path) -> None:
    found = for_activation(grow(tmp_path), NOW, NOWHERE)
    assert {each.check for each in found} == ACTIVATION
    finding.permit_activation(found)


@pytest.mark.parametrize(
    ("name", "text", "check", "code"),
    [
        ("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n", "swap", "swap-on"),
        ("etc/fstab", "/dev/sda2 none swap sw 0 0\n", "swap", "swap-on"),
        ("etc/systemd/system/dev-sda2.swap", "[Swap]\n", "swap", "swap-on"),
        ("sys/power/state", "freeze mem disk\n", "hibernation", "hibernation-on"),
        ("proc/sys/kernel/core_pattern", "core\n", "core-dumps", "core-dumps-on"),
        (
            "etc/systemd/journald.conf.d/90-all.conf", "[Journal]\nSystemMaxUse=\n",
            "journal", "journal-unbounded",
        ),
        ("proc/cmdline", "quiet\n", "freed-memory", "freed-memory-kept"),
        (
            "sys/dev/block/253:0/slaves/dm-1/dm/uuid", "LVM-abc\n",
            "data-partition", "data-unencrypted",
        ),
        ("proc/self/mountinfo", "nonsense\n", "data-partition", "not-readable"),
        ("etc/sdbox/box.toml", "v = 2\n", "settings", "config-invalid"),
        ("etc/sdbox/profiles/x.toml", "v = 2\n", "profile", "profile-invalid"),
        ("etc/sdbox/profiles/sensors/elan.toml", None, "profile", "profile-invalid"),
        ("etc/sdbox/profiles/cards/piv-pin.toml", None, "profile", "profile-invalid"),
        ("etc/sdbox/identity/tls.key", None, "identity", "box-identity-missing"),
        ("etc/sdbox/identity", None, "identity", "box-identity-missing"),
        ("etc/sdbox/identity/tls.pem", "text", "identity", "config-invalid"),
        ("etc/sdbox/anchors/desk.pem", None, "anchors", "config-invalid"),
        ("var/lib/sdbox/state.json", "{}", "state", "state-damaged"),
        ("etc/passwd", "", "users", "user-missing"),
        ("usr/lib/systemd/system/sdbox-walls.service", None, "units", "unit-missing"),
        (
            "etc/systemd/system/multi-user.target.wants/sdbox-agent.service", None,
            "units", "unit-not-enabled",
        ),
        ("sys/bus/usb/devices/1-1", None, "reader", "reader-missing"),
        ("sys/bus/usb/devices/1-2", None, "sensor", "sensor-missing"),
        ("sys/bus/usb/devices/1-2/devnum", "x", "sensor", "not-readable"),
        ("etc/reader.conf.d/vpcd", "", "virtual-hardware", "virtual-hardware"),
        ("etc/sdbox/rig", "", "rig-mark", "rig-marked"),
        ("sys/class/tpm", None, "tpm", "tpm-missing"),
        (f"lib/modules/{RELEASE}/modules.dep", "", "wireguard", "wireguard-missing"),
    ],
)  # fmt: skip
def test_what_is_spoilt_in_one_place_is_told(
    tmp_path: Path, name: str, text: str | None, check: str, code: str
) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, name, text)
    assert code in {each.code for each in examine(look)[check]}


@pytest.mark.parametrize(
    ("name", "text", "file"),
    [
        ("etc/sdbox/profile.d/50.toml", "nonsense = 1\n", "profile.d/50.toml:1: nonsense"),
        ("etc/sdbox/profile.d/50.toml", "[reader]\nnames = ['Virtual PCD']\n", "50.toml:2: reader"),
        ("etc/sdbox/profile-set/VERSION", "two", "profile-set/VERSION:1: "),
        ("etc/sdbox/profile-set/cards/other.toml", "v = 1", "profile-set/VERSION:1: not there"),
    ],
)
def test_the_profile_is_judged_as_the_agent_goes_by_it(
    tmp_path: Path, name: str, text: str, file: str
) -> None:
    """With the installed set, what is laid over it, and what no box in the field may have."""
    look = grow(tmp_path)
    spoil(tmp_path, name, text)
    (found,) = examine(look)["profile"]
    assert (found.result, found.code) == (Result.FAILED, "profile-invalid")
    assert file in found.detail


def test_the_set_that_counts_is_named(tmp_path: Path) -> None:
    look = grow(tmp_path)
    shipped = Path(__file__).parents[3] / "firmware_profiles"
    shutil.copytree(shipped, tmp_path / "etc/sdbox/profile-set")
    (tmp_path / "etc/sdbox/profile-set/VERSION").write_text("7\n")
    (found,) = examine(look)["profile"]
    assert (found.result, found.detail) == (Result.OK, "x, elan, 7")
    (tmp_path / "etc/sdbox/profile-set/cards/piv-pin.toml").write_text("v = 9")
    (found,) = examine(look)["profile"]
    assert "profile-set/cards/piv-pin.toml:1: v: " in found.detail
    made = Examination(look, NOW, tmp_path / "newer")
    shutil.copytree(shipped, tmp_path / "newer")
    (tmp_path / "newer/VERSION").write_text("8\n")
    (found,) = made.findings(frozenset({"profile"}))
    assert (found.result, found.detail) == (Result.OK, "x, elan"), "the program's own is newer"


def test_no_link_leads_from_another_box_into_our_own_settings(tmp_path: Path) -> None:
    look = grow(tmp_path / "away")
    ours = tmp_path / "ours"
    (tmp_path / "away/etc/sdbox").rename(ours)
    (tmp_path / "away/etc/sdbox").symlink_to(ours)
    assert {each.code for each in examine(look)["settings"]} == {"not-readable"}
    (tmp_path / "away/etc/sdbox").unlink()
    ours.rename(tmp_path / "away/etc/sdbox")
    (tmp_path / "away/etc/sdbox/profiles").rename(ours)
    (tmp_path / "away/etc/sdbox/profiles").symlink_to(ours)
    found = examine(look)
    assert {each.code for each in found["profile"]} == {"not-readable"}
    assert [each.result for each in found["settings"]] == [Result.OK]


def test_a_check_that_breaks_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = grow(tmp_path)

    def breaks(*_: object) -> None:
        raise RecursionError("of a kind that nobody foresaw")

    monkeypatch.setattr(Look, "names", breaks)
    found = examine(look)
    (identity,) = found["identity"]
    assert (identity.code, identity.detail) == ("not-readable", "RecursionError")
    assert [each.result for each in found["settings"]] == [Result.OK]


def test_without_settings_what_needs_them_is_skipped_and_told_once(tmp_path: Path) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "etc/sdbox/box.toml", None)
    found = examine(look)
    assert [each.code for each in found["settings"]] == ["config-invalid"]
    assert "box.toml" in found["settings"][0].detail
    for name in ("profile", "clock", "reader", "sensor", "virtual-hardware", "wireguard"):
        assert [each.reason for each in found[name]] == ["needs-settings"]


def test_a_key_in_a_file_is_told_where_the_profile_knows_a_chip(tmp_path: Path) -> None:
    look = grow(tmp_path)
    profile = tmp_path / "etc/sdbox/profiles/x.toml"
    profile.write_bytes(profile.read_bytes() + b'\n[tpm]\nversion = "2.0"\n')
    found = examine(look)["identity"]
    assert [each.code for each in found if each.result is Result.WARN] == ["identity-copyable"]
    identity = tmp_path / "etc/sdbox/identity"
    (identity / "statement.key").rename(identity / "statement.tpm")
    for name in ("key", "pem"):  # which would undo what the chip is worth
        told = {each.detail for each in examine(look)["identity"] if each.result is Result.FAILED}
        assert f"/etc/sdbox/identity/tls.{name}" in told
        (identity / f"tls.{name}").unlink()
    assert {each.result for each in examine(look)["identity"]} == {Result.OK}
    spoil(tmp_path, "etc/sdbox/identity/statement.tpm", None)
    assert "box-identity-missing" in {each.code for each in examine(look)["identity"]}


@pytest.mark.parametrize(
    ("machine_id", "disk", "code"),
    [
        ("0" * 32, "disk-1", ""),
        ("0" * 32, "disk-2", "machine-altered"),
        ("1" * 32, "disk-1", "state-copied"),
    ],
)
def test_a_state_of_another_machine_is_told_where_it_would_run(
    tmp_path: Path, machine_id: str, disk: str, code: str
) -> None:
    look = grow(tmp_path)
    nic: dict[record.Fact, frozenset[str]] = {"nic": frozenset({"02:00:00:00:00:01"})}
    facts: dict[record.Fact, frozenset[str]] = {
        "machine-id": frozenset({machine_id}), "disk": frozenset({disk}), **nic,
    }  # fmt: skip
    spoil(tmp_path, "etc/machine-id", "0" * 32)
    for name, number in (("block/vda", "disk-1"), ("class/net/eth0", "02:00:00:00:00:01")):
        what = "serial" if name == "block/vda" else "address"
        for attribute, value in (("removable", "0"), ("addr_assign_type", "0"), (what, number)):
            spoil(tmp_path, f"sys/{name}/{attribute}", value)
        spoil(tmp_path, f"sys/{name}/device/class", "")
    state = record.encode(record.State(known=remember(facts, bytes(32))))
    spoil(tmp_path, "var/lib/sdbox/state.json", state.decode())
    running = Examination(replace(look, live=True), NOW, NOWHERE).findings(frozenset({"state"}))
    assert [each.code for each in running] == [code]
    (still,) = Examination(look, NOW, NOWHERE).findings(frozenset({"state"}))
    assert still.result is Result.OK, "of what does not run, no part can be seen"


def test_nobody_has_allowed_an_unencrypted_disk_where_there_are_no_settings(tmp_path: Path) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "sys/dev/block/253:0/slaves", None)
    assert [each.result for each in examine(look)["data-partition"]] == [Result.WARN]
    finding.permit_activation(for_activation(look, NOW, NOWHERE))
    spoil(tmp_path, "etc/sdbox/box.toml", None)
    assert [each.result for each in examine(look)["data-partition"]] == [Result.FAILED]
    with pytest.raises(Fault, match="box-not-fit"):
        finding.permit_activation(for_activation(look, NOW, NOWHERE))


def test_a_box_that_is_not_activated_has_no_state_and_its_clock_is_judged_all_the_same(
    tmp_path: Path,
) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "var/lib/sdbox", None)
    found = examine(look)
    assert [each.reason for each in found["state"]] == ["not-activated"]
    assert [each.result for each in found["clock"]] == [Result.OK]
    assert [each.result for each in found["disk-space"]] == [Result.OK]


def test_a_damaged_state_is_told_once(tmp_path: Path) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "var/lib/sdbox/state.json", "")
    found = examine(look)
    assert [each.code for each in found["state"]] == ["state-damaged"]
    assert [each.result for each in found["clock"]] == [Result.OK]


def test_a_clock_behind_the_centres(tmp_path: Path) -> None:
    found = examine(grow(tmp_path), NOW - dt.timedelta(hours=1))
    assert [each.code for each in found["clock"]] == ["clock-behind"]


def test_a_disk_image_has_no_kernel_to_ask(tmp_path: Path) -> None:
    look = grow(tmp_path)
    for name in ("proc", "sys"):
        spoil(tmp_path, name, None)
    found = examine(look)
    for name in ("swap", "hibernation", "core-dumps", "freed-memory", "data-partition", "reader"):
        assert [each.reason for each in found[name]] == ["not-running"]
    assert [each.result for each in found["journal"]] == [Result.OK]
    with pytest.raises(Fault, match="box-not-fit"):
        finding.permit_activation(for_activation(look, NOW, NOWHERE))


def test_who_may_not_look_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = grow(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "no", "state.json")

    monkeypatch.setattr(Look, "text", refuse)
    assert [each.reason for each in examine(look)["state"]] == ["needs-root"]


def test_a_fault_of_a_check_is_told_by_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = grow(tmp_path)

    def refuse(*_: object) -> None:
        raise Fault("walls-missing")

    monkeypatch.setattr(Look, "may_ask_about_walls", lambda _: True)
    monkeypatch.setattr(Look, "rules", refuse)
    made = Examination(replace(look, live=True), NOW, NOWHERE).findings(frozenset({"walls"}))
    assert [each.code for each in made] == ["walls-missing"]


def test_walls_are_judged_by_what_nft_and_the_kernel_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = replace(grow(tmp_path), live=True)
    walls = walls_of(load_box(tmp_path / "etc/sdbox"))
    expected = networksheet.Loaded(networksheet._expected(walls), {})
    monkeypatch.setattr(Look, "may_ask_about_walls", lambda _: True)
    monkeypatch.setattr(Look, "rules", lambda _: expected)
    monkeypatch.setattr(Look, "standing", lambda _: Standing((), frozenset({"eth0"})))
    for devices, result in ((("lo", "eth0"), Result.OK), (walls.uplinks, Result.FAILED)):
        monkeypatch.setattr(Look, "devices", lambda _, devices=devices: devices)
        (found,) = Examination(look, NOW, NOWHERE).findings(frozenset({"walls"}))
        assert found.result is result


def test_the_machine_we_run_on_can_be_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: each check ends in a finding, and nothing else."""
    monkeypatch.setattr(Look, "may_ask_about_walls", lambda _: False)
    found = Examination(Look(Path("/"), live=True), NOW, NOWHERE).findings()
    assert {each.check for each in found} == set(CHECKS)
    assert "not-readable" not in {each.code for each in found}


def test_sockets_are_looked_for_where_a_service_manager_runs(tmp_path: Path) -> None:
    grow(tmp_path)
    live = Look(tmp_path, live=True)
    made = Examination(live, NOW, NOWHERE).findings(frozenset({"sockets"}))
    assert [each.reason for each in made] == ["not-running"]
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    made = Examination(live, NOW, NOWHERE).findings(frozenset({"sockets"}))
    assert str(Paths(tmp_path).agent_socket) in {each.detail for each in made}
    assert len(made) == 7


def test_the_mark_of_the_rig_refuses_activation_but_for_the_rigs_own_profile(
    tmp_path: Path,
) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "etc/sdbox/rig", "")

    def refused() -> bool:
        try:
            finding.permit_activation(for_activation(look, NOW, NOWHERE))
        except Fault as error:
            return error.code == "box-not-fit"
        return False

    assert refused()
    spoil(tmp_path, "etc/sdbox/profile.d/60.toml", "[card]\ntest_issuers = true\n")
    assert [each.result for each in examine(look)["rig-mark"]] == [Result.WARN]
    assert not refused()
    spoil(tmp_path, "etc/sdbox/box.toml", "v = 2\n")
    assert refused()
    spoil(tmp_path, "etc/sdbox/box.toml", None)
    assert [each.result for each in examine(look)["rig-mark"]] == [Result.WARN], "not said yet"
    assert str(Paths(tmp_path).rig_mark) == str(tmp_path / MARK)


@pytest.mark.parametrize(
    ("answer", "result", "code"),
    [
        (Answer("idle", None), Result.OK, ""),
        (Answer("open", "centre-timeout"), Result.WARN, "centre-unreachable"),
        (Answer("broken", None), Result.FAILED, "tunnel-not-down"),
        (Fault("agent-unreachable"), Result.FAILED, "agent-unreachable"),
        (PermissionError(), Result.SKIPPED, ""),
    ],
)
def test_the_program_of_a_running_box_is_asked(
    tmp_path: Path, answer: Answer | Exception, result: Result, code: str
) -> None:
    grow(tmp_path)
    asked = []

    def ask(root: Path) -> Answer:
        asked.append(root)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(*, live: bool) -> Finding:
        examination = Examination(Look(tmp_path, live=live), NOW, NOWHERE, ask=ask)
        (found,) = examination.findings(frozenset({"agent"}))
        return found

    assert [told(live=live).reason for live in (True, False)] == ["not-running"] * 2
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert told(live=False).reason == "not-running"
    assert asked == []
    found = told(live=True)
    assert (found.result, found.code, asked) == (result, code, [tmp_path])


@pytest.mark.rig
def test_root_sees_whether_the_walls_stand_and_are_whole(tmp_path: Path) -> None:
    grow(tmp_path)
    file = tmp_path / "etc/sdbox/box.toml"
    named = file.read_text()
    file.write_text(re.sub(r"uplinks = .*", f'uplinks = ["{UPLINK}"]', named))

    with Topology() as topology:

        def told() -> list[tuple[str, str]]:
            examination = Examination(Look(tmp_path, live=True), NOW, NOWHERE)
            made = topology.box.run(lambda: examination.findings(frozenset({"walls"})))
            return [(each.result, each.detail) for each in made]

        assert told() == [("failed", "nft")]
        topology.box.nft(ruleset(walls_of(load_box(file.parent))))
        assert told() == [("ok", UPLINK)]
        topology.box.nft(f"flush chain netdev sdbox {EGRESS}{UPLINK}")
        assert told() == [("failed", UPLINK)]
        topology.box.nft(ruleset(walls_of(load_box(file.parent))))
        topology.box.nft("insert rule inet sdbox output accept")
        assert told() == [("failed", "table inet sdbox")]
        topology.box.nft("delete table netdev sdbox")
        assert told() == [("failed", "nft")]
