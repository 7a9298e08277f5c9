"""The finger process's beginning and end [door].

`python -m sdbox_agent.workers.finger --root DIR --core-uid N --card-uid N`, with the accepted
connection from the core as descriptor 3 (sd_listen_fds(3), Accept=yes).
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: threads cost memory and win nothing here

import argparse
import signal
import sys
from pathlib import Path
from typing import Final

from sdbox_agent import ipc
from sdbox_agent.hardening import close_memory, keep_out_of_swap
from sdbox_agent.paths import Paths
from sdbox_agent.sensor.libfprint import LibfprintSensor
from sdbox_agent.workers.finger.process import FingerProcess

# -- ours ----------------------------------------------------------------------------------------

LIFE_S: Final = 300  # from the beginning of a transaction; then the kernel ends us, stuck or not


def main() -> int:
    """Serve the connection we were started for."""
    parser = argparse.ArgumentParser(prog="sdbox-finger")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--core-uid", type=int, required=True)
    parser.add_argument("--card-uid", type=int, required=True)
    options = parser.parse_args()
    try:
        close_memory()
        keep_out_of_swap()
    except OSError as error:  # a finger on a swap device would be a finger on a disk
        sys.stderr.write(f"memory can't be kept private: {os.strerror(error.errno or 0)}\n")
        return 2
    sockets = ipc.listen_descriptors()
    if len(sockets) != 1:
        sys.stderr.write("expected one connection as descriptor 3\n")
        return 2
    core: ipc.Channel[ipc.ToFinger] = ipc.Channel(sockets[0], ipc.ToFinger, options.core_uid)
    return FingerProcess(
        core,
        LibfprintSensor(),
        Paths(options.root),
        options.card_uid,
        begun=lambda: signal.alarm(LIFE_S),
    ).run()


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the kernel takes the memory at once; Python's tidying would keep it longer
