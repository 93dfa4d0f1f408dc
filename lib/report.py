"""One page with all claims and figures of a profile, in a single file that can be sent to somebody."""

import base64
import csv
from html import escape
from pathlib import Path

from lib import notebooks
from lib.paths import BUILD, FIGURES, RESULTS, atomically
from lib.profiles import read_profile

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid #ccc; }
figure { margin: 2rem 0; } img { max-width: 100%; } figcaption { font-size: 0.85rem; color: #555; }
"""


def write(profile: str) -> Path:
    """Write build/<profile>/report.html from what the notebooks of the profile have left in data/results and figures.

    Raises:
        ValueError: if there is no such profile, or no results of it.
    """
    sections = [_section(notebooks.find(number), profile) for number in sorted(read_profile(profile).overrides)]
    if not any(sections):
        raise ValueError(f"profile {profile}: found no results in {RESULTS / profile}; expected those of `make figures PROFILE={profile}`")
    title = f"Interpretability compendium: profile {escape(profile)}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
    page = BUILD / profile / "report.html"
    with atomically(page) as temporary:
        text = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{"".join(sections)}</body></html>\n'
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return page


def _section(notebook: Path, profile: str) -> str:
    number = notebook.stem[:2]
    tables = [_table(path) for path in sorted((RESULTS / profile).glob(f"{number}_*claims*.csv"))]
    pictures = [_picture(path) for path in sorted((FIGURES / profile).glob(f"{number}_*.png"))]
    if not tables and not pictures:
        return ""
    return f'<h2>{number} {escape(notebooks.title(notebook))}</h2>{"".join(tables)}{"".join(pictures)}'


def _table(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def _picture(path: Path) -> str:
    words = escape(path.stem[3:].replace("_", " "))
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'
