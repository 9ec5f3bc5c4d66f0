"""``python -m edgebnn`` is the command line."""

from edgebnn.cli import main

main()
