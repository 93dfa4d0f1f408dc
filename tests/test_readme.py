"""The README's tables are those of the committed results, and the pictures it shows exist."""

import re
import subprocess

import pytest

from lib import readme
from lib.paths import ROOT


def words(text):
    """The words alone: on another machine last digits may differ, and with them the width of a column, but claims and verdicts may not."""
    return re.findall(r"[^\W\d]+", re.sub(r"\de[-+]?\d", "", text))


def results_are_those_committed():
    answer = subprocess.run(["git", "status", "--porcelain", "data/results"], cwd=ROOT, capture_output=True, text=True)
    return answer.returncode == 0 and not answer.stdout


def test_tables_are_up_to_date():
    committed, made = (ROOT / "README.md").read_text(encoding="utf-8"), readme.updated()
    if results_are_those_committed():
        assert made == committed, "run `python -m lib readme`"
    else:  # made anew, perhaps on another machine
        assert words(made) == words(committed), "run `python -m lib readme`"


def test_other_digits_are_the_same_table_and_another_verdict_is_not():
    row = "| it is so | 0.8 |  holds: 0.10 [-0.005, 0.20] |\n|:--|--:|:-----|"
    assert words(row) == words("| it is so | 0.8 | holds: 0.1 [5e-05, 0.2] |\n|:--|--:|:--|")
    assert words(row) != words(row.replace("holds", "fails"))
    assert words(row) != words(row.replace("it is", "it was"))


def test_pictures_and_links_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_missing_block_is_named(tmp_path):
    (tmp_path / "README.md").write_text("# Nothing here\n")
    with pytest.raises(ValueError, match="found no block <!-- claims 01: begin -->"):
        readme.updated(tmp_path)


def write_claims(root, profile, row):
    folder = root / "data" / "results" / profile
    folder.mkdir(parents=True)
    (folder / "04_claims.csv").write_text(f"claim,in the paper,holds if,here (95 % CI),n,verdict\n{row}\n")


def test_verdicts_of_all_profiles_stand_side_by_side(tmp_path):
    for profile, verdict in (("quick", "holds"), ("study", "fails")):
        write_claims(tmp_path, profile, f'it is so,0.8,above 0,"0.10 [0.05, 0.20]",5,{verdict}')
    table = readme.claims_table("04", tmp_path)
    assert "`quick`" in table
    assert "`cifar10`" not in table
    assert "holds: 0.10 [0.05, 0.20]" in table
    assert "fails: 0.10 [0.05, 0.20]" in table


def test_a_claim_of_one_profile_says_what_the_paper_says(tmp_path):
    for profile, claim in (("quick", "first"), ("study", "second")):
        write_claims(tmp_path, profile, f"{claim},said of the {claim},above 0,,,not testable here")
    rows = readme.claims_table("04", tmp_path).splitlines()[2:]
    assert [[cell.strip() for cell in row.split("|")[1:3]] for row in rows] == [
        ["first", "said of the first"], ["second", "said of the second"],
    ]  # fmt: skip
