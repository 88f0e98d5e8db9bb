"""What the words of addresses, queries, bodies and forms stand for: an id of some row, or nothing of the kind."""

from django.apps import apps

from tests.houses.furniture import OURS

# What a place is called where its model is called otherwise.
CALLED = {
    "parent": "thread",
    "binding": "secretbinding",
    "policy": "activationpolicy",
    "supersedes": "memory",
    "user": "agent",
    "member": "agent",
    "by": "agent",
    "author": "agent",
    "stream_id": "stream",
    "run": "command",
    "delivery": "secretdelivery",
    "environment_id": "environment",
    "row": "row",
    "scope": "scope",
    "place": "scope",
    "object": "scope",
    "on": "scope",
    "source_thread": "thread",
    "source_run": "command",
    "bot": "agent",
    "entry": "inboxentry",
    "key_secret": "secret",
    "message": "waitingmessage",
    "reply": "answer",
    "waiting": "waitingmessage",
    "where": "environment",
}
# What names no row, however it is filled in. A word that is neither here nor a row's fails the suite.
PLAIN = {
    *("after", "at", "before", "cursor", "etag", "find", "limit", "page", "since", "until", "word", "words", "q"),
    *("bit", "bits", "code", "day", "days", "email", "expires_at", "format", "key", "kind", "lang", "life", "months"),
    *("name", "new_password", "next", "old_password", "password", "role", "runtime", "title", "trigger", "type"),
    *("command_text", "config", "confidence", "content", "description", "env", "external_id", "files", "header"),
    *("image", "note", "path", "from_path", "paths", "schema", "secret_name", "setup", "source"),
    *("subject", "tag", "tags", "target", "targets", "text", "value", "base", "folder", "url", "method"),
    *("label", "mime_type", "byte_ref", "commit", "metadata", "secret_bindings", "provider_id", "external"),
    *("rotate", "superseded", "in", "why", "forget", "variables"),
    *("arguments", "link", "source_ref", "remember_me", "csrfmiddlewaretoken", "enabled", "private", "of_installation"),
    *("not_me", "not_theirs", "expires_in"),
    *("address", "api", "model", "system_prompt", "question", "month", "per", "run_usd", "month_usd"),
    *("all", "children", "done", "limits", "unread", "waits"),
    "session_id",  # of a browser, and of no house
    *("closed", "delete", "network", "pinned", "remove", "reopen", "revoke", "withdraw", "view", "table"),
    *("cpu_seconds", "file_mb", "memory_mb", "output_mb", "processes", "wall_seconds", "wall_minutes"),
}  # fmt: skip
# Kept by name as well as by id.
NAMED = {"secret"}

# What an object without a shape of its own is tried with.
IN_OBJECTS = ("agent", "environment", "repository", "resource", "secret", "thread", "tool")


def models_by_word() -> dict[str, type]:
    """Every model of ours, by its name in small letters."""
    return {model._meta.model_name: model for model in apps.get_models() if model._meta.app_label in OURS}


def row_named_by(word: str) -> str | None:
    """Which row's id belongs where this word stands; None for a word that names no row."""
    word = word.lower().replace("-", "_")
    for ending in ("", "_id", "_ids", "_pk", "s", "_uuid"):
        stem = word.removesuffix(ending) if word.endswith(ending) else ""
        stem = CALLED.get(stem, stem)
        if stem in models_by_word() or stem in CALLED.values():
            return stem
    stem = word.removesuffix("ies") + "y"
    stem = CALLED.get(stem, stem)
    return stem if stem in models_by_word() else None


def is_plain(word: str) -> bool:
    return word.lower().replace("-", "_") in PLAIN
