"""The worker as a box starts it: a process under its own uid, real pcscd, virtual card.

The core is this test (uid 0); the finger process and the stranger are processes of their own.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import ipc
from sdbox_agent.card import pcsc
from sdbox_agent.statements import jws
from sdbox_agent.workers.card import EXIT_CONFIG, EXIT_MUTE
from tests.card.test_conversation import point_of
from tests.card.test_service import KINDS, statement
from tests.waiting import PATIENCE_S, until
from tests.workers.test_card import Bench, ended, listener

pytest.importorskip("hil.pcscd")

from hil.card.card import PivCard
from hil.card.faults import MuteAt, SlowBy
from hil.card.slot import Slot
from hil.net.process import CODE, PYTHON, REPOSITORY
from hil.pcscd import Pcscd
from tests.card.double import certificate_of
from tests.card.test_pcsc import Seen, new_card
from tests.memory import Search

pytestmark = pytest.mark.rig
ROOT = Path(__file__).parents[2]
CARD_UID, FINGER_UID, PROMPT_UID, STRANGER_UID = 61002, 61003, 61006, 61999
CARD = new_card()

CLIENT = """
import sys
from pathlib import Path
from sdbox_agent import ipc
try:
    channel = ipc.connect(Path(sys.argv[1]), ipc.Unwrapped | ipc.Failed, int(sys.argv[2]))
    channel.sock.settimeout(30)
    channel.send(ipc.Unwrap(n=7, algorithm="ecdh", blob=bytes.fromhex(sys.argv[3])))
    answer = channel.receive()
    print(answer.key.hex() if isinstance(answer, ipc.Unwrapped) else answer.code)
except ipc.Closed:
    print("shut out")
