"""The checks of encoders before anything is measured on them."""

import numpy as np
import pandas as pd
import pytest

from lib import datasets
from lib.experiments import checks, encoder_quality


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch, tmp_path):
    """Neither a mirror nor weights loaded earlier."""
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.setattr("lib.paths.WEIGHTS", tmp_path)


def test_what_is_not_at_hand_is_named_with_its_reason_and_the_rest_is_kept(monkeypatch):
    def load(name):
        if name != "published:resnet20":
            raise FileNotFoundError("no mirror")

    monkeypatch.setattr("lib.encoders.load", load)
    monkeypatch.setattr("lib.perceptual.files", load)
    names = ["local:random", "published:resnet20", "published:uva_resnet", "timm:resnet50", "oracle:concepts", "dreamsim"]
    there, absent = checks.at_hand(names)
    assert there == ["local:random", "published:resnet20", "oracle:concepts"]
    assert absent == [f"left out, not at hand: {name} (no mirror)" for name in ("published:uva_resnet", "timm:resnet50", "dreamsim")]
    with pytest.raises(FileNotFoundError, match=r"timm:resnet50 \(no mirror\)\nleft out, not at hand: dreamsim"):
        checks.at_hand(["timm:resnet50", "dreamsim"])


def test_an_unknown_name_is_an_error_and_not_absent():
    with pytest.raises(ValueError, match="resnet21"):
        checks.at_hand(["local:random", "published:resnet21"])


@pytest.mark.parametrize(("passed", "verdict"), [(["yes"], "passed"), (["yes", "no"], "failed"), (["", "yes"], "passed"), ([""], "")])
def test_one_failed_check_fails_the_encoder(passed, verdict):
    table = pd.DataFrame({"encoder": "local:simclr", "passed": passed})
    other = pd.DataFrame({"encoder": ["published:resnet20"], "passed": ["yes"]})
    assert checks.verdicts(pd.concat([table, other])) == {"local:simclr": verdict, "published:resnet20": "passed"}


def test_an_untrained_encoder_has_nothing_to_pass_and_a_trained_one_its_margin(monkeypatch):
    monkeypatch.setattr(checks, "CHECK_PICTURES", 600)
    pictures = datasets.load("scenes", count=20)
    stated = pd.DataFrame(columns=["encoder", "pictures", "accuracy", "count"])
    table = checks.encoder_checks(["local:random", "local:nuisance,pictures=256,presentations=0"], pictures, stated)
    assert table["encoder"].tolist() == ["local:nuisance,pictures=256,presentations=0"]
    row = table.iloc[0]
    assert (row["passed"], row["expected"]) == ("no", f"above {encoder_quality.MARGIN['background accuracy']:g}")
    assert row["value"] == 0
    assert row["low"] <= 0 <= row["high"]


@pytest.mark.parametrize(("accuracy", "count", "passed"), [
    (0.604, 10, "yes"), (0.606, 10, "no"),  # the same files: within half a point
    (0.3, 100, "yes"), (0.99, 100, "no"),   # a sample: within its interval
])
def test_a_published_encoder_must_have_the_accuracy_that_was_stated(accuracy, count, passed, monkeypatch):
    pictures = datasets.load("scenes", count=10)
    right = np.arange(10) < 6  # six of ten

    class Found:
        accuracy = 0.6
        interval = (0.26, 0.88)

    Found.agrees = Found.interval[0] <= accuracy <= Found.interval[1]
    monkeypatch.setattr("lib.experiments.checks.sanity.check", lambda _encoder, where, _stated: Found if len(where) == len(right) else None)
    monkeypatch.setattr("lib.encoders.load", lambda name: type("Encoder", (), {"name": name}))
    monkeypatch.setitem(checks._STATED, "ten scenes", lambda: pictures)
    stated = pd.DataFrame({"encoder": ["published:resnet20"], "pictures": ["ten scenes"], "accuracy": [accuracy], "count": [count]})
    table = checks.encoder_checks(["published:resnet20"], pictures, stated)
    assert table["passed"].tolist() == [passed]
    assert table["check"].tolist() == ["accuracy on scenes, n = 10"]
