"""Files of a report: pictures of figures, and files that are replaced whole."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

from sret_search.reporting.render.style import styled  # before any other import of Matplotlib

# isort: split
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

_DPI = 300


def pictures(figure: Figure) -> dict[str, bytes]:
    """The figure as bytes, by kind of file. The same results give the same bytes. Bitmaps have 300
    dpi and 256 colours, since a chart has few colours."""
    with (
        ThreadPoolExecutor(1) as pool,
        styled(),
        warnings.catch_warnings(),
    ):
        # A name may have letters that the font lacks. The picture then has boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # Another core compresses the bitmap at the same time.
        bitmap = pool.submit(_png, _bitmap(figure))
        figure.set_layout_engine("none")  # all kinds have the layout of the first
        # Each canvas prints by itself, since `savefig` draws a figure twice to lay it out.
        svg, pdf = io.BytesIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
        undated = {"CreationDate": None, "Producer": None}
        FigureCanvasPdf(figure).print_pdf(pdf, metadata=undated)
    return {"png": bitmap.result(), "svg": svg.getvalue(), "pdf": pdf.getvalue()}


def _bitmap(figure: Figure) -> Image.Image:
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # A view of the canvas: at 300 dpi each copy takes 20 MB.
    view = Image.frombuffer(
        "RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1
    )
    return view.convert("RGB")


def _png(image: Image.Image) -> bytes:
    reduced = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="png", dpi=(_DPI, _DPI))
    return buffer.getvalue()
