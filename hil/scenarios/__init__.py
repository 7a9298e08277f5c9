"""What the rig can play."""
