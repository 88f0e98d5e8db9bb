"""Markdown as safe HTML."""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def aligned(html: str) -> str:
    """Columns of a table stand left or right by an attribute: pages have no inline styles."""
    return re.sub(r'style="text-align:(left|right|center)"', r'align="\1"', html)


def prose(text: str) -> SafeString:
    """What people and bots write. Images stay out: they would call home from every reader's browser."""
    clean = nh3.clean(
        aligned(_markdown.render(text)),
        tags=TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308  # nh3 has just cleaned it