"""


def as_uid(uid: int, *command: str) -> list[str]:
    """Run by that user, who sees the code at CODE: he may not reach the directory itself."""
    identity = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--pdeathsig", "KILL"]
    seen = f'mount --rbind "{REPOSITORY}" {CODE} && cd {CODE} && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", seen, "sh"]
    return [*private, "setpriv", *identity, *command]


class Worker:
    """The process, and this test as its core."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.directory = directory
        sockets = [listener(directory / name) for name in ("core", "finger", "pin")]
        for name in ("core", "finger", "pin"):
            (directory / name).chmod(0o666)
        # As systemd does it: descriptors from 3 on, and LISTEN_PID the process itself.
        passing = 'exec 3<&"$1" 4<&"$2" 5<&"$3"; shift 3; LISTEN_FDS=3 LISTEN_PID=$$ exec "$@"'
        command = [PYTHON, "-B", "-m", "sdbox_agent.workers.card", "--root", "/"]
        command += ["--core-uid", "0", "--finger-uid", str(FINGER_UID)]
        command += ["--prompt-uid", str(PROMPT_UID)]
        numbers = [str(sock.fileno()) for sock in sockets]
        self.process = subprocess.Popen(
            as_uid(CARD_UID, "bash", "-c", passing, "worker", *numbers, *command),
            cwd=ROOT,
            env={**os.environ, **Pcscd.shared().environment},
            pass_fds=[sock.fileno() for sock in sockets],
            stderr=subprocess.PIPE,
        )
        for sock in sockets:
            sock.close()
        self.core: ipc.Channel = ipc.connect(directory / "core", ipc.FromCard, CARD_UID)
        self.core.sock.settimeout(PATIENCE_S)

    def until(self, kind: type[ipc.Message]) -> ipc.Message:
        """The next message of that kind; others are readers and cards coming and going."""
        while True:
            told = self.core.receive()
            if isinstance(told, kind):
                return told
            assert isinstance(told, ipc.ReadersChanged | ipc.Inserted | ipc.Removed), told

    def ask(self, uid: int, door: str, blob: bytes) -> str:
        command = [PYTHON, "-B", "-c", CLIENT, str(self.directory / door), str(CARD_UID)]
        done = subprocess.run(
            as_uid(uid, *command, blob.hex()),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        return done.stdout.strip()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        self.core.close()
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()
        self.process.stderr.close()
        return status


@pytest.fixture
def worker() -> Iterator[Worker]:
    Pcscd.shared()
    # Not tmp_path: pytest closes that to other users.
    with tempfile.TemporaryDirectory(prefix=f"sdbox-card-{os.getpid()}-") as directory:
        made = Worker(Path(directory))
        made.core.send(ipc.Watch())
        try:
            yield made
        finally:
            if made.process.returncode is None:
                made.process.kill()
                made.wait()


@pytest.fixture
def slot() -> Iterator[Slot]:
    taken = Pcscd.shared().reader(2)
    yield taken
    taken.remove()
    seen = Seen(pcsc)
    seen.gone(taken)  # the next test finds an empty reader
    seen.watcher.stop()


def opened(
    worker: Worker, slot: Slot, *faults: object, n: int = 7, card: PivCard = CARD
) -> ipc.Opened:
    slot.insert(card, faults)
    told = worker.until(ipc.Inserted)
    while told.reader != slot.reader_name:  # another test's card, in the reader it has just left
        told = worker.until(ipc.Inserted)
    assert isinstance(told, ipc.Inserted)
    worker.core.send(ipc.OpenCard(n=n, insertion=told.insertion, kinds=KINDS))
    shown = worker.until(ipc.Opened)
    assert isinstance(shown, ipc.Opened)
    return shown


def test_a_session_under_its_own_uid(worker: Worker, slot: Slot) -> None:
    shown = opened(worker, slot)
    assert shown.guid == CARD.guid.bytes
    for typ, key, der in (("proof", "9E", shown.card_auth), ("receipt", "9A", shown.auth)):
        worker.core.send(statement(typ, key))
        signed = worker.until(ipc.Signed)
        message = jws.assemble(signed.payload, [(signed.protected, signed.signature)])
        jws.open_statement(typ, message, [der])
    mine = ec.generate_private_key(ec.SECP256R1())
    point = point_of(mine)
    assert worker.ask(FINGER_UID, "finger", point) == "not-allowed", "without a grant"
    worker.core.send(ipc.GrantUnwrap(n=7))
    assert worker.ask(STRANGER_UID, "finger", point) == "shut out"
    assert worker.ask(FINGER_UID, "core", point) == "shut out"
    public = CARD.public_keys()["9D"]
    assert worker.ask(FINGER_UID, "finger", point) == mine.exchange(ec.ECDH(), public).hex()
    assert worker.ask(FINGER_UID, "finger", point) == "not-allowed", "a second time"
    slot.remove()
    assert isinstance(worker.until(ipc.Removed), ipc.Removed)
    assert worker.end() == 0
    assert worker.errors == b""


PIN_CARD = PivCard.create(
    algorithms={"9A": "P-256", "9D": "P-256", "9E": "P-256"}, pin="86420975", pin_policy="once"
)
PIN_CARD.install({name: certificate_of(public) for name, public in PIN_CARD.public_keys().items()})
GIVE = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as prompt:
    prompt.settimeout(30)
    prompt.connect(sys.argv[1])
    prompt.send(bytes.fromhex(sys.argv[2]))
    print(prompt.recv(9).hex())
"""


def give_pin(worker: Worker, uid: int, digits: bytes, n: int) -> str:
    request = n.to_bytes(4) + b"\0" + digits.ljust(8, b"\xff")
    command = [PYTHON, "-B", "-c", GIVE, str(worker.directory / "pin"), request.hex()]
    done = subprocess.run(
        as_uid(uid, *command),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout.strip()


def test_a_pin_opens_the_card_and_stays_nowhere(worker: Worker, slot: Slot) -> None:
    """From the prompt's uid alone; afterwards no copy is left in the process."""
    opened(worker, slot, card=PIN_CARD)
    worker.core.send(statement("receipt", "9A"))
    assert worker.until(ipc.Failed).code == "card-key-refused"
    slot.remove()
    worker.until(ipc.Removed)
    shown = opened(worker, slot, n=8, card=PIN_CARD)
    assert shown.pin_left == 5
    worker.core.send(ipc.GrantPin(n=8))
    assert give_pin(worker, FINGER_UID, b"86420975", 8) == ""
    assert give_pin(worker, PROMPT_UID, b"13579135", 8) == "0104"
    assert worker.until(ipc.PinRefused).left == 4
    worker.core.send(ipc.GrantPin(n=8))
    assert give_pin(worker, PROMPT_UID, b"86420975", 8) == "00ff"
    assert isinstance(worker.until(ipc.PinEntered), ipc.PinEntered)
    worker.core.send(statement("receipt", "9A", session="boot-8", n=8))
    assert isinstance(worker.until(ipc.Signed), ipc.Signed)
    there, secret = "the card's name: the search finds what is there", "a PIN"
    search = Search({there: [PIN_CARD.guid.bytes], secret: [b"86420975", b"13579135"]})
    assert search.held(worker.process.pid) == {there}


def test_it_can_not_be_dumped_or_debugged_by_its_own_uid(worker: Worker) -> None:
    assert isinstance(worker.until(ipc.ReadersChanged), ipc.ReadersChanged)
    process = Path(f"/proc/{worker.process.pid}")
    assert (process / "mem").stat().st_uid == 0, "PR_SET_DUMPABLE"
    limits = (process / "limits").read_text().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert set(status["Uid"].split()) == {str(CARD_UID)}
    assert int(status["CapEff"], 16) == 0


def test_the_end_of_the_core_resets_the_card(worker: Worker, slot: Slot) -> None:
    opened(worker, slot)
    insertion = slot._thread.insertion
    before = insertion.resets
    worker.core.close()
    until(lambda: insertion.resets > before)


def test_killing_the_worker_resets_the_card(worker: Worker, slot: Slot) -> None:
    opened(worker, slot)
    insertion = slot._thread.insertion
    before = insertion.resets
    worker.process.kill()
    until(lambda: insertion.resets > before)


def test_it_outlives_pcscd(worker: Worker, slot: Slot) -> None:
    opened(worker, slot)
    Pcscd.shared().restart()
    seen: list[type] = []
    while ipc.Inserted not in seen:  # gone with pcscd, and back again with it
        told = worker.core.receive()
        seen.append(type(told))
    assert seen.index(ipc.Removed) < seen.index(ipc.Inserted)
    worker.core.send(ipc.CloseCard(n=7))
    assert worker.until(ipc.CardClosed) == ipc.CardClosed(n=7)
    worker.core.send(ipc.OpenCard(n=8, insertion=told.insertion, kinds=KINDS))
    assert worker.until(ipc.Opened).n == 8


def test_it_wants_its_sockets() -> None:
    command = [sys.executable, "-m", "sdbox_agent.workers.card", "--root", "/"]
    done = subprocess.run(
        [*command, "--core-uid", "0", "--finger-uid", "0", "--prompt-uid", "0"],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, b"LISTEN_FDS" in done.stderr) == (EXIT_CONFIG, True)


# -- the loop in this process, with the real connection --------------------------------------------


@pytest.fixture
def bench(tmp_path: Path, slot: Slot) -> Iterator[Bench]:
    Pcscd.shared()
    made = Bench(tmp_path, deadline_s=0.6)
    made.worker._connect = pcsc.Connection
    watcher = pcsc.Watcher(made.worker.readers)
    yield made
    slot.remove()
    made.end()
    watcher.stop()


def bench_open(bench: Bench, slot: Slot, *faults: object) -> ipc.Channel:
    core = bench.core()
    core.send(ipc.Watch())
    slot.insert(CARD, faults)
    while not isinstance(told := core.receive(), ipc.Inserted):
        pass
    core.send(ipc.OpenCard(n=7, insertion=told.insertion, kinds=KINDS))
    return core


def test_a_mute_card_is_given_up_and_told(bench: Bench, slot: Slot) -> None:
    """Fault 10, through pcscd: SCardTransmit hangs, the worker does not."""
    core = bench_open(bench, slot, MuteAt(5))
    assert core.receive() == ipc.Failed(n=7, code="card-mute")
    bench.thread.join(PATIENCE_S)
    assert bench.status == EXIT_MUTE
    assert ended(core)


def test_a_slow_card_is_waited_for(bench: Bench, slot: Slot) -> None:
    """Each exchange well within the deadline, all of them together beyond it."""
    bench.worker._deadline_s = 2.0
    start_s = time.monotonic()
    core = bench_open(bench, slot, SlowBy(300))
    core.sock.settimeout(PATIENCE_S)
    assert isinstance(core.receive(), ipc.Opened)
    assert time.monotonic() - start_s > bench.worker._deadline_s
    core.close()


def test_a_removal_is_told_while_an_exchange_hangs(bench: Bench, slot: Slot) -> None:
    bench.worker._deadline_s = 10.0
    core = bench_open(bench, slot, MuteAt(5))
    time.sleep(0.1)
    slot.remove()
    told = core.receive()
    if isinstance(told, ipc.Failed):  # the torn exchange may come back before vpcd polls
        assert told == ipc.Failed(n=7, code="card-removed")
        told = core.receive()
    assert isinstance(told, ipc.Removed)
    core.close()
