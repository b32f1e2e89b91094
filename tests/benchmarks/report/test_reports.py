"""What `verify` shows, for people."""

import numpy as np
import pytest

from benchmarks.parity.harness import verify
from benchmarks.report.markdown import parity_markdown
from benchmarks.report.parity_sections import _side_by_side, parity_page, parity_sections


@pytest.fixture(scope="module")
def reports(tmp_path_factory, make_workshop):
    """A passing report, a failing one, and one that holds NaN."""
    workshop = make_workshop(tmp_path_factory.mktemp("report") / "bundle", "mesh", images=6)
    good = verify(workshop.plant(workshop.answers))
    answers = workshop.answers
    answers["landmarks"][4] += 1
    bad = verify(workshop.plant(answers))
    answers["rotation"][2, 1, 1] = np.inf
    return good, bad, verify(workshop.plant(answers))


def test_the_verdict_stands_on_top_and_names_what_failed(reports) -> None:
    good, bad, _ = reports
    assert '<p class="verdict pass">' in parity_page(good)
    html = parity_page(bad)
    assert html.index('<p class="verdict fail">') < html.index("<section")
    assert "landmarks/movement_largest: fail" in html


def test_the_sections_follow_what_was_measured(reports) -> None:
    good, bad, broken = ([s.title for s in parity_sections(report)] for report in reports)
    assert good == bad
    assert {"The images it moves most", "Where on the head"} <= set(good) - set(broken)
    assert "Verdict" in broken


def test_the_worst_image_comes_first(reports) -> None:
    _, bad, _ = reports
    assert bad.evidence.worst[0] == 4
    assert len(bad.evidence.worst) == 5
    assert bad.evidence.crops.shape[0] == 5


def test_markdown_has_verdict_tables_and_hashes(reports) -> None:
    good, bad, broken = reports
    for report in reports:
        text = parity_markdown(report)
        assert f"**{report.headline}**" in text
        assert "| NME ↓ |" in text
        assert report.subject.reference_sha256[:12] in text
    assert "- landmarks/movement_largest: fail" in parity_markdown(bad)
    assert "- rotation/finite: fail" in parity_markdown(broken)
    assert "\n- " not in parity_markdown(good)


def test_small_movements_are_drawn_enlarged_and_large_ones_as_they_are() -> None:
    crop = np.zeros((64, 64, 3), np.uint8)
    points = np.random.default_rng(0).uniform(10, 50, (68, 2))
    picture, times = _side_by_side(crop, points, points + 0.05)
    assert picture.shape == (512, 1024, 3)
    assert times > 10
    assert _side_by_side(crop, points, points + 30)[1] == 1
    assert _side_by_side(crop, points, points)[1] == 1
    assert picture[:, 512:].any()
