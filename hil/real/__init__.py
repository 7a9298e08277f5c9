"""The rig's scenarios with real hardware, and a person's hands: `make hil-real PROFILE=…`."""
