"""The commands: `python -m catalog stage | site | check | new ID`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catalog.stage import StageError, stage

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except StageError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say(f"{options.command}: interrupted; what was there before is unchanged")
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    root: Path = options.root.resolve()
    if options.command == "stage":
        say = _say_problems if options.quiet else _say
        return stage(root, drafts=options.drafts, keep_going=options.keep_going, report=say)
    raise AssertionError(options.command)


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - a command speaks to its user


def _say_problems(line: str) -> None:
    if not (line.startswith("stage:") and line.endswith("changed")):
        _say(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m catalog", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    commands = parser.add_subparsers(dest="command", required=True)
    staging = commands.add_parser("stage", help="write build/docs")
    staging.add_argument("--drafts", action="store_true", help="with pages in draft")
    staging.add_argument("--quiet", action="store_true", help="print problems only")
    staging.add_argument(
        "--keep-going", action="store_true", help="write what can be written despite problems"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
