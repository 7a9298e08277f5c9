"""The house's own rules, as tests: where things stand, what is never in the repository.

Exceptions are written out with their reason, and an exception that is needed no longer is a
failure too: the lists only shrink.
"""

import ast
import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sdbox_agent", "sdbox_centre", "hil")
MAX_LINES = 400
MAX_BYTES = 256 << 10

# Modules without a test file of their own name, and where they are tested all the same.
TESTED_ELSEWHERE = {
    # values and ports: they do nothing by themselves
    "sdbox_agent/pki/oids.py": "tests/pki/test_der.py",
    "sdbox_agent/card/channel.py": "tests/card/contract.py",
    "sdbox_agent/card/token.py": "tests/card/contract.py",
    "sdbox_agent/provision/doctor/places.py": "tests/provision/doctor/test_examine.py",
    "sdbox_agent/provision/setup/places.py": "tests/provision/setup/test_settling.py",
    "sdbox_agent/provision/setup/ports.py": "tests/provision/setup/machine_double.py",
    "sdbox_agent/session/states.py": "tests/session/test_machine.py",
    "sdbox_agent/session/events.py": "tests/session/test_machine.py",
    "sdbox_agent/session/effects.py": "tests/session/test_machine.py",
    "sdbox_agent/biometrics/parameters.py": "tests/biometrics/test_comparison.py",
    "hil/card/faults.py": "tests/hil/card/test_script.py",
    "hil/card/insertion.py": "tests/hil/card/test_vpcd.py",
    "hil/card/memory.py": "tests/hil/card/test_applet.py",
    "hil/net/topology.py": "tests/hil/net/test_namespace.py",
    # one machine in several files: explored whole
    "sdbox_agent/session/person.py": "tests/session/test_machine.py",
    "sdbox_agent/session/tunnelling.py": "tests/session/test_machine.py",
    "sdbox_agent/identity/port.py": "tests/identity/key_contract.py",
    # one concept, tested where it is used
    "sdbox_agent/centre/deadline.py": "tests/centre/test_https.py",
    "sdbox_centre/clocks.py": "tests/sdbox_centre/rig_gateway.py",
    "sdbox_centre/standing.py": "tests/sdbox_centre/test_gateway.py",
    "sdbox_centre/core.py": "tests/sdbox_centre/test_sessions.py",
    "sdbox_centre/boots.py": "tests/sdbox_centre/test_link.py",
    "sdbox_centre/migrations/env.py": "tests/sdbox_centre/test_schema.py",
    "sdbox_agent/card/looks.py": "tests/card/test_presence.py",
    "sdbox_agent/terminal.py": "tests/test_prompt.py",
    "sdbox_centre/staff/making.py": "tests/sdbox_centre/staff/test_office.py",
    "sdbox_centre/staff/station.py": "tests/sdbox_centre/staff/test_commands.py",
    "sdbox_centre/staff/verbs.py": "tests/sdbox_centre/staff/test_commands.py",
    "hil/staff.py": "tests/sdbox_centre/staff/test_office.py",
    "sdbox_centre/rows.py": "tests/sdbox_centre/test_sessions.py",
    "sdbox_centre/tables.py": "tests/sdbox_centre/test_store.py",
    "sdbox_centre/wireguard.py": "tests/sdbox_centre/rig_peers.py",
    "hil/tpm.py": "tests/identity/chip.py",
    "hil/card/slot.py": "tests/hil/card/test_vpcd.py",
    "hil/finger/libfprint_child.py": "tests/hil/finger/test_judge.py",
    "hil/net/carrier.py": "tests/workers/test_carrier.py",
    "hil/net/carrier_bench.py": "tests/hil/test_bench.py",
    "hil/net/attack.py": "tests/hil/test_attacks.py",
    "hil/net/rogue.py": "tests/hil/test_attacks.py",
    "hil/net/forge.py": "tests/hil/net/test_packet.py",
    "hil/net/helper.py": "tests/workers/test_tunnel.py",
    "hil/net/linux.py": "tests/hil/net/test_namespace.py",
    "hil/net/peer.py": "tests/workers/test_tunnel.py",
    # commands: what they call is tested, and the rig runs them
    "sdbox_agent/__main__.py": "hil/box.py",
    "sdbox_centre/__main__.py": "tests/sdbox_centre/rig_processes.py",
    "hil/launch/__main__.py": "hil/rig.py",
    "hil/demo.py": "Makefile",
    "hil/bench_cards.py": "tests/hil/test_bench.py",
    "hil/bench_entry.py": "tests/hil/test_bench.py",
    "hil/bench_figures.py": "tests/hil/test_bench.py",
    "hil/bench_idle.py": "tests/hil/test_bench.py",
    "hil/bench_processes.py": "tests/hil/test_bench.py",
    "hil/bench_psk.py": "tests/hil/test_bench.py",
    "hil/bench_reader.py": "tests/hil/test_bench.py",
    "hil/bench_rounds.py": "tests/hil/test_bench.py",
    "hil/real/enrol.py": "tests/hil/real/test_main.py",
    "hil/real/robot.py": "tests/hil/real/test_main.py",
    "hil/real/scenarios.py": "tests/hil/real/test_main.py",
    "hil/finger/survey.py": "hil/finger/judge.py",
    "hil/launch/wire.py": "tests/hil/launch/test_manager.py",
    "hil/load/__main__.py": "tests/hil/load/test_step.py",
    "hil/load/box.py": "tests/hil/load/test_step.py",
    "hil/load/clients.py": "tests/hil/load/test_step.py",
    "hil/load/crowd.py": "tests/hil/load/test_step.py",
    "hil/net/bench.py": "tests/hil/test_bench.py",
    "hil/net/by_hand.py": "tests/hil/test_bench.py",
    "hil/net/life_bench.py": "tests/hil/test_bench.py",
    "hil/net/stand.py": "tests/hil/net/test_campaign.py",
    "hil/net/throughput.py": "tests/hil/test_bench.py",
    "hil/net/flood.py": "hil/net/bench.py",
    # a booted box
    "hil/boot/box.py": "tests/boot/test_start.py",
    "hil/boot/rig.py": "tests/boot/test_session.py",
}
# Required, and being written: their line goes when their test file has come.
AWAITED = {
    "hil/box.py",
    "hil/centre.py",
    "hil/issuing.py",
    "hil/operator.py",
    "hil/rig.py",
    "hil/scenarios/session.py",
}
# Test files that are about no module of the same name.
STORIES = {
    "tests/provision/setup/test_power_cuts.py",  # setup's steps together, and every cut of them
    "tests/test_house.py",
    "tests/test_contracts.py",
    "tests/sdbox_centre/test_races.py",  # rows.py, sessions.py, tunnels.py: two processes at once
    "tests/sdbox_centre/test_no_receipt.py",  # gateway.py: a peer without one, however tried
    "tests/test_faults.py",  # tests/faults.py
    "tests/pki/test_one_form.py",  # faults 27 to 41, where they are of no one module
    "tests/pki/test_every_byte.py",  # fault 35, on everything that is signed or sealed
    "tests/pki/test_one_error.py",  # what is seen of a reference that does not open
    "tests/fuzz/test_run.py",  # tests/fuzz/run.py and cover.py
    "tests/fuzz/test_structure.py",  # tests/fuzz/structure.py
    "tests/pki/test_reference_others.py",  # reference.py: asn1crypto and OpenSSL on the same
    "tests/pki/test_second_opinion.py",  # another verifier's, of grown cards
    "tests/state/test_histories.py",  # every file of the box's, through whole lives of it
    "tests/systemd/test_units.py",  # systemd/
    "tests/systemd/test_pcscd.py",  # systemd/pcscd.*.d: on Debian's own unit files
    "tests/systemd/test_users.py",  # systemd/: sysusers.d and tmpfiles.d
    "tests/systemd/test_centre.py",  # systemd/centre/
    "tests/udev/test_rules.py",  # udev/70-sdbox.rules
    "tests/udev/test_readers.py",  # udev/71-sdbox-readers.rules
    "tests/session/test_dialogues.py",  # one user story each
    "tests/session/test_planted.py",  # faults in the machine, which must be found
    "tests/provision/test_preflight_form.py",  # preflight.py: what it prints, and a real network
    "tests/card/test_pkcs11_faults.py",  # what goes wrong with a card behind a library
    "tests/biometrics/test_separation.py",  # detector and matcher together
    "tests/sdbox_centre/test_forged_rows.py",  # whoever has the database, and no staff card
    "tests/card/test_conversation_person.py",  # conversation.py: fingers and PINs
    "tests/card/test_service_person.py",  # service.py: the same
    "tests/card/test_service_ends.py",  # service.py: how a session ends
    "tests/workers/test_card_process.py",  # the worker as a process
    "tests/workers/test_card_person.py",  # workers/card.py: PINs, and how long a failure takes
    "tests/workers/test_card_silence.py",  # workers/card.py: a card that is mute or slow
    "tests/workers/test_tunnel_grants.py",  # workers/tunnel.py: what the centre may not grant
    "tests/tunnel/test_killswitch_wire.py",  # killswitch.py: what is bound to the cable
    "tests/workers/test_tunnel_session.py",  # the session's namespace, from inside and from afar
    "tests/workers/test_tunnel_walls.py",  # workers/tunnel.py and workers/walls.py together
    "tests/workers/test_tunnel_path.py",  # workers/tunnel.py: what the way there does
    "tests/workers/test_tunnel_kills.py",  # workers/tunnel.py: any two, in every state
    "tests/workers/test_tunnel_clock.py",  # workers/tunnel.py: fault 85
    "tests/workers/test_tunnel_deaths.py",  # workers/tunnel.py: whoever dies, whenever
    "tests/centre/test_faults.py",  # 67 to 70, for the box's client
    "tests/centre/test_faults_elsewhere.py",  # 71 to 75
    "tests/sdbox_centre/test_hostile.py",  # 67 to 75, for the centre
    "tests/sdbox_centre/test_deliveries.py",  # core.py: what is traced of them
    "tests/hil/test_stolen_database.py",  # and a rogue centre over it
    "tests/hil/test_deliveries.py",  # both ends of a receipt of delivery
    "tests/hil/card/test_opensc.py",  # a third party's opinion
    "tests/hil/card/test_yubico.py",  # another's
    "tests/hil/card/test_pcsc.py",  # through a real pcscd
}
RIG_STORIES = {"tests/hil/", "tests/boot/"}  # test files directly in them tell of a whole rig
# Longer than allowed, with the length beyond which they may not grow any more.
TOO_LONG = {
    "sdbox_agent/provision/preflight.py": 590,  # a host's IT is given one file
    "sdbox_agent/ipc.py": 560,  # every message between our processes, on one page
    "sdbox_agent/provision/doctor/examine.py": 405,  # every check, in its order
    "tests/sdbox_centre/test_sessions.py": 580,
    "tests/provision/doctor/test_examine.py": 420,  # every check on one page
    "tests/test_house.py": 430,  # its lists grow with the tree
}

