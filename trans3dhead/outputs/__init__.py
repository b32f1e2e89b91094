"""What is made of a prediction: drawings on the photo, meshes, maps, JSON.

`kinds` lists the kinds, `painters` draws them, `files` encodes them, `writing` does it for a photo.
"""

from trans3dhead.outputs.kinds import OUTPUT_KINDS, OutputKind, check_kinds
from trans3dhead.outputs.record import record
from trans3dhead.outputs.writing import draw_outputs, write_outputs

__all__ = [
    "OUTPUT_KINDS",
    "OutputKind",
    "check_kinds",
    "draw_outputs",
    "record",
    "write_outputs",
]
