"""`python -m simulator --port 9100`."""

from __future__ import annotations

import argparse
import os

from simulator import server
from simulator.options import Options, add_arguments


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulator", description="Speaks the wire formats of the SMS providers.")
    add_arguments(parser)
    os.umask(0o077)  # its books are full of numbers and texts
    server.serve(Options.of(parser.parse_args()))


if __name__ == "__main__":
    main()
