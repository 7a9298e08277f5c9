"""What must survive a power cut, and nothing else."""
