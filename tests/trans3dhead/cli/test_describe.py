"""`describe`: the numbers it gives to machines and to people."""

import pytest

from engines.errors import UserError
from trans3dhead.cli.describe import Options, run


def test_the_papers_size_is_printed_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(Options())
    assert outcome.exit_code == 0
    for counts in (outcome.data["parameters"], outcome.data["flops_per_image"]):
        assert counts["all"] == sum(counts.values()) - counts["all"]
    assert outcome.data["parameters"]["all"] == pytest.approx(43.9e6, rel=0.02)
    assert outcome.data["flops_per_image"]["all"] == pytest.approx(14.0e9, rel=0.03)
    assert outcome.data["preset"]["name"] == "paper"
    printed = capsys.readouterr().out
    assert "43.894" in printed
    assert "14.034" in printed


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UserError, match="expected one of paper, tiny"):
        run(Options(preset="huge"))
