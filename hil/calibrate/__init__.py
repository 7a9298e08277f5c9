"""How often a decision lets a stranger in, measured: `python -m hil.calibrate`."""
