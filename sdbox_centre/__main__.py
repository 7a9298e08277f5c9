"""`sdbox-centre ...`, `python -m sdbox_centre ...`: run a process, or do an act of staff."""

from sdbox_centre.cli import main

if __name__ == "__main__":
    main()
