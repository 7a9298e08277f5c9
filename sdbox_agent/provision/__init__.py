"""What root does on a box, before the agent's own processes start."""
