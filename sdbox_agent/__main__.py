"""`python -m sdbox_agent`."""

import sys

from sdbox_agent.cli import main

sys.exit(main())
