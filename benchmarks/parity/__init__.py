"""Parity: is an engine as good as eager float32 PyTorch? Runs without torch.

`tensors` compares numbers, `statistics` and `gates` hold the published definition of the verdict,
`margins` what is allowed, `harness` does the work on a built engine.
"""
