"""Presets: every row of Tables 3 to 8, and nothing twice."""

import subprocess
import sys
from dataclasses import asdict

import pytest

from engines.errors import UserError
from trans3dhead.presets import PRESETS, preset, shrink

ROWS = {
    "Table 3 left": ("baseline", "+QA", "+Euler+QA", "+MARR+QA", "Trans3DHead"),
    "Table 3 right": ("0/1", "0/2", "0/3", "1/2", "2/2", "3/2"),
    "Table 4": ("Trans3DHead", "+averinit", "+randinit"),
    "Table 5": ("baseline", "+QAMem-1", "+QAMem-2"),
    "Table 6": ("noMQinit", "+MQinit-1", "+MQinit-2"),
    "Table 7": ("only-3DMM", "Trans3DHead"),
    "Table 8": ("60", "160", "413"),
}
"""The paper's tables, less the rows of other methods."""


def test_every_row_of_the_tables_is_one_preset() -> None:
    found = [row for make in PRESETS.values() for row in make().rows]
    assert sorted(found) == sorted(f"{table}: {row}" for table in ROWS for row in ROWS[table])


def test_no_two_presets_are_one_configuration() -> None:
    for change in (lambda chosen: chosen, shrink):
        chosen = [change(make()) for name, make in PRESETS.items() if name != "tiny"]
        resolved = [(entry.network, entry.training) for entry in chosen]
        assert all(entry not in resolved[:i] for i, entry in enumerate(resolved))


def test_names_lead_to_their_presets() -> None:
    assert [preset(name).name for name in PRESETS] == list(PRESETS)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"preset 'small' is unknown; expected one of paper, tiny"):
        preset("small")


SWITCHES = (
    "encoders",
    "decoders",
    "landmarks",
    "parameters",
    "qamem",
    "marr",
    "average_face",
    "mqinit",
    "single_task",
)


@pytest.mark.parametrize("name", PRESETS)
def test_shrinking_keeps_every_switch(name: str) -> None:
    chosen, shrunk = preset(name), shrink(preset(name))
    before, after = asdict(chosen.network), asdict(shrunk.network)
    assert {key: before[key] for key in SWITCHES} == {key: after[key] for key in SWITCHES}
    assert shrunk.training.euler == chosen.training.euler
    assert after["image_size"] == 128


def test_the_rows_differ_by_what_the_paper_says() -> None:
    full, base = preset("paper"), preset("baseline")
    assert (full.network.qamem, full.network.marr, full.training.euler) == ("landmarks", True, True)
    assert (base.network.qamem, base.network.marr, base.training.euler) == ("none", False, False)
    assert base.network.mqinit == "landmarks"
    assert preset("qamem").network.qamem == "landmarks"
    assert not preset("layers-3-2").network.marr
    assert not preset("layers-3-2").training.euler


def test_presets_load_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import trans3dhead.presets"
    subprocess.run([sys.executable, "-c", code], check=True)