IMAGES_AND_TEMPLATES = {
    "PNG": re.compile(rb"\x89PNG\r\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "JPEG 2000": re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"),
    "WSQ": re.compile(rb"\xff\xa0\xff[\xa4\xa8]"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II\*\x00|MM\x00\*"),
    "BMP": re.compile(rb"BM.{4}\x00\x00\x00\x00", re.DOTALL),
    "portable map": re.compile(rb"P[1-6]\s+(#[^\n]*\n)*\d+\s+\d+\s"),
    "ISO/IEC 19794 record": re.compile(rb"F[MI]R\x00"),
    "libfprint print": re.compile(rb"FP[123]\x00"),
    "minutiae list": re.compile(rb"(?:\d+ \d+ \d+ \d+\r?\n){12}"),
    "gzip": re.compile(rb"\x1f\x8b"),
    "zip": re.compile(rb"PK\x03\x04"),
}
KEYS_AND_CERTIFICATES = {
    "PEM": re.compile(rb"-----BEGIN [A-Z0-9 ]+-----\s+[A-Za-z0-9+/=]{16}"),
    "OpenSSH key": re.compile(
        rb"(?:ssh-(?:rsa|ed25519)|ecdsa-sha2-nistp\d+) AAAA[A-Za-z0-9+/]{20}"
    ),
    "base64 of DER": re.compile(rb"MII[A-Za-z0-9+/]{61}"),
    "DER": re.compile(rb"\A\x30[\x81-\x83]"),
}
NAMES = re.compile(
    r"\.(png|jpe?g|gif|bmp|tiff?|p[gbpn]m|wsq|jp2|iso|fmr|fir|xyt|ist|an2|raw|pem|key|crt|cer|der"
    r"|p12|pfx|p8|jks|kdbx|ppk|csr|crl|p7[a-z]|gz|zip|xz|bz2|tar|sqlite3?|db)$",
    re.IGNORECASE,
)
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:work|home|root|Users|mnt|media|srv)/[\w.-]+")


