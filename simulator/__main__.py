"""`python -m simulator --port 9100`."""

from __future__ import annotations

import argparse

from simulator import server
from simulator.options import Options, add_arguments


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulator", description="Speaks the wire formats of the SMS providers.")
    add_arguments(parser)
    server.serve(Options.of(parser.parse_args()))


if __name__ == "__main__":
    main()
