"""Recorded transfers of seven real sensors, replayed to our finger process through their drivers.

libfprint's own test data, one capture each, which the project does not hold: where it is not there,
or umockdev is not, this skips. The device is there before the process starts: that is how a box
meets a new one, and an FpContext that sees one come under umockdev dies.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from sdbox_agent import errors, ipc
from sdbox_agent.errors import AskAgain
from sdbox_agent.profile import schema
from sdbox_agent.sensor.replay import tag_of
from sdbox_agent.sensorkind import SensorKind
from tests.workers.finger_bench import FRAME_KEY, Bench, N, prepare

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared/sensor-recordings"
NAMES = ("aes3500", "egis0570", "elan", "nb1010", "upektc_img", "vfs301", "vfs7552")
# The finger of these recordings is down from the first transfers on: with nb1010 so near to the end
# of the time in which it may not be that it is taken in one run and not in the next.
AT_ONCE = ("aes3500", "upektc_img")
EARLY = {*AT_ONCE, "nb1010"}

pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not here"),
    pytest.mark.skipif(not shutil.which("umockdev-run"), reason="umockdev is not installed"),
]


@dataclass(frozen=True)
class Recording:
    """One sensor's directory: its udev properties, its transfers, the picture they make."""

    directory: Path

    @property
    def command(self) -> tuple[str, ...]:
        """What a program is started by, to find this sensor and no other device."""
        device = (self.directory / "device").read_text()
        transfers = self.directory / "capture.ioctl"
        if transfers.exists():
            node = re.search(r"^E: DEVNAME=(\S+)$", device, re.MULTILINE)
            assert node is not None
            how = ("-i", f"{node[1]}={transfers}")
        else:
            path = re.search(r"^P: (\S+)$", device, re.MULTILINE)
            assert path is not None
            how = ("-p", f"/sys{path[1]}={self.directory / 'capture.pcapng'}")
        return ("umockdev-run", "-d", str(self.directory / "device"), *how, "--")

    @property
    def pixels(self) -> np.ndarray:
        """What libfprint's own test saw."""
        with Image.open(self.directory / "capture.png") as picture:
            return np.array(picture.convert("L"))

    @property
    def kind(self) -> SensorKind:
        """The checked-in one. Its resolution nobody knows: 500 dpi are this test's assumption."""
        name = self.directory.name.replace("_", "-")
        path = ROOT / f"firmware_profiles/sensors/{name}.toml"
        return msgspec.structs.replace(schema.parse_sensor(path.read_bytes()), ppmm=19.7).kind


def replayed(tmp_path: Path, name: str, *, clear: bool = True) -> Bench:
    """`clear`: a finger that is down before the prompt is not taken, as on a box."""
    command = Recording(RECORDINGS / name).command
    environment = {"FP_DEVICE_EMULATION": "1"}
    return Bench(tmp_path, sensor=False, by=command, environment=environment, clear=clear)


@pytest.mark.parametrize("name", NAMES)
def test_a_real_sensors_capture_arrives_pixel_for_pixel_and_is_judged(
    tmp_path: Path, name: str
) -> None:
    recording = Recording(RECORDINGS / name)
    with replayed(tmp_path, name, clear=name not in EARLY) as bench:
        bench.prepared(sensor=recording.kind, captures=1)
        bench.core.send(ipc.Scan(n=N))
        answer = bench.answer()
        assert bench.hints[0] == "place-finger"
        assert bench.tags == [tag_of(FRAME_KEY, recording.pixels)]
        if isinstance(answer, ipc.Failed):
            assert isinstance(errors.error(answer.code), AskAgain)
        else:
            assert isinstance(answer, ipc.ProbeReady)
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_finger_that_is_down_before_the_prompt_is_not_taken(tmp_path: Path, name: str) -> None:
    with replayed(tmp_path, name) as bench:
        bench.prepared(sensor=Recording(RECORDINGS / name).kind, captures=1)
        bench.core.send(ipc.Scan(n=N))
        assert bench.core.receive() == ipc.Hint(n=N, code="lift-and-place")
        assert bench.tags == []


def test_another_sensor_than_the_profiles_is_refused(tmp_path: Path) -> None:
    with replayed(tmp_path, "nb1010") as bench:
        bench.ready()
        bench.core.send(prepare(sensor=Recording(RECORDINGS / "elan").kind))
        assert bench.answer() == ipc.Failed(n=N, code="sensor-foreign")
        assert bench.ended() == 1


def test_fault_50_two_sensors_are_one_too_many(tmp_path: Path) -> None:
    command = Recording(RECORDINGS / "nb1010").command
    with Bench(tmp_path, by=command, environment={"FP_DEVICE_EMULATION": "1"}) as bench:
        assert bench.answer() == ipc.Failed(code="sensor-ambiguous")
        assert bench.ended() == 1
