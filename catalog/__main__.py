"""The commands: `python -m catalog stage | site | serve | check | new ID`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catalog.check import open_in_drafts
from catalog.contracts import stale_elsewhere
from catalog.problem import SetUpError
from catalog.run import kit
from catalog.stage import StageError, plan, stage

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (SetUpError, StageError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say(f"{options.command}: interrupted; what was there before is unchanged")
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    root: Path = options.root.resolve()
    if options.command == "stage":
        say = _say_problems if options.quiet else _say
        fetched = kit.assets(say)
        return stage(
            root,
            drafts=options.drafts,
            keep_going=options.keep_going,
            report=say,
            fetched=fetched,
        )
    if options.command == "site":
        from catalog.site import build_site

        return build_site(root, options.to, engine=options.engine, report=_say)
    if options.command == "serve":
        from catalog.serve import serve

        return serve(root, options.address, report=_say)
    if options.command == "check":
        return _check(root)
    from catalog.new import NewError, create

    try:
        written = create(root, options.id)
    except NewError as error:
        _say(f"new: {error}")
        return 1
    for path in written:
        _say(f"wrote {path}")
    _say("new: the page is a draft; fill what `python -m catalog check` lists")
    return 0


def _check(root: Path) -> int:
    made = plan(root)
    problems = [*made.problems, *stale_elsewhere(root)]
    for problem in problems:
        _say(str(problem))
    for missing in open_in_drafts(root):  # a draft may stay one: this fails nothing
        _say(f"draft: {missing}")
    _say(f"check: {len(problems)} problems")
    return 1 if problems else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _say_problems(line: str) -> None:
    if not (line.startswith("run:") or (line.startswith("stage:") and line.endswith("changed"))):
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
    building = commands.add_parser("site", help="build the site into site/")
    building.add_argument("--to", type=Path, help="another folder")
    building.add_argument("--engine", choices=("mkdocs", "zensical"), default="mkdocs")
    serving = commands.add_parser("serve", help="serve the site, build it again after each edit")
    serving.add_argument("address", nargs="?", default="127.0.0.1:8000", help="host:port")
    commands.add_parser("check", help="print every problem; write nothing")
    new = commands.add_parser("new", help="write the skeleton of a scenario")
    new.add_argument("id", help="its id, in lower case letters and hyphens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
