"""Many threads, each with its own runner of one engine, in a process with a memory of its own.

    python many_threads.py ENGINE RUNNERS REQUESTS CPU_THREADS

Prints one JSON object: "differing", requests whose answers are not bitwise those of one runner
alone at the same batch; "early" and "late", resident bytes when every runner had answered 20
requests and when all were done.
"""

import json
import sys
import threading
from pathlib import Path

import numpy as np

from engines.runtime import Engine, open_engine

EARLY = 20
BATCHES = (1, 2, 3, 4)
SEED = 5


def main(folder: Path, runners: int, requests: int, cpu_threads: int) -> dict[str, int]:
    """See the top of this file."""
    rng = np.random.default_rng(SEED)
    with open_engine(folder, threads=cpu_threads) as alone:
        size = alone.contract.image.size
        images = [rng.integers(0, 256, (batch, size, size, 3), np.uint8) for batch in BATCHES]
        expected = [alone.infer({"image": image}) for image in images]

    differing, resident = 0, []
    lock = threading.Lock()
    measure = threading.Barrier(runners, lambda: resident.append(_resident_bytes()), timeout=100)

    def serve(engine: Engine, order: list[int]) -> None:
        nonlocal differing
        for done, choice in enumerate(order):
            if done == EARLY:
                measure.wait()
            answers = engine.infer({"image": images[choice]})
            if any(not np.array_equal(answers[name], expected[choice][name]) for name in answers):
                with lock:
                    differing += 1
        measure.wait()

    # the first requests see every batch, so that memory for each of them is there early
    first = [index % len(BATCHES) for index in range(EARLY)]
    orders = [
        first + rng.integers(0, len(BATCHES), requests - EARLY).tolist() for _ in range(runners)
    ]
    engines = [open_engine(folder, threads=cpu_threads) for _ in range(runners)]
    workers = [
        threading.Thread(target=serve, args=pair) for pair in zip(engines, orders, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"differing": differing, "early": resident[0], "late": resident[1]}


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
