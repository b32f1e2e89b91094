"""MQinit (Eq. 1) against a loop over queries."""

import torch

from trans3dhead.network.mqinit import MQInit

B, N, S, D = 2, 5, 9, 16


def test_equals_a_linear_map_of_the_pooled_memory_for_each_query() -> None:
    mqinit = MQInit(queries=N, width=D)
    torch.nn.init.normal_(mqinit.linear.bias)
    memory = torch.randn(B, S, D)
    found = mqinit(memory)
    for image in range(B):
        pooled = sum(memory[image, cell] for cell in range(S)) / S
        for query in range(N):
            own = slice(query * D, (query + 1) * D)
            expected = mqinit.linear.weight[own] @ pooled + mqinit.linear.bias[own]
            torch.testing.assert_close(found[image, query], expected)


def test_has_the_papers_size() -> None:
    with torch.device("meta"):
        weights = MQInit(queries=68, width=256).parameters()
    assert sum(weight.numel() for weight in weights) == 256 * 68 * 256 + 68 * 256
