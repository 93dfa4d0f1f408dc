"""The command line: python -m lib run|plan|notebooks|report|readme|fetch."""

import argparse
import sys

from lib import report, runner


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 1 after an error, which is printed."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except (runner.NotebookFailed, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lib", description="Run the notebooks of the compendium.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run notebooks, unless they are up to date")
    run.add_argument("--force", action="store_true", help="run even what is up to date")
    run.set_defaults(command=lambda given: runner.run(given.numbers, given.profile, _parameters(given), force=given.force))

    plan = commands.add_parser("plan", help="show what would run, with which parameters and at what cost")
    plan.set_defaults(command=lambda given: print(runner.plan(given.numbers, given.profile, _parameters(given))))

    for command in (run, plan):
        command.add_argument("numbers", nargs="*", default=["all"], metavar="NUMBER", help="04 and so on; all of the profile if left out")
        command.add_argument("-p", nargs=2, action="append", default=[], dest="parameters", metavar=("NAME", "VALUE"), help="a parameter")

    stored = commands.add_parser("notebooks", help="run the quick profile and store its outputs in notebooks/")
    stored.set_defaults(command=lambda given: runner.refresh())

    page = commands.add_parser("report", help="write one page with all claims and figures of a profile")
    page.set_defaults(command=lambda given: print(report.write(given.profile)))

    for command in (run, plan, page):
        command.add_argument("--profile", default="quick", help="a file of notebooks/profiles (default: quick)")

    tables = commands.add_parser("readme", help="write the tables of the README from the committed results")
    tables.set_defaults(command=_readme)

    fetch = commands.add_parser("fetch", help="fetch weights or pictures ahead of a run")
    fetch.add_argument("name", help="a data set or the weights of a network; a name that is not known lists all that are")
    fetch.set_defaults(command=_fetch)
    return parser


def _parameters(given: argparse.Namespace) -> dict[str, str]:
    return dict(given.parameters)


def _fetch(given: argparse.Namespace) -> None:
    from lib import downloads, perceptual
    from lib.concepts import people

    if given.name in perceptual.NAMES:
        found = perceptual.files(given.name).values()
    elif given.name == people.NAME:
        found = [people.ANSWERS.fetch()]
    elif given.name in downloads.NAMES:
        found = downloads.fetch_named(given.name)
    else:
        raise ValueError(f"name: found {given.name!r}; expected one of {', '.join([*downloads.NAMES, people.NAME, *perceptual.NAMES])}")
    print(*found, sep="\n")


def _readme(_given: argparse.Namespace) -> None:
    from lib import readme
    from lib.paths import ROOT, atomically

    text = readme.updated()
    with atomically(ROOT / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
