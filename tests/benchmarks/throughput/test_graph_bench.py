"""`bench graph`: three graphs of one network, each what its name says, timed beside one another."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.report.graph_tables import graph_table, ratio_table
from engines.errors import UserError
from engines.onnxruntime_session import create_session
from export.modules import module_of
from trans3dhead.cli.main import main

torch = pytest.importorskip("torch")

from benchmarks.throughput.graph_bench import (  # noqa: E402
    BACKBONE,
    GRAPH_SCHEMA,
    PLAIN,
    WHOLE,
    backbone_alone,
    bench_graph,
)
from export.deployed import Deployed  # noqa: E402
from export.graph import trace  # noqa: E402
from trans3dhead.head.builtin import builtin_head  # noqa: E402
from trans3dhead.network.model import build_network  # noqa: E402
from trans3dhead.presets import tiny  # noqa: E402
from trans3dhead.training.checkpoint import (  # noqa: E402
    CheckpointRecord,
    HeadRecord,
    save_checkpoint,
)
from trans3dhead.training.samples import normalise  # noqa: E402

CONFIG = tiny().network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(CONFIG).eval()


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    record = CheckpointRecord(
        preset=tiny(), head=HeadRecord.of(builtin_head()), items=0, samples_seen=0, minutes=0.0
    )
    save_checkpoint(path, network, record)
    return path


def test_the_backbone_alone_is_the_trained_one_and_nothing_else(network) -> None:
    cut = backbone_alone(trace(Deployed(network, CONFIG), size=CONFIG.image_size, batch=1))
    assert {module_of(node).split(".")[0] for node in cut.graph} == {"normalise", "backbone"}
    pixels = np.random.default_rng(0).integers(
        0, 256, (1, CONFIG.image_size, CONFIG.image_size, 3), dtype=np.uint8
    )
    session = create_session(ir.to_proto(cut).SerializeToString(), "cpu")
    (found,) = session.run(None, {"image": pixels})
    with torch.no_grad():
        wanted = network.backbone(normalise(torch.from_numpy(pixels))).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_every_runtime_gives_three_rows_and_two_ratios(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], validator_of: Any
) -> None:
    out = tmp_path / "graph.json"
    words = ["--seconds", "0.2", "--threads", "1", "--json", str(out)]
    assert main(["bench", "graph", str(checkpoint), *words]) == 0
    report = json.loads(out.read_text())
    validator_of(GRAPH_SCHEMA).validate(report)
    assert not validator_of(GRAPH_SCHEMA).is_valid({**report, "rows": report["rows"][:2]})
    speed = {
        (row["runtime"], row["precision"], row["graph"]): row["images_per_second"]
        for row in report["rows"]
    }
    kinds = dict.fromkeys(key[:2] for key in speed)
    assert ("ONNX Runtime", "float32") in kinds
    assert len(speed) == 3 * len(kinds) and len(report["ratios"]) == 2 * len(kinds)
    for ratio in report["ratios"]:
        kind = (ratio["runtime"], ratio["precision"])
        wanted = speed[*kind, WHOLE] / speed[*kind, ratio["over"]]
        assert ratio["value"] == pytest.approx(wanted, rel=0.5)
    nodes = report["nodes"]
    assert nodes[BACKBONE].keys() < nodes[WHOLE].keys()
    assert sum(nodes[WHOLE].values()) < sum(nodes[PLAIN].values())
    assert 0 < report["backbone_share"] < 1
    assert len(graph_table(report).rows) == len(speed)
    assert f"{report['ratios'][0]['value']:.3f}" in ratio_table(report).markdown()
    assert "plain export" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"seconds": 0.0}, {"seconds": float("inf")}, {"threads": 0}]
)
def test_numbers_that_make_no_sense_are_refused(checkpoint: Path, wrong: dict[str, float]) -> None:
    expected = "(seconds, more than 0 and finite|at least 1)"
    with pytest.raises(UserError, match=rf"--\w+ \w+ came; expected {expected}"):
        bench_graph(checkpoint, **wrong)  # type: ignore[arg-type]
