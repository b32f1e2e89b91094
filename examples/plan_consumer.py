"""Runs a raw TensorRT plan with numpy, tensorrt and PyCUDA alone; nothing of this project.

python plan_consumer.py engine.plan images.npy outputs.npz    (images: uint8 [batch, S, S, 3] RGB)
"""

import sys
from pathlib import Path

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt


def infer(plan: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(plan)
    context = engine and engine.create_execution_context()
    if not context or not context.set_input_shape("image", images.shape):
        sys.exit("the plan is not for this GPU and TensorRT version, or not for this shape")
    stream, host, device, accepted = cuda.Stream(), {}, {}, []
    for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
        dtype = trt.nptype(engine.get_tensor_dtype(name))
        host[name] = cuda.pagelocked_empty(tuple(context.get_tensor_shape(name)), dtype)
        device[name] = cuda.mem_alloc(host[name].nbytes)
        accepted.append(context.set_tensor_address(name, int(device[name])))
    host["image"][...] = images
    cuda.memcpy_htod_async(device["image"], host["image"], stream)
    if not all(accepted) or not context.execute_async_v3(stream.handle):
        sys.exit("the run was refused")
    for name in host.keys() - {"image"}:
        cuda.memcpy_dtoh_async(host[name], device[name], stream)
    stream.synchronize()
    return {name: np.array(host[name]) for name in host.keys() - {"image"}}


cuda.init()
gpu = cuda.Device(0).retain_primary_context()  # the one torch would use; no autoinit
gpu.push()
try:
    np.savez(sys.argv[3], **infer(Path(sys.argv[1]).read_bytes(), np.load(sys.argv[2])))
finally:
    gpu.pop()
    gpu.detach()