def tracked() -> list[str]:
    """Every file of the repository, those not yet committed too."""
    listed = subprocess.check_output(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
    )
    return sorted(
        name
        for name in listed.decode().split("\0")
        if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()
    )


if not (ROOT / ".git").exists():
    pytest.skip("not a clone: nothing says what is in the repository", allow_module_level=True)
FILES = tracked()
SOURCES = [
    name
    for name in FILES
    if name.startswith(tuple(f"{package}/" for package in PACKAGES))
    and name.endswith(".py")
    and not name.endswith("/__init__.py")
    and not name.startswith(
        "sdbox_centre/migrations/versions/"
    )  # tests/sdbox_centre/test_openapi.py
]
TESTS = [name for name in FILES if re.fullmatch(r"tests/(.*/)?test_\w+\.py", name)]
FUZZ = [Path(name).stem for name in FILES if re.fullmatch(r"tests/fuzz/fuzz_\w+\.py", name)]


def expected_test(source: str) -> str:
    """The test file a module should have."""
    path = Path(source.removeprefix("sdbox_agent/"))
    stem = {"__main__": "main"}.get(path.stem, path.stem)
    return str(Path("tests") / path.with_name(f"test_{stem}.py"))


def findings(name: str, data: bytes) -> list[str]:
    """What in a file must not be in a repository."""
    found = [kind for kind, pattern in IMAGES_AND_TEMPLATES.items() if pattern.match(data)]
    found += [kind for kind, pattern in KEYS_AND_CERTIFICATES.items() if pattern.search(data)]
    if NAMES.search(name):
        found.append("a name of such a file")
    try:
        if "\0" in data.decode("utf-8"):
            found.append("NUL bytes")
    except UnicodeDecodeError:
        found.append("not text")
    if len(data) > MAX_BYTES:
        found.append("too large")
    return found


