"""Data Docs that stand alone: pages that load nothing from elsewhere, and an index that tells the whole day.

What Great Expectations writes lives from scripts, styles and fonts of other hosts, and its index is made by a script.
Kept of its pages is what tells something: texts, tables, and links to other pages of the same folder.
"""

from collections.abc import Iterable, Mapping
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_KEPT = frozenset(
    "a b br code div em h1 h2 h3 h4 h5 h6 i li nav ol p pre small span strong table tbody td th thead tr ul".split()
)
_ATTRIBUTES = frozenset({"class", "colspan", "hidden", "id", "rowspan"})
# Left out with all that is in them; the labels are buttons of a script.
_LEFT_OUT = frozenset({"button", "footer", "head", "label", "script", "style", "svg", "title"})

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1d2730;background:#fff;margin:1.5rem auto;max-width:75rem;
padding:0 1rem}
a{color:#0b5cad}h1,h2,h3,h4,h5,h6{margin:.8rem 0 .3rem}h5{font-size:1.1rem}h6{font-size:1rem}
ul{list-style:none;padding-left:1rem}
table{border-collapse:collapse;margin:.5rem 0 1rem}th,td{border:1px solid #cfd8df;padding:.3rem .6rem;text-align:left;
vertical-align:top;overflow-wrap:anywhere}th{background:#eef3f6}table table{font-size:.9em}
.alert{background:#eef3f6;padding:.4rem .8rem;border-left:4px solid #7b93a3}
.badge,code{background:#e6ecf0;padding:0 .3rem;border-radius:3px;overflow-wrap:anywhere}
.text-success,.passed{color:#12702f}.text-danger,.failed{color:#b3161f;font-weight:600}.warned{color:#8a5a00}
i.text-success::before{content:"\\2714"}i.text-danger::before{content:"\\2718"}
.collapse,.cooltip .top{display:none}.collapse:target{display:block}.cooltip:hover .top{display:inline}
.sticky>.card:first-child{display:none}
nav ul,nav ol{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0}
@media(prefers-color-scheme:dark){body{color:#e4eaee;background:#14191d}a{color:#7fb8ef}th,.alert,.badge,code{
background:#252e35}th,td{border-color:#44525c}.text-success,.passed{color:#6fcf8a}.text-danger,.failed{color:#ff8f8f}
.warned{color:#e5b454}}
""".replace("\n", "")


def copy_pages(site: Path, docs: Path) -> None:
    """The pages of a site of Great Expectations in the folder `docs`, without its index; each stands alone."""
    for page in (path for folder in site.iterdir() if folder.is_dir() for path in folder.rglob("*.html")):
        target = docs / page.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(standing_alone(page.read_text(encoding="utf-8"), page.stem), encoding="utf-8")


def standing_alone(page: str, title: str) -> str:
    """A page without anything that a browser would load or run."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return _page(title, "".join(reader.parts))


def _page(title: str, body: str) -> str:
    # The policy holds even where a value of the data were markup that is not known here.
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


class _Reader(HTMLParser):
    """Keeps tags and attributes that only structure, and links within the folder."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._inside: list[str] = []
        self._links: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LEFT_OUT or (self._inside and tag == self._inside[-1]):
            self._inside.append(tag)
        if self._inside or tag not in _KEPT:
            return
        link = next((value or "" for name, value in attrs if name == "href"), "")
        if tag == "a":
            self._links.append(_at_home(link))
            if not self._links[-1]:
                return
        kept = [(name, value or "") for name, value in attrs if name in _ATTRIBUTES]
        kept += [("href", link)] if tag == "a" else []
        self.parts.append(f"<{tag}{''.join(_attribute(*pair) for pair in kept)}>")

    def handle_endtag(self, tag: str) -> None:
        if self._inside:
            if tag == self._inside[-1]:
                self._inside.pop()
        elif tag in _KEPT - {"br"} and (tag != "a" or (self._links and self._links.pop())):
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.parts.append(escape(data) if data.strip() else " ")


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"'


def _at_home(link: str) -> bool:
    return bool(link) and ":" not in link.partition("#")[0] and not link.startswith(("/", "\\"))


def write_index(docs: Path, title: str, report: Mapping[str, Any]) -> None:
    """`index.html`: what the day's report says, and links to the other pages."""
    docs.mkdir(parents=True, exist_ok=True)
    counts = [(name.replace("_", " "), report[name]) for name in _COUNTS if name in report]
    checks = sorted(report.get("checks", ()), key=lambda check: (check["passed"], check["severity"]))
    parts = [
        f"<h1>{escape(title)}</h1>",
        *_refusals("failed", "Refused", report.get("refusals", ())),
        *_refusals("warned", "Accepted by a person", report.get("accepted", ())),
        _table(("", "rows"), counts) if counts else "",
        _table(("check", "severity", "verdict", "judged", "broken", "seen"), map(_check, checks)) if checks else "",
        *_unusual(report.get("recent", {}).get("findings", ())),
        *_links(docs),
    ]
    (docs / "index.html").write_text(_page(title, "\n".join(parts)), encoding="utf-8")


_COUNTS = ("rows_in", "rows", "quarantined", "duplicates", "warnings")


def _refusals(kind: str, heading: str, refusals: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for refusal in refusals:
        why = f"expected {refusal['expected']}, seen {refusal['seen']}. To do: {refusal['action']}"
        yield f'<p class="alert"><span class="{kind}">{heading}: {escape(refusal["what"])}</span><br>{escape(why)}</p>'


def _check(check: Mapping[str, Any]) -> tuple[object, ...]:
    seen = check["observed"] or ", ".join(check["examples"])
    verdict = "passed" if check["passed"] else "failed" if check["severity"] == "blocking" else "warned"
    return check["name"], check["severity"], _Verdict(verdict), check["judged"], check["broken"], seen


def _unusual(findings: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """What is unlike the days before, the furthest first."""
    far = sorted((one for one in findings if one["verdict"] != "usual"), key=lambda one: -one["score"])
    if far:
        heads = ("unlike the days before", "aspect", "verdict", "seen", "usually", "from", "to")
        yield _table(heads, map(_finding, far))


def _finding(one: Mapping[str, Any]) -> tuple[object, ...]:
    refuses = one["verdict"] == "broken" and one["severity"] == "blocking"
    numbers = (f"{one[name]:.4g}" for name in ("value", "usual", "low", "high"))
    return one["name"], one["aspect"], _Verdict("failed" if refuses else "warned"), *numbers


class _Verdict(str):
    """A word that has a colour."""

    __slots__ = ()


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: object) -> str:
    colour = f' class="{value}"' if isinstance(value, _Verdict) else ""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td{colour}>{escape(text)}</td>"


def _links(docs: Path) -> Iterable[str]:
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.html") if path.parent != docs)
    for page in reversed(pages):
        folder, name, *_ = page.removesuffix(".html").split("/")
        yield f'<p><a href="{escape(page)}">{escape(folder)}: {escape(name)}</a></p>'
