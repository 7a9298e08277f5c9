"""`python -m hil.launch SPEC.json`: play the service manager of one box until told to stop."""

import os
import sys
from pathlib import Path

import msgspec

from hil.launch.manager import Manager
from hil.launch.wire import Spec

spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
manager = Manager(spec)
manager.boot()
os.write(1, b"up\n")
manager.run()
