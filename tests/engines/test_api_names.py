"""Our sources, and the stand-ins they are tested with, use names that the real APIs have.

The lists lie in tests/data, written by make_api_names.py from the wheels themselves: TensorRT 10.3,
10.4 (the V100's), 11.4 and RTX, cuda-python's driver of CUDA 12 and 13, PyCUDA.
"""

import ast
import enum
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import standins

import engines

DATA = Path(__file__).parents[1] / "data"
ENGINES = Path(engines.__file__).parent
EXAMPLE = ENGINES.parent / "examples" / "plan_consumer.py"

PLAIN = ("tensorrt_cu12_bindings-10.3.0", "tensorrt_cu12_bindings-10.4.0",
         "tensorrt_cu13_bindings-11.4.0.106")  # fmt: skip
RTX = ("tensorrt_rtx_cu13_bindings-1.7.1.116",)
DRIVERS = ("cuda_bindings-12.8.0", "cuda_bindings-13.5.0")
PYCUDA = ("pycuda-2026.1",)

RTX_ONLY = {
    "BuilderFlag.REQUIRE_USER_ALLOCATION",
    "DynamicShapesKernelSpecializationStrategy",
    "DynamicShapesKernelSpecializationStrategy.EAGER",
    "ICudaEngine.create_runtime_config",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
    "IRuntimeConfig.set_execution_context_allocation_strategy",
}
"""Used where the flavour is TensorRT-RTX alone."""

OBJECTS = {
    "engine": "ICudaEngine", "context": "IExecutionContext", "inspector": "EngineInspector",
    "network": "INetworkDefinition", "tensor": "ITensor", "cache": "ITimingCache",
    "earlier": "ITimingCache", "config": "IBuilderConfig", "runtime": "Runtime",
    "runtime_config": "IRuntimeConfig", "layer": "ILayer IConvolutionLayer IMatrixMultiplyLayer",
}  # fmt: skip
"""What our sources call an object, to its class or classes."""

ENUMERATION = {"name", "value"}
PYTHON = {"__class__", "__init__", "__name__", "__version__"}


