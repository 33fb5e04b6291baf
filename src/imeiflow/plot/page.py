"""A figure as a page of its own, and in a file by its name. The page asks nobody for anything: no script, no font."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from imeiflow.errors import UsageError
from imeiflow.plot.figure import Figure
from imeiflow.plot.svg import write_svg

SUFFIXES = (".png", ".html", ".svg")

_STYLE = """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:56rem;padding:1.5rem;background:#fff;color:#1b1f24;
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:.35rem .75rem;text-align:right;border-bottom:1px solid #e3e6ea;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
@media (prefers-color-scheme:dark){body{background:#14171b;color:#e8eaed}th,td{border-color:#2a2f36}}
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_page(
    figure: Figure, *, headings: Sequence[str] = (), rows: Sequence[Sequence[str]] = (), notes: Sequence[str] = ()
) -> str:
    """Write a page with the plot, its numbers as a table, and sentences below."""
    table = _write_table(headings, rows) if headings else ""
    told = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(figure.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{write_svg(figure)}{told}{table}</main>\n</body>\n</html>\n"
    )


def _write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide">\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n'


def check_plot_path(path: Path) -> None:
    """Raise UsageError unless a plot can be kept under that name: said before the work, not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            problem=f"{path.name}: a plot is a picture or a page", remedy=f"End its name with {', '.join(SUFFIXES)}."
        )
    if not path.absolute().parent.is_dir():
        raise UsageError(problem=f"{path}: there is no directory {path.parent}", remedy="Create it, or name another.")


def save_plot(
    path: Path,
    figure: Figure,
    *,
    headings: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
    notes: Sequence[str] = (),
) -> None:
    """Keep a plot as PNG, page or SVG, by the end of its name. Raises UsageError where it cannot be written."""
    check_plot_path(path)
    match path.suffix.lower():
        case ".png":
            from imeiflow.plot.png import write_png  # noqa: PLC0415 - not cheap

            content = write_png(figure)
        case ".html":
            content = write_page(figure, headings=headings, rows=rows, notes=notes).encode()
        case _:
            content = write_svg(figure).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(problem=f"{path}: {error.strerror}", remedy="Name another file.") from error
