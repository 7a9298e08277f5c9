"""The rig: everything around a box, played on one machine with real parts."""
