"""What a page of HTML holds, and whether it needs anything beside itself."""

from __future__ import annotations

from html.parser import HTMLParser

_ALONE = {"meta", "link", "br", "rect", "path", "circle", "polyline"}
_LOADING = {"script", "iframe", "object", "embed", "img", "audio", "video", "source", "use", "image", "base"}


class Page(HTMLParser):
    """A parsed page: `tags` with their attributes, `text` by the id of what is around it, `blocks` of `pre`.

    Raises:
        AssertionError: an element is not closed where it should be.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.blocks: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "pre":
            self.blocks.append("")
        if tag not in _ALONE:
            self._open.append((tag, found.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _ALONE:
            assert self._open, f"</{tag}> closes nothing"
            assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if any(tag == "pre" for tag, _ in self._open):
            self.blocks[-1] += data
        for _, name in self._open:
            if name:
                self.text[name] = self.text.get(name, "") + data

    def needs(self) -> list[str]:
        """What it would load or run: nothing, of a page that stands alone."""
        loading = [tag for tag, _ in self.tags if tag in _LOADING]
        runs = [name for _, attrs in self.tags for name in attrs if name.startswith("on")]
        links = [attrs.get("href") or "" for tag, attrs in self.tags if tag in ("a", "link")]
        away = [link for link in links if not link.startswith(("/", "data:,"))]
        return [*loading, *runs, *away]