def test_git_lists_this_repository() -> None:
    assert "tests/test_house.py" in FILES
    assert len(SOURCES) > 100


# -- one concept, one file, one test file of the same name -----------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_a_module_has_its_test_file(source: str) -> None:
    exists = (ROOT / expected_test(source)).exists()
    if source in AWAITED:
        return
    elsewhere = TESTED_ELSEWHERE.get(source)
    assert exists != bool(elsewhere), (
        f"write {expected_test(source)}" if not exists else f"strike {source} from TESTED_ELSEWHERE"
    )
    assert elsewhere is None or (ROOT / elsewhere).is_file()


@pytest.mark.parametrize("test", TESTS)
def test_a_test_file_is_about_a_module(test: str) -> None:
    if str(Path(test).parent) + "/" in RIG_STORIES or test in STORIES:
        return
    assert test in {expected_test(source) for source in SOURCES}, (
        "no module of that name: mend, or STORIES"
    )


def test_no_exception_names_what_is_gone() -> None:
    assert set(SOURCES) >= TESTED_ELSEWHERE.keys() | AWAITED
    assert not TESTED_ELSEWHERE.keys() & AWAITED
    assert {test for test in STORIES if not (ROOT / test).is_file()} == set()


def test_no_file_is_too_long() -> None:
    lengths = {
        name: len((ROOT / name).read_bytes().splitlines())
        for name in FILES
        if name.endswith(".py")  # a table may be as long as what it lists
    }
    assert {n: length for n, length in lengths.items() if length > TOO_LONG.get(n, MAX_LINES)} == {}
    assert [name for name in TOO_LONG if lengths.get(name, 0) <= MAX_LINES] == [], "strike them"


