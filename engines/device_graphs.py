"""CUDA graphs: work recorded once on a stream, started again with one call.

PyCUDA has none of this, so graphs are made by cuda-python whichever package holds the memory; a
stream's handle means the same to both.
"""

from collections.abc import Callable
from typing import Any

from engines.device import installed
from engines.device_cuda_python import check


def graphs_installed() -> bool:
    """Whether cuda-python is there to capture graphs with."""
    return installed("cuda.bindings")


class Graph:
    """A recorded piece of work. Its methods need the context current that it was recorded in."""

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        """Record what `work` puts on a stream; nothing runs yet.

        Args:
            stream: handle of a stream that is not the default one.
            work: enqueues; must not wait for the GPU nor allocate.

        Raises:
            DeviceError: a call failed; the stream then records no longer.
        """
        from cuda.bindings import driver

        self._driver: Any = driver
        self._stream = driver.CUstream(stream)
        # other threads may go on allocating: torch does
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check(driver.cuStreamBeginCapture(self._stream, mode), "cuStreamBeginCapture")
        try:
            work()
        except BaseException:
            # ends the recording; its own failure would hide the cause
            status, graph = driver.cuStreamEndCapture(self._stream)
            if int(status) == 0 and graph is not None:
                driver.cuGraphDestroy(graph)
            raise
        graph = self._check(driver.cuStreamEndCapture(self._stream), "cuStreamEndCapture")
        try:
            self._graph = self._check(driver.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")
        finally:
            self._check(driver.cuGraphDestroy(graph), "cuGraphDestroy")

    def launch(self) -> None:
        """Put the recorded work on the stream."""
        self._check(self._driver.cuGraphLaunch(self._graph, self._stream), "cuGraphLaunch")

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        if self._graph is not None:
            graph, self._graph = self._graph, None
            self._check(self._driver.cuGraphExecDestroy(graph), "cuGraphExecDestroy")

    def _check(self, answer: tuple[Any, ...], what: str) -> Any:
        return check(self._driver, answer, what)
