"""What is brought in from elsewhere, by whom, and what nobody reaches that way."""

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pygit2
import pytest
from django.db import connection

from artifacts import sources
from artifacts.bare import Author, Bare
from artifacts.models import Repository
from artifacts.sources import CannotImport, bring
from houses.tenancy import inside

ADA = Author("Ada", "ada@arbe")


@pytest.fixture
def refused(tmp_path):
    """What is said to somebody who is not trusted; nothing is left behind."""

    def ask(source, trusted=False, **more):
        with pytest.raises(CannotImport) as no:
            bring(tmp_path / "new.git", source, ADA, trusted=trusted, **more)
        assert not (tmp_path / "new.git").exists()
        return no.value.detail

    return ask


class Door(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.sends_to:
            self.send_response(302)
            self.send_header("Location", f"{self.server.sends_to}{self.path}")
        else:
            self.send_response(404)
        self.end_headers()

    def log_message(self, *said):
        pass


@pytest.fixture
def serve():
    running = []

    def start(sends_to=""):
        server = HTTPServer(("127.0.0.1", 0), Door)
        server.asked, server.sends_to = [], sends_to
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "source",
    [
        "http://127.0.0.1:{}/x.git",
        "http://localhost:{}/x.git",
        "http://2130706433:{}/x.git",
        "http://[::1]:{}/x.git",
        "http://[::ffff:127.0.0.1]:{}/x.git",
        "http://0.0.0.0:{}/x",
        "git://10.0.0.1:{}/x",
        "ssh://git@192.168.1.1:{}/x",
        "git@169.254.169.254:x.git",
        "https://user:secret@127.0.0.1:{}/x",
    ],
)
def test_addresses_that_only_the_server_reaches_are_for_those_who_are_trusted(refused, serve, source):
    server = serve()
    assert "not on the public internet" in refused(source.format(server.server_port))
    assert server.asked == []


@pytest.mark.parametrize("source", ["http://a\\@127.0.0.1/x", "http://a@b@127.0.0.1/x", "http://1.1.1.1#@127.0.0.1/"])
def test_an_address_that_can_be_read_in_two_ways_is_not_read(refused, source):
    assert "odd address" in refused(source)


def test_whatever_fails_the_untrusted_hear_one_sentence_and_nobody_hears_a_password(refused, serve, monkeypatch):
    server = serve()
    everywhere = f"http://me:hunter2@example.com:{server.server_port}/x.git"
    monkeypatch.setattr(sources, "_refuse_if_inside", lambda address: None)
    closed = "http://me:hunter2@127.0.0.1:1/x.git"
    assert refused(closed) == "`http://127.0.0.1:1/x.git` could not be fetched."
    there = everywhere.replace("example.com", "127.0.0.1")
    assert refused(there) == f"`http://127.0.0.1:{server.server_port}/x.git` could not be fetched."
    assert "hunter2" not in refused(closed, trusted=True) + refused(there, trusted=True)
    assert "404" in refused(there, trusted=True)


def test_the_untrusted_are_not_led_to_another_host(refused, serve, monkeypatch):
    monkeypatch.setattr(sources, "_refuse_if_inside", lambda address: None)
    inner = serve()
    outer = serve(sends_to=f"http://localhost:{inner.server_port}")
    refused(f"http://127.0.0.1:{outer.server_port}/x.git")
    assert outer.asked and not inner.asked
    refused(f"http://127.0.0.1:{outer.server_port}/x.git", trusted=True)
    assert inner.asked


def test_a_server_that_never_answers_is_given_up(refused, monkeypatch):
    assert (pygit2.settings.server_connect_timeout, pygit2.settings.server_timeout) == (10_000, 60_000)
    monkeypatch.setattr(pygit2.settings, "server_timeout", 300)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        refused(f"git://127.0.0.1:{deaf.getsockname()[1]}/x", trusted=True)
    assert time.monotonic() - began < 5
    pygit2.settings.server_timeout = 60_000


def test_more_than_fits_is_not_brought_in(refused, tmp_path, monkeypatch):
    bare = Bare.create(tmp_path / "one.git", ADA)
    monkeypatch.setattr(sources, "MOST_OBJECTS", 1)
    assert "million objects" in refused(str(bare.path), trusted=True)


def test_what_the_installation_keeps_is_imported_by_nobody(refused, tmp_path):
    var = tmp_path / "outer/var"
    theirs = Bare.create(var / "repositories/elm/x.git", ADA)
    (tmp_path / "link").symlink_to(theirs.path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work/.git").write_text(f"gitdir: {theirs.path}\n")
    for source in (theirs.path, var, tmp_path / "link", tmp_path / "work", tmp_path / "outer"):
        assert "keeps its own files" in refused(str(source), trusted=True, closed=var)
    pygit2.init_repository(str(tmp_path / "outer"))  # a checkout with its `var` in it, which git does not hold
    bring(tmp_path / "two.git", str(tmp_path / "outer"), ADA, closed=var)


def test_nothing_is_held_in_the_database_while_a_repository_arrives(committed, oak, ada, tmp_path, monkeypatch):
    (tmp_path / "a").write_text("1")
    seen, bringing = [], sources.bring

    def look(*given, **named):
        seen.append(connection.in_atomic_block)
        return bringing(*given, **named)

    monkeypatch.setattr("artifacts.repositories.bring", look)
    ada.is_operator = True
    made = Repository.objects.create_in(oak, "copy", by=ada, source=str(tmp_path))
    assert seen == [False]
    with inside(oak, ada):
        assert Repository.objects.get(pk=made.pk).read("a") == b"1"


def test_what_was_left_by_the_dead_is_taken_away_after_a_day(oak, ada, var):
    folder = var / "repositories" / oak.pk
    for name, age in (("old", 90_000), ("new", 1000)):
        (folder / f".arriving-{name}").mkdir(parents=True)
        os.utime(folder / f".arriving-{name}", (time.time() - age,) * 2)
    made = Repository.objects.create_in(oak, "work", by=ada)
    assert sorted(path.name for path in folder.iterdir()) == [".arriving-new", f"{made.pk}.git"]


def test_only_its_own_user_may_look_into_the_folder_of_repositories(oak, ada, var):
    Repository.objects.create_in(oak, "work", by=ada)
    for folder in ("repositories", f"repositories/{oak.pk}"):
        assert (var / folder).stat().st_mode & 0o777 == 0o700
