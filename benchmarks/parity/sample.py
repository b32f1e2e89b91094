"""Images with PyTorch's answers, made ready once to judge the answers of many candidates.

n images. `verify` judges one engine with all its evidence; this gives the gates alone, faster, for
whoever has a hundred engines to judge on the same images.
"""

from benchmarks.parity.gates import Gate, Judge, finite_gate, not_measured
from benchmarks.parity.margins import Margins
from benchmarks.parity.outputs import (
    Mesh,
    Outputs,
    ground_truth,
    predicted,
)
from benchmarks.parity.quantities import movements
from benchmarks.parity.tensors import compare
from engines.bundle import Reference
from engines.errors import UserError
from trans3dhead.metrics import METRICS, per_image


class Sample:
    """The reference's side, measured once.

    Args:
        reference: images, answers and the truth; a truth is needed.
        mesh: gives the vertices where a graph does not; its basis is needed then.
        margins: of the recipe.
        crop_size: side of the crop, pixels.

    Raises:
        UserError: there is no ground truth, or no basis where one is needed.
    """

    def __init__(
        self, reference: Reference, mesh: Mesh, margins: Margins, *, crop_size: int
    ) -> None:
        truth = ground_truth(reference)
        if truth is None:
            raise UserError(
                "the reference images have no ground truth; expected annotated ones; export with "
                "`--reference FOLDER`, or with rendered heads"
            )
        self.reference, self.mesh, self.crop_size = reference, mesh, crop_size
        self._truth = truth
        self._expected = self._with_vertices(reference.outputs())
        self._metrics = self._measured(self._expected)
        means = {name: float(values.mean()) for name, values in self._metrics.items()}
        self._judge = Judge.of(margins.absolute(means), len(reference))

    def gates(self, answers: Outputs) -> list[Gate]:
        """Every gate but those of batches and precision, for answers to all images."""
        tensors = [compare(name, answers[name], self._expected[name]) for name in answers]
        gates = [finite_gate(tensor) for tensor in tensors]
        if any(gate.verdict == "fail" for gate in gates):
            return gates
        answers = self._with_vertices(answers)
        for quantity in movements(answers, self._expected, self.crop_size):
            gates += self._judge.movement(quantity)
        try:
            found = self._measured(answers)
        except UserError as error:
            return [*gates, not_measured("engine", "metrics", "", str(error))]
        return gates + [
            self._judge.metric(name, found[name] - self._metrics[name])
            for name in METRICS
            if name in found
        ]

    def _with_vertices(self, outputs: Outputs) -> Outputs:
        if "vertices" in outputs:
            return outputs
        vertices = self.mesh.vertices(outputs["params"], lambda *_: None, "")
        if vertices is None:
            raise UserError(self.mesh.reason)
        return {**outputs, "vertices": vertices}

    def _measured(self, outputs: Outputs) -> Outputs:
        return per_image(predicted(outputs, self.reference.crops), self._truth, self.mesh.surface)
