"""Charts and meshes that the reader can turn, drawn by Plotly within the page.

A figure is handed to the page as data; its script draws it in the page's own colours, light or
dark, and again when the reader changes between them.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from benchmarks.report.pieces import Html

COLORS = 6
"""Of the page, --series-1 and on; a trace names one by its number."""
MAX_POINTS = 4000
"""Of a curve: more cannot be told apart on a screen."""

Trace = dict[str, Any]


def chart(
    traces: Sequence[Trace],
    *,
    title: str,
    x: str,
    y: str,
    height: int = 320,
    layout: Mapping[str, Any] | None = None,
) -> Html:
    """A Plotly chart.

    Args:
        traces: Plotly's own; where `marker.color` or `line.color` is a number k, the page's k-th
            colour is taken.
        x, y: the axes' labels, units included.
        layout: what else Plotly's layout shall have.
    """
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    return _figure(traces, _merged(axes, layout or {}), title=title, height=height)


def histogram(
    values: NDArray[np.floating], *, title: str, unit: str, margin: float | None = None
) -> Html:
    """How values are spread; the margin as a line where there is one."""
    counts, edges = np.histogram(values, bins=min(40, max(8, len(values) // 4)))
    bars = {
        "type": "bar",
        "x": _short((edges[1:] + edges[:-1]) / 2),
        "y": counts.tolist(),
        "width": _short(np.diff(edges)),
        "marker": {"color": 0},
        "hovertemplate": f"%{{x:.4g}} {unit}: %{{y}} images<extra></extra>",
    }
    layout: dict[str, Any] = {"bargap": 0.05, "showlegend": False, "xaxis": {"rangemode": "tozero"}}
    if margin is not None and margin < 3 * float(edges[-1]):
        layout["shapes"] = [
            {"type": "line", "x0": margin, "x1": margin, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": 1, "dash": "dash", "width": 2}}
        ]  # fmt: skip
        layout["annotations"] = [
            {"x": margin, "yref": "paper", "y": 1, "text": "margin", "showarrow": False,
             "xanchor": "left", "xshift": 4}
        ]  # fmt: skip
    return chart([bars], title=title, x=unit, y="images", height=240, layout=layout)


def mesh_view(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    title: str,
    values: NDArray[np.floating] | None = None,
    unit: str = "",
    colors: NDArray[np.uint8] | None = None,
    height: int = 460,
) -> Html:
    """A head one can turn, coloured by a value or by its own colours.

    Args:
        vertices: [V, 3] model space: x to the subject's left, y up, z out of the face.
        faces: [F, 3].
        values: [V], shown with a scale from 0 to the largest.
        colors: [V, 3] RGB.
    """
    mesh: Trace = {
        "type": "mesh3d",
        **{axis: _packed(vertices[:, i], "f4") for i, axis in enumerate("xyz")},
        **{corner: _packed(faces[:, i], "u2") for i, corner in enumerate("ijk")},
        "lighting": {"ambient": 0.45, "diffuse": 0.75, "specular": 0.08, "roughness": 0.9},
        "lightposition": {"x": 0.3, "y": 0.6, "z": 2},
    }
    if values is not None:
        top = float(np.max(values))
        mesh |= {
            "intensity": _packed(values, "f4"),
            "colorscale": "Viridis",
            "cmin": 0,
            "cmax": top or 1,
            "colorbar": {"title": {"text": unit}, "thickness": 12, "len": 0.8, "outlinewidth": 0},
            "hovertemplate": f"%{{intensity:.3g}} {unit}<extra></extra>",
        }
    elif colors is not None:
        mesh |= {
            "vertexcolor": [f"rgb({r},{g},{b})" for r, g, b in colors.tolist()],
            "hoverinfo": "skip",
        }
    hidden = {"visible": False}
    scene = {
        "aspectmode": "data",
        "dragmode": "orbit",
        "camera": {"eye": {"x": 0.35, "y": 0.15, "z": 1.9}, "up": {"x": 0, "y": 1, "z": 0}},
        **{f"{axis}axis": hidden for axis in "xyz"},
    }
    layout = {"scene": scene, "margin": {"l": 0, "r": 0, "t": 8, "b": 0}}
    return _figure([mesh], layout, title=title, height=height)


def thinned(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """At most MAX_POINTS of sorted values, evenly picked, the ends kept."""
    if len(values) <= MAX_POINTS:
        return values
    return values[np.linspace(0, len(values) - 1, MAX_POINTS).round().astype(int)]


def _figure(traces: Sequence[Trace], layout: Mapping[str, Any], *, title: str, height: int) -> Html:
    data = json.dumps({"data": list(traces), "layout": {"height": height, **layout}})
    # Within a script element only "</" could end it.
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>'
        '<div class="plot" style="height:{}px"></div>'
        '<script type="application/json">{}</script></figure>'
    ).format(title, height, Markup(data.replace("</", "<\\/")))


def _packed(values: NDArray[Any], dtype: str) -> dict[str, str]:
    """Plotly's own form of a typed array."""
    raw = np.ascontiguousarray(values, dtype=f"<{dtype}").tobytes()
    return {"dtype": dtype, "bdata": base64.b64encode(raw).decode()}


def _short(values: NDArray[np.floating]) -> list[float]:
    """Numbers with six significant digits: what a chart can show."""
    return [float(f"{value:.6g}") for value in values.tolist()]


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for name, value in second.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) else value
    return merged
