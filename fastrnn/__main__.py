"""The command line: `python -m fastrnn bench`, `demo` and `config`."""

import argparse
import sys
from pathlib import Path

import fastrnn
from fastrnn._bench import command as bench

DEMO = """\
Train two stacked SimpleRNN layers and a softmax head to read handwritten digits, each a sequence of eight rows of
eight pixels, and train the same network in a plain NumPy loop beside it. It takes some seconds, says how many digits
of those held out are read right and how the two times compare, and draws the learning curve.
"""
CONFIG = "Print version, instruction sets, threads, compiler and environment variables: what a bug report should hold."


def positive(text: str) -> int:
    """Parse a positive whole number."""
    number = int(text)
    if number <= 0:
        raise ValueError
    return number


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    top = argparse.ArgumentParser("python -m fastrnn", description="Recurrent layers at the speed of the hardware.")
    top.add_argument("--version", action="version", version=f"fastrnn {fastrnn.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="train on handwritten digits, beside a NumPy loop", description=DEMO)
    demo.add_argument("--epochs", type=positive, default=30, help="passes over the digits (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of split, weights and batches (default: %(default)s)")
    demo.add_argument(
        "--out", type=Path, default=Path("fastrnn-demo.png"), help="the picture's file (default: ./%(default)s)"
    )
    bench_parser = commands.add_parser(
        "bench", help="time this machine, beside other libraries", description=bench.DESCRIPTION
    )
    bench.add_arguments(bench_parser, positive)
    commands.add_parser("config", help="print what runs here, and why", description=CONFIG)
    return top


def main() -> None:
    """Run the command named on the command line."""
    arguments = parser().parse_args()
    if arguments.command == "config":
        print(fastrnn.show_config())
        return
    if arguments.command == "bench":
        try:
            bench.run(arguments)
        except KeyboardInterrupt:
            sys.exit("interrupted")
        return
    try:
        from fastrnn import _demo
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("fastrnn"):
            raise
        sys.exit(f"the demo needs {missing.name}, which is not installed: pip install 'fastrnn[demo]'")
    _demo.run(arguments.epochs, arguments.seed, arguments.out)


if __name__ == "__main__":
    main()
