"""The paper preset has the size the paper's model has; the counter leaves nothing out."""

import pytest
import torch

from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.cost import cost_of, flops_per_image, parameter_count
from trans3dhead.network.model import build_network
from trans3dhead.presets import paper

GFLOP_BY_PART = {  # SPEC 2, size
    "backbone": 10.68,
    "projection": 0.07,
    "decoder products": 2.84,
    "attention products": 0.42,
    "QAMem": 0.02,
    "MQinit": 0.01,
}


def test_the_paper_preset_has_the_papers_size() -> None:
    assert parameter_count(paper().network) == pytest.approx(43.9e6, rel=0.02)
    assert flops_per_image(paper().network) == pytest.approx(14.0e9, rel=0.03)


@pytest.mark.parametrize("part", GFLOP_BY_PART)
def test_each_part_costs_what_it_should(part: str) -> None:
    found = cost_of(paper().network).flops[part] / 1e9
    assert found == pytest.approx(GFLOP_BY_PART[part], abs=0.006)


def test_attention_products_are_counted_as_written_out() -> None:
    n, m, s, d = 68, 413, 64, 256
    pairs = 2 * (n * n + n * s + m * m + m * s)  # two layers
    assert cost_of(paper().network).flops["attention products"] == 2 * 2 * d * pairs


def test_parts_add_up_to_the_network(small: NetworkConfig) -> None:
    network = build_network(small)
    assert parameter_count(small) == sum(weight.numel() for weight in network.parameters())


def test_counting_draws_no_random_numbers_and_stores_no_weights(small: NetworkConfig) -> None:
    before = torch.get_rng_state()
    cost_of(small)
    assert torch.equal(torch.get_rng_state(), before)
