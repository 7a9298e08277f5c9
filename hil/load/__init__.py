"""Many boxes at one centre: `make load`. Real centre processes, real signatures, virtual boxes."""
