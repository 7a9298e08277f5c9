"""What staff at a desk and developers look at fingers with; no process of a box imports it."""
