"""Write the lists of API names that our TensorRT and CUDA code is held to (beside this file).

    pip download --no-deps tensorrt_cu12_bindings==10.4.0 ...   # each of SOURCES, cuda-pathfinder
    python tests/data/make_api_names.py FOLDER_WITH_THE_WHEELS

The bindings are imported for real: the libraries they load are replaced by empty ones that hold the
same C functions, which takes gcc but no GPU, no driver and no TensorRT. A line is `Class.member`,
with the parameters' names where it is a function, one line an overload. PyCUDA compiles on install,
so its names are read from the C++ source that declares them.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent

SOURCES = {
    "tensorrt_cu12_bindings-10.3.0-": "tensorrt_bindings",
    "tensorrt_cu12_bindings-10.4.0-": "tensorrt_bindings",
    "tensorrt_cu13_bindings-11.4.0.106-": "tensorrt_bindings",
    "tensorrt_rtx_cu13_bindings-1.7.1.116-": "tensorrt_rtx_bindings",
    "cuda_bindings-12.8.0-": "cuda.bindings.driver",
    "cuda_bindings-13.5.0-": "cuda.bindings.driver",
    "pycuda-2026.1": "pycuda.driver",
}
"""Beginning of a wheel's or archive's name to the module inside."""

CLASSES = (
    "Builder BuilderFlag ComputeCapability DataType DynamicShapesKernelSpecializationStrategy "
    "EngineInspector ExecutionContextAllocationStrategy IBuilderConfig IConvolutionLayer "
    "ICudaEngine IExecutionContext IHostMemory ILayer ILogger IMatrixMultiplyLayer "
    "INetworkDefinition IOptimizationProfile IProfiler IProgressMonitor IRuntimeConfig ITensor "
    "ITimingCache "
    "LayerInformationFormat LayerType Logger MatrixOperation MemoryPoolType "
    "NetworkDefinitionCreationFlag OnnxParser ProfilingVerbosity Runtime TensorIOMode "
    "CUresult CUstream_flags CUstreamCaptureMode CUevent_flags"
)
"""Whose members are listed; of the others the name alone."""

CUDA_NAMES = re.compile(
    r"cu(Init|Ctx|Event|Stream|DeviceGet|DevicePrimaryCtx|Mem(Alloc|Free|Host|cpy|GetInfo)"
    r"|Graph(Instantiate|Launch|Destroy|ExecDestroy)|GetError|DriverGetVersion)"
    r"|CU(result|stream|event|context|device|graph|graphExec)(\b|_flags|CaptureMode)"
)
"""Of the CUDA driver's thousand names, those about memory, streams, events and graphs."""

C_FUNCTIONS = (
    "createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL "
    "createNvOnnxParserRefitter_INTERNAL createNvOnnxParser_INTERNAL getBuilderPluginRegistry "
    "getNvOnnxParserVersion getPluginRegistry initLibNvInferPlugins"
)
"""All that TensorRT's bindings take from its libraries."""

LIST = r"""
import importlib, inspect, re, sys
module = importlib.import_module(sys.argv[1])
classes = sys.argv[2].split()

def lines(name, value):
    heads = re.findall(r"^(?:\d+\. )?%s\((.*)\)(?: -> .*)?$" % name.split(".")[-1],
                       value.__doc__ or "", re.M) if callable(value) else []
    heads = [head for head in heads if "*args" not in head]
    if isinstance(value, type) or not heads:
        return [name]
    return [f"{name}({parameters(head)})" for head in heads]

def parameters(head):
    plain = re.sub(r"<[^<>]*>|\[[^\[\]]*\]|=[^,]*", "", re.sub(r"\[[^\[\]]*\]", "", head))
    found = [part.split(":")[0].split()[-1] for part in plain.split(",") if part.strip()]
    return ", ".join(part for part in found if part != "self")

found = []
for name in dir(module):
    if name.startswith("_") or inspect.ismodule(getattr(module, name)):
        continue
    found += lines(name, getattr(module, name))
    if name in classes:
        kind = getattr(module, name)
        for member in dir(kind):
            if not member.startswith("_") and member not in dir(int):
                found += lines(f"{name}.{member}", getattr(kind, member))
        found += [line.replace("__init__", "", 1).replace(".(", "(", 1)
                  for line in lines(f"{name}.__init__", kind.__init__) if "(" in line]
print("\n".join(dict.fromkeys(found)))
"""


def main(folder: Path) -> None:
    """Write one list for each source found in a folder; all must be there."""
    for beginning, module in SOURCES.items():
        archive = next(folder.glob(f"{beginning}*"))
        names = pycuda_names(archive) if module == "pycuda.driver" else wheel_names(archive, module)
        target = HERE / f"api_{beginning.rstrip('-')}.txt"
        target.write_text(names)
        print(f"{target}: {len(names.splitlines())} names")


def wheel_names(wheel: Path, module: str) -> str:
    """The names of a module inside a wheel, found by importing it."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for part in [wheel, *wheel.parent.glob("cuda_pathfinder-*")]:
            with zipfile.ZipFile(part) as archive:
                archive.extractall(root)
        for extension in root.glob(f"{module.partition('.')[0]}/*.so"):
            make_empty_libraries(extension, root)
        answer = subprocess.run(
            [sys.executable, "-c", LIST, module, CLASSES],
            env=os.environ | {"LD_LIBRARY_PATH": temporary, "PYTHONPATH": temporary},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    names = answer.stdout.splitlines(keepends=True)
    if module.startswith("cuda."):
        names = [name for name in names if CUDA_NAMES.match(name)]
    return "".join(names)


def make_empty_libraries(extension: Path, folder: Path) -> None:
    """Libraries of the names that the bindings load, holding the C functions they ask for."""
    source = folder / "empty.c"
    source.write_text(
        "".join(f"void *{name}(void) {{ return 0; }}\n" for name in C_FUNCTIONS.split())
    )
    for name in re.findall(rb"lib(?:nv|tensorrt)[a-z_]*\.so\.\d+", extension.read_bytes()):
        library = name.decode()
        subprocess.run(
            ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}",
             "-o", str(folder / library), str(source)],
            check=True,
        )  # fmt: skip


def pycuda_names(archive: Path) -> str:
    """What PyCUDA's source declares of the driver: functions, classes and their members."""
    with tarfile.open(archive) as files:
        member = next(item for item in files if item.name.endswith("/wrap_cudadrv.cpp"))
        file = files.extractfile(member)
        assert file is not None
        source = file.read().decode()
    found = set(re.findall(r'py::def\("(\w+)"|DEF_SIMPLE_FUNCTION\((\w+)\)', source))
    names = {first or second for first, second in found}
    names |= {f"{kind}Error" for kind in ("Logic", "Launch", "Runtime")} | {"Error", "MemoryError"}
    for block in re.split(r"py::(?:class_|enum_)<", source)[1:]:
        head = re.match(r'[^"]*?"(\w+)"', block)
        if head and head[1] in ("Device", "Context", "Stream", "Event", "DeviceAllocation",
                                "PagelockedHostAllocation", "event_flags"):  # fmt: skip
            body = block.split("\n  }\n")[0]
            members = re.findall(
                r'\.def\("(\w+)"|DEF_SIMPLE_METHOD\((\w+)\)|add_property\("(\w+)"'
                r'|\.value\("(\w+)"',
                body,
            )
            names.add(head[1])
            names |= {f"{head[1]}.{next(filter(None, parts))}" for parts in members}
    return "\n".join(sorted(names)) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