# -- what is never in the repository ---------------------------------------------------------------


def test_no_finger_key_or_certificate_is_in_it() -> None:
    found = {name: findings(name, (ROOT / name).read_bytes()) for name in FILES}
    assert {name: what for name, what in found.items() if what} == {}


def _portable_map() -> bytes:
    return b"P5\n# made\n4 4\n255\n" + bytes(16)


@pytest.mark.parametrize(
    "planted",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        _portable_map(),
        b"FMR\0 20\0",
        b"FP3" + b"\0",
        b"10 20 90 50\n" * 12,
        b"-----BEGIN " + b"CERTIFICATE-----\n" + b"A" * 64,
        b"-----BEGIN " + b"EC PRIVATE KEY-----\n" + b"A" * 64,
        b"x = '-----BEGIN " + b"PRIVATE KEY-----\n" + b"A" * 64,
        b'KEY = "' + b"M" + b"II" + b"B" * 64,
        b"\x30\x82\x01\x00",
        b"ssh-" + b"ed25519 AAAA" + b"C" * 30,
        "caf\u00e9".encode("latin-1"),
        b"a" * (MAX_BYTES + 1),
    ],
)
def test_the_search_finds_what_is_planted(planted: bytes) -> None:
    assert findings("tests/innocent.txt", planted)


def test_the_search_finds_a_name_and_leaves_the_innocent() -> None:
    assert findings("tests/finger.png", b"text")
    assert findings("tests/a.iso", b"text")
    assert findings("tests/innocent.py", b'PEM = "-----BEGIN CERTIFICATE-----"\n') == []


def test_no_path_of_one_machine_is_in_it() -> None:
    found = {name: MACHINE_PATHS.findall((ROOT / name).read_text("utf-8")) for name in FILES}
    assert {name: paths for name, paths in found.items() if paths} == {}


@pytest.mark.parametrize(
    "path", ["/home" + "/somebody/x", "cd /work" + "/main", '"/root' + '/.ssh"']
)
def test_the_search_finds_a_path_of_one_machine(path: str) -> None:
    assert MACHINE_PATHS.search(path)


# -- the fuzz targets ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUZZ)
def test_a_fuzz_target_takes_its_own_seeds_and_rubbish(name: str) -> None:
    module = importlib.import_module(f"tests.fuzz.{name}")
    assert module.SEEDS
    for data in (*module.SEEDS, b"", b"\0", b"\xff" * 64, b"{}", bytes(300)):
        assert module.target(data) is None


# -- the lists in pyproject.toml agree -------------------------------------------------------------


def _pyproject() -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]


def _rule_modules() -> Iterator[str]:
    for contract in _pyproject()["importlinter"]["contracts"]:
        if contract["name"].startswith("rule modules"):
            yield from contract["source_modules"]


def test_every_rule_module_is_in_the_coverage_gate() -> None:
    gate = _pyproject()["coverage"]["report"]["include"]
    for module in _rule_modules():
        path = ROOT / module.replace(".", "/")
        wanted = [path.with_suffix(".py")] if not path.is_dir() else list(path.glob("*.py"))
        for file in wanted:
            assert any(file.relative_to(ROOT).match(pattern) for pattern in gate), file


def test_the_coverage_gate_names_files_that_are_there() -> None:
    for pattern in _pyproject()["coverage"]["report"]["include"]:
        assert list(ROOT.glob(pattern)), pattern


def test_a_line_is_left_out_of_coverage_only_with_its_reason() -> None:
    for name in SOURCES:
        for line in (ROOT / name).read_text("utf-8").splitlines():
            if "pragma: no" in line:
                assert re.search(r"# pragma: no (branch|cover)  \(.+\)$", line), (name, line)


def test_a_door_says_so() -> None:
    """A module of the agent that touches a device library names itself a door."""
    libraries = {"smartcard", "pkcs11", "gi", "pyudev", "systemd", "pyroute2", "httpx"}
    for name in (name for name in SOURCES if name.startswith("sdbox_agent/")):
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        imported = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if imported & libraries:
            assert "[door]" in (ast.get_docstring(tree) or ""), (name, imported & libraries)
