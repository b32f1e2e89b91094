"""Stands in for cuda.bindings.driver: same names and parameters, each call returns its code first.

Held to the real one's names by test_api_names.py.
"""

# ruff: noqa: N802, N801 - the driver's names
import enum
from collections.abc import Callable
from typing import Any

from standins.gpu import GpuError, Stream, gpu


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901
    CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906


class CUstream_flags(enum.IntEnum):
    CU_STREAM_DEFAULT = 0
    CU_STREAM_NON_BLOCKING = 1


class CUstreamCaptureMode(enum.IntEnum):
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1


class Handle:
    """A pointer in a class of its own, as the bindings have it."""

    def __init__(self, value: int = 0) -> None:
        self._value = int(value)

    def __int__(self) -> int:
        return self._value


class CUstream(Handle):
    pass


class CUevent(Handle):
    pass


class CUcontext(Handle):
    pass


class CUdevice(Handle):
    pass


class CUgraph(Handle):
    pass


class CUgraphExec(Handle):
    pass


def _answer(name: str, work: Callable[[], Any], *, context: bool = True, values: int = 1) -> Any:
    try:
        gpu().call(name, needs_context=context)
        value = work()
    except GpuError as error:
        return (CUresult(error.code), *([None] * values))
    return (CUresult.CUDA_SUCCESS, *([value] * values))


def cuInit(Flags: int) -> Any:
    return _answer("cuInit", lambda: None, context=False, values=0)


def cuDeviceGet(ordinal: int) -> Any:
    return _answer("cuDeviceGet", lambda: CUdevice(ordinal), context=False)


def cuDevicePrimaryCtxRetain(dev: CUdevice) -> Any:
    def retain() -> CUcontext:
        gpu().retained += 1
        return CUcontext(0xC0)

    return _answer("cuDevicePrimaryCtxRetain", retain, context=False)


def cuDevicePrimaryCtxRelease(dev: CUdevice) -> Any:
    def release() -> None:
        gpu().retained -= 1

    return _answer("cuDevicePrimaryCtxRelease", release, context=False, values=0)


def cuCtxPushCurrent(ctx: CUcontext) -> Any:
    return _answer(
        "cuCtxPushCurrent", lambda: gpu().contexts.append(int(ctx)), context=False, values=0
    )


def cuCtxPopCurrent() -> Any:
    return _answer("cuCtxPopCurrent", lambda: CUcontext(gpu().contexts.pop()))


def cuStreamCreate(Flags: int) -> Any:
    def create() -> CUstream:
        handle = gpu().make_handle()
        gpu().streams[handle] = Stream()
        return CUstream(handle)

    return _answer("cuStreamCreate", create)


def cuStreamDestroy(hStream: CUstream) -> Any:
    return _answer("cuStreamDestroy", lambda: gpu().streams.pop(int(hStream)), values=0)


def cuStreamSynchronize(hStream: CUstream) -> Any:
    return _answer("cuStreamSynchronize", lambda: gpu().synchronize(int(hStream)), values=0)


def cuStreamBeginCapture(hStream: CUstream, mode: CUstreamCaptureMode) -> Any:
    return _answer("cuStreamBeginCapture", lambda: gpu().begin_capture(int(hStream)), values=0)


def cuStreamEndCapture(hStream: CUstream) -> Any:
    return _answer("cuStreamEndCapture", lambda: CUgraph(gpu().end_capture(int(hStream))))


def cuGraphInstantiate(hGraph: CUgraph, flags: int) -> Any:
    def instantiate() -> CUgraphExec:
        handle = gpu().make_handle()
        gpu().graphs[handle] = gpu().graphs[int(hGraph)]
        return CUgraphExec(handle)

    return _answer("cuGraphInstantiate", instantiate)


def cuGraphDestroy(hGraph: CUgraph) -> Any:
    return _answer("cuGraphDestroy", lambda: gpu().graphs.pop(int(hGraph)), values=0)


def cuGraphExecDestroy(hGraphExec: CUgraphExec) -> Any:
    return _answer("cuGraphExecDestroy", lambda: gpu().graphs.pop(int(hGraphExec)), values=0)


def cuGraphLaunch(hGraphExec: CUgraphExec, hStream: CUstream) -> Any:
    return _answer("cuGraphLaunch", lambda: gpu().launch(int(hGraphExec), int(hStream)), values=0)


def cuEventCreate(Flags: int) -> Any:
    def create() -> CUevent:
        handle = gpu().make_handle()
        gpu().events[handle] = None
        return CUevent(handle)

    return _answer("cuEventCreate", create)


def cuEventDestroy(hEvent: CUevent) -> Any:
    return _answer("cuEventDestroy", lambda: gpu().events.pop(int(hEvent)), values=0)


def cuEventRecord(hEvent: CUevent, hStream: CUstream) -> Any:
    return _answer("cuEventRecord", lambda: gpu().record(int(hEvent), int(hStream)), values=0)


def cuEventElapsedTime(hStart: CUevent, hEnd: CUevent) -> Any:
    def elapsed() -> float:
        start, end = gpu().events[int(hStart)], gpu().events[int(hEnd)]
        if start is None or end is None:
            raise GpuError(CUresult.CUDA_ERROR_INVALID_HANDLE)
        return float(end - start)

    return _answer("cuEventElapsedTime", elapsed)


def cuMemAlloc(bytesize: int) -> Any:
    return _answer("cuMemAlloc", lambda: Handle(gpu().allocate(bytesize, gpu().memory)))


def cuMemFree(dptr: Handle) -> Any:
    return _answer("cuMemFree", lambda: gpu().free(int(dptr), gpu().memory), values=0)


def cuMemHostAlloc(bytesize: int, Flags: int) -> Any:
    return _answer("cuMemHostAlloc", lambda: gpu().allocate(bytesize, gpu().host_memory))


def cuMemFreeHost(p: int) -> Any:
    return _answer("cuMemFreeHost", lambda: gpu().free(p, gpu().host_memory), values=0)


def cuMemcpyHtoDAsync(dstDevice: int, srcHost: int, ByteCount: int, hStream: CUstream) -> Any:
    def copy() -> None:
        source, target = gpu().host_array(srcHost, ByteCount), gpu().array(dstDevice, ByteCount)
        gpu().put(int(hStream), lambda: target.__setitem__(slice(None), source))

    return _answer("cuMemcpyHtoDAsync", copy, values=0)


def cuMemcpyDtoHAsync(dstHost: int, srcDevice: int, ByteCount: int, hStream: CUstream) -> Any:
    def copy() -> None:
        source, target = gpu().array(srcDevice, ByteCount), gpu().host_array(dstHost, ByteCount)
        gpu().put(int(hStream), lambda: target.__setitem__(slice(None), source))

    return _answer("cuMemcpyDtoHAsync", copy, values=0)


def cuGetErrorString(error: CUresult) -> Any:
    return (CUresult.CUDA_SUCCESS, error.name.removeprefix("CUDA_ERROR_").lower().encode())