def names_of(lists: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """By list: each name to the parameters of its overloads."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in lists:
        found[name] = {}
        for line in (DATA / f"api_{name}.txt").read_text().splitlines():
            head, _, parameters = line.partition("(")
            found[name].setdefault(head, []).append(parameters.rstrip(")"))
    return found


def chain(node: ast.AST) -> list[str]:
    """["self", "trt", "Runtime"] of self.trt.Runtime; empty where it is no plain chain."""
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.insert(0, node.attr)
        node = node.value
    return [node.id, *words] if isinstance(node, ast.Name) else []


def used_names(source: str, roots: dict[str, str]) -> Iterator[str]:
    """Every use of an object of `roots`, as CLASS.member; "" stands for the module itself."""
    for node in ast.walk(ast.parse(source)):
        words = chain(node)
        if words[:1] == ["self"]:
            words = words[1:]
        words = [words[0].lstrip("_"), *words[1:]] if words else []
        if len(words) > 1 and words[0] in roots:
            kind = roots[words[0]]
            yield ".".join([kind, *words[1:]] if kind else words[1:])


def sources(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in ENGINES.glob(pattern))


TENSORRT_SOURCES = [*sources("tensorrt_plan.py", "tensorrt_worker.py", "timing_cache.py")]


def missing(used: set[str], lists: tuple[str, ...]) -> list[str]:
    """The used names that a list lacks; a name of several classes may be of any of them."""
    faults = []
    for which, names in names_of(lists).items():
        for use in sorted(used):
            kinds, _, member = use.rpartition(".")
            known = any(
                f"{kind}.{member}".lstrip(".") in names for kind in (kinds or "").split(" ")
            )
            if not known and member not in PYTHON | ENUMERATION:
                faults.append(f"{which} has no {use}")
    return faults


def tensorrt_uses(text: str) -> set[str]:
    return set(used_names(text, {"trt": "", **OBJECTS}))


def test_every_tensorrt_name_exists_in_every_version() -> None:
    used: set[str] = set()
    for path in TENSORRT_SOURCES:
        found = tensorrt_uses(path.read_text())
        assert found, path
        used |= found
    assert len(used) > 60
    assert missing(used, RTX) == []
    assert missing(used - RTX_ONLY, PLAIN) == []
    assert used >= RTX_ONLY


def test_every_cuda_name_exists_in_every_version() -> None:
    cuda = set()
    for path in sources("device_cuda_python.py", "device_graphs.py"):
        cuda |= set(used_names(path.read_text(), {"driver": ""}))
    assert len(cuda) > 20
    assert missing(cuda, DRIVERS) == []
    text = (ENGINES / "device_pycuda.py").read_text()
    objects = {"stream": "Stream", "context": "Context", "start": "Event", "stop": "Event"}
    pycuda = set(used_names(text, {"driver": "", **objects}))
    assert len(pycuda) > 12
    assert missing(pycuda, PYCUDA) == []


def test_the_examples_names_exist_too() -> None:
    text = EXAMPLE.read_text()
    assert len(uses := tensorrt_uses(text)) > 10
    assert missing(uses, PLAIN) == []
    objects = {"cuda": "", "gpu": "Context", "stream": "Stream"}
    assert len(uses := set(used_names(text, objects))) > 8
    assert missing(uses, PYCUDA) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16"),
        ("engine.device_memory_size", "ICudaEngine.device_memory_size"),
        ("self._engine.get_binding_index(0)", "ICudaEngine.get_binding_index"),
        ("trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "EXPLICIT_BATCH"),
    ],
)
def test_a_name_that_is_gone_is_noticed(line: str, said: str) -> None:
    faults = missing(tensorrt_uses(line), PLAIN)
    assert [fault for fault in faults if "11.4" in fault and fault.endswith(said)]


STANDINS = [
    ("tensorrt_api.py", RTX, {"Severity", "answer"}),
    ("cuda_driver.py", DRIVERS, {"Handle"}),
    ("pycuda_driver.py", PYCUDA, set()),
]


def declared(module: ModuleType) -> Iterator[tuple[str, list[str] | None]]:
    """Public names of a stand-in, CLASS.member, with the parameters of functions."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, list(inspect.signature(value).parameters)
            continue
        yield name, None
        if isinstance(value, enum.EnumMeta):
            yield from ((f"{name}.{member}", None) for member in value.__members__)
            continue
        for member, content in vars(value).items():
            if not member.startswith("_"):
                function = getattr(content, "__func__", content)
                parameters = None
                if inspect.isfunction(function):
                    parameters = list(inspect.signature(function).parameters)
                    parameters = [word for word in parameters if word != "self"]
                yield f"{name}.{member}", parameters


@pytest.mark.parametrize(("file", "lists", "own"), STANDINS)
def test_the_standins_have_what_the_real_ones_have(
    file: str, lists: tuple[str, ...], own: set[str]
) -> None:
    module = standins.load("standin", file)
    count = 0
    for which, names in names_of(lists).items():
        for name, parameters in declared(module):
            if name.partition(".")[0] in own or name == "Context.detach":
                continue
            count += 1
            assert name in names, f"{which} has no {name}"
            overloads = [text.split(", ") if text else [] for text in names[name]]
            if parameters is not None and any(overloads):
                assert any(parameters == overload for overload in overloads), (
                    f"{which}: {name} takes {overloads}, the stand-in {parameters}"
                )
    assert count > 20


def test_the_plain_standin_is_held_to_the_oldest_version_too() -> None:
    module = standins.load("standin", "tensorrt_api.py")
    names = names_of(PLAIN)
    for which, known in names.items():
        lacking = {
            name
            for name, _ in declared(module)
            if name not in known and name.partition(".")[0] not in ("Severity", "answer")
        }
        allowed = {"ICudaEngine.create_runtime_config"}
        kinds = {name.partition(".")[0] for name in lacking - allowed}
        assert kinds <= {"DynamicShapesKernelSpecializationStrategy", "IRuntimeConfig"}, which
