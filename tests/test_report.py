"""The page with all claims and figures."""

from PIL import Image


def test_page_holds_claims_and_figures_of_the_profile_and_nothing_from_elsewhere(project):
    project.notebook("x = 1")
    results, figures = project.root / "data" / "results" / "quick", project.root / "figures" / "quick"
    results.mkdir(parents=True)
    figures.mkdir(parents=True)
    (results / "04_claims.csv").write_text('claim,verdict\n"a < b, truly",holds\n')
    (results / "04_other.csv").write_text("x\nnot shown\n")
    Image.new("RGB", (3, 2)).save(figures / "04_two_words.png")
    answer = project.lib("report")
    assert answer.returncode == 0, answer.stderr
    text = (project.root / "build" / "quick" / "report.html").read_text()
    assert "<h2>04 A tiny notebook</h2>" in text
    assert "<td>a &lt; b, truly</td><td>holds</td>" in text
    assert '<img alt="two words" src="data:image/png;base64,' in text
    assert "not shown" not in text
    assert "http" not in text
