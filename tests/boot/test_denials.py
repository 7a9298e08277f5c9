"""What a process that has been taken over may do: a table, unit by act, tried from inside.

Refused is everything, but what JOBS names, each with its reason. The same acts come through for
root whom nothing holds, so that a refusal is the unit's doing.
"""

from pathlib import Path

import pytest

from hil.boot import confinement, probe
from hil.boot.confinement import Told
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from tests.boot.bench import FIGURES, Bench
from tests.waiting import until

ACTS = tuple(act.__name__ for act in probe.ACTS)
UNITS = (
    "sdbox-agent.service",
    "sdbox-card.service",
    "sdbox-carrier@probe.service",
    "sdbox-console.service",
    "sdbox-finger@probe.service",
    "sdbox-tunnel.service",
    "sdbox-walls.service",
    "pcscd.service",
    "sdbox-netns.service",
    "sdbox-renew.service",
)
SOCKETS = "it needs them, and the walls let the centre be reached; it has no key for it"
FOR_NOBODY = {"stranger"}  # the walls refuse it to root, too
JOBS: dict[str, dict[str, str]] = {
    "sdbox-agent.service": {"internet": "it talks to the centre"},
    "sdbox-carrier@probe.service": {"internet": SOCKETS},
    "sdbox-renew.service": {"internet": "it talks to the centre"},
    "sdbox-tunnel.service": {"internet": SOCKETS},
    "sdbox-netns.service": {
        "processes": "root, for three commands, and without a mount namespace: the unit says why",
        "shell": "the same: what may be executed is a matter of mounts",
        "planted": "the same",
        "etc": "the same; it is root who owns it",
        "homes": "the same",
        "mount": "a namespace's name is a mount",
        "sysctl": "the same; it is root who owns it",
    },
}
AT_REST = ("sdbox-agent.service", "sdbox-card.service", "sdbox-console.service")
ENDS = {"sdbox-netns.service", "sdbox-renew.service"}  # by itself
LIVE = tuple(unit for unit in UNITS if "@" not in unit and unit not in ENDS)


@pytest.fixture(scope="module")
def standing(bench: Bench) -> dict[str, dict[str, list[str]]]:
    """How the units' own processes are held, before any is exchanged."""
    bench.whole()
    pids = {unit: until(lambda unit=unit: bench.machine.pid(unit)) for unit in LIVE}
    return {unit: probe.held(f"/proc/{pid}") for unit, pid in pids.items()}


@pytest.fixture(scope="module")
def table(bench: Bench, standing: object) -> dict[str, Told]:
    """Each unit once; the box works again afterwards."""
    confinement.prepare(bench.machine)
    # Nobody is to connect meanwhile: a socket would start what is being exchanged.
    bench.machine.run("systemctl", "stop", *AT_REST)
    found = {unit: confinement.taken_over(bench.machine, unit) for unit in UNITS}
    bench.machine.run("systemctl", "start", *STARTED_AT_BOOT)
    bench.whole()
    _drawn(found)
    return found


def _drawn(found: dict[str, Told]) -> None:
    """For people, in the run's output."""
    heads = [unit.split(".")[0].split("@")[0].removeprefix("sdbox-") for unit in found]
    FIGURES.append(" ".join(f"{word:>12}" for word in ("", *heads)))
    for act in ACTS:
        came = [told.came[act] for told in found.values()]
        FIGURES.append(" ".join(f"{word:>12}" for word in (act, *came)))


@pytest.fixture(scope="module")
def control(bench: Bench, table: object) -> Told:
    return confinement.control(bench.machine)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("unit", UNITS)
def test_an_act_is_refused_or_it_is_the_units_job(
    table: dict[str, Told], unit: str, act: str
) -> None:
    came = table[unit].came[act]
    assert (came == "done") == (act in JOBS.get(unit, {})), came


@pytest.mark.parametrize("act", ACTS)
def test_for_root_whom_nothing_holds_it_comes_through(control: Told, act: str) -> None:
    assert (control.came[act] == "done") == (act not in FOR_NOBODY), control.came[act]


@pytest.mark.parametrize("unit", LIVE)
def test_the_units_own_process_is_held_as_the_probe_was(
    table: dict[str, Told], standing: dict[str, dict[str, list[str]]], unit: str
) -> None:
    assert table[unit].standing == standing[unit]


def test_every_unit_of_ours_is_in_the_table() -> None:
    services = {path.name for path in Path("systemd").glob("*.service")}
    assert {unit.replace("@probe", "@") for unit in UNITS} == services | {"pcscd.service"}
