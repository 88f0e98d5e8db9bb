"""Markdown as safe HTML: what people and bots say, and documents."""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_spoken = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
_written = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
# Images stay out: they would call home from every reader's browser.
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
# Columns of a table stand left or right by an attribute: pages have no inline styles.
ALIGNED = re.compile(r'style="text-align:(left|right|center)"')


def prose(text: str) -> SafeString:
    """What somebody says: a line break is one."""
    return _clean(_spoken.render(text))


def document(text: str) -> SafeString:
    """A file: its lines flow."""
    return _clean(_written.render(text))


def _clean(html: str) -> SafeString:
    clean = nh3.clean(
        ALIGNED.sub(r'align="\1"', html),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308  # nh3 has just cleaned it
