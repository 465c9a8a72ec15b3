"""Runs the operator's command: `calliope-admin`, or `python -m calliope_admin`."""

import sys

from calliope_admin.command_line import run


def main() -> int:
    """Exit status: 0 all is well, 1 something is wrong, 2 the command line or a setting is wrong."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
