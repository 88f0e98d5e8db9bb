"""Files, people, secrets and environments through their pages."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from houses.tenancy import inside

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada_browses(client_of, ada):
    return client_of(ada)


def text_of(answer):
    return answer.content.decode()


def test_a_table_is_shown_as_one_and_a_document_is_rendered(ada_browses, at, repository):
    assert "<td>0.5</td>" in text_of(ada_browses.get(at("file", repository.pk, "data/weather.csv")))
    readme = text_of(ada_browses.get(at("file", repository.pk, "README.md")))
    assert "<h1>Weather</h1>" in readme and "<script>alert" not in readme


def test_raw_files_are_harmless(ada_browses, oak, ada, at, repository):
    with inside(oak, ada):
        repository.write("page.html", b"<script>alert(1)</script>", by=ada)
    answer = ada_browses.get(at("raw", repository.pk, "page.html"))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_what_somebody_else_saved_is_not_overwritten(ada_browses, oak, bo, at, repository):
    edit = at("file_edit", repository.pk, "README.md")
    base = re.search(r'name="base" value="(\w+)"', text_of(ada_browses.get(edit)))[1]
    with inside(oak, bo):
        repository.write("README.md", b"Bo was here\n", by=bo)
    answer = ada_browses.post(edit, {"text": "mine", "base": base})
    assert answer.status_code == 409
    assert "changed by somebody else" in text_of(answer) and "mine" in text_of(answer)


def test_a_file_is_written_and_uploaded(ada_browses, oak, ada, at, repository):
    ada_browses.post(at("file_new", repository.pk), {"path": "notes/a.md", "text": "hello"})
    ada_browses.post(at("upload", repository.pk), {"in": "data", "files": SimpleUploadedFile("b.bin", b"\0\1")})
    with inside(oak, ada):
        assert repository.read("notes/a.md") == b"hello\n"
        assert repository.read("data/b.bin") == b"\0\1"


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ".git/config", ""])
def test_a_path_outside_the_repository_is_refused(ada_browses, at, repository, path):
    answer = ada_browses.post(at("file_new", repository.pk), {"path": path, "text": "x"})
    assert answer.status_code == 400
    assert "is not a path inside the repository" in text_of(answer)


def test_a_person_is_added_and_comes_in_by_a_link_once(ada_browses, client, at, ada):
    type(ada).objects.filter(pk=ada.pk).update(is_operator=True)
    page = text_of(ada_browses.post(at("members"), {"kind": "human", "email": "dee@oak.example", "name": "Dee"}))
    link = re.search(r'data-copy="http://127.0.0.1:8000([^"]+)"', page)[1]
    assert link not in text_of(ada_browses.get(at("members")))
    assert client.get(link).status_code == 200
    assert client.post(link).status_code == 302
    assert client.get(at("house")).status_code == 200
    assert client.post(link).status_code == 401


def test_an_operator_gets_no_link_for_somebody_who_was_here_before(ada_browses, at, ada, cy):
    type(ada).objects.filter(pk=ada.pk).update(is_operator=True)
    page = text_of(ada_browses.post(at("members"), {"kind": "human", "email": "CY@elm.example"}))
    assert "/invitations/" in page and "/sign-in/" not in page


def test_an_owner_invites_whoever_they_add(ada_browses, at, cy):
    page = text_of(ada_browses.post(at("members"), {"kind": "human", "email": "CY@elm.example"}))
    assert "/invitations/" in page and "/sign-in/" not in page and "Cy" not in text_of(ada_browses.get(at("members")))


def test_only_owners_add_people(client_of, bo, at):
    answer = client_of(bo).post(at("members"), {"kind": "human", "email": "dee@oak.example"})
    assert answer.status_code == 403
    assert "Only an owner" in text_of(answer)


def test_a_bot_gets_a_token_that_is_shown_once(ada_browses, at, oak):
    page = text_of(ada_browses.post(at("members"), {"kind": "bot", "name": "Scribe", "runtime": "pi"}))
    assert f"arbe_{oak.pk}_" in page
    assert f"arbe_{oak.pk}_" not in text_of(ada_browses.get(at("members")))


def test_the_last_owner_stays(ada_browses, ada, at):
    answer = ada_browses.post(at("member", ada.pk), {"remove": "1"})
    assert answer.status_code == 403
    assert "keeps at least one owner" in text_of(answer)


def test_a_secret_is_written_and_never_read_back(ada_browses, at):
    ada_browses.post(at("secrets"), {"name": "API_KEY", "value": "hush-hush-value"})
    page = text_of(ada_browses.get(at("secrets")))
    assert "API_KEY" in page and "hush-hush-value" not in page
    ada_browses.post(at("secret", "API_KEY"), {"delete": "1"})
    assert "API_KEY</b>" not in text_of(ada_browses.get(at("secrets")))


def test_an_environment_is_described_and_changed(ada_browses, oak, ada, at, environment, settings):
    settings.SANDBOX_NETWORK = True
    page = ada_browses.get(at("environment", environment.pk))
    fields = page.context["form"].initial | {
        "name": "Online",
        "network": "on",
        "variables": "A=1\nB=x=y",
        "secrets": "KEY\nMAYBE?",
    }
    answer = ada_browses.post(at("environment", environment.pk), fields)
    assert answer.status_code == 302, text_of(answer)
    with inside(oak, ada):
        environment.refresh_from_db()
    assert environment.config["network"] is True
    assert environment.config["env"] == {"A": "1", "B": "x=y"}
    assert environment.secret_bindings == [{"name": "KEY", "required": True}, {"name": "MAYBE", "required": False}]


def test_a_wrong_recipe_is_refused_beside_what_was_typed(ada_browses, at, environment):
    fields = ada_browses.get(at("environment_new")).context["form"]
    values = {name: field.initial for name, field in fields.fields.items() if field.initial is not None}
    answer = ada_browses.post(at("environment_new"), values | {"name": "x", "secrets": "lower case"})
    assert answer.status_code == 400
    assert "capital letters" in text_of(answer) and "lower case" in text_of(answer)


def test_a_name_is_changed(ada_browses, ada):
    assert ada_browses.post("/you/", {"name": "Ada L."}).status_code == 302
    ada.refresh_from_db()
    assert ada.name == "Ada L."


def shown_once(page):
    return re.search(r'data-copy="([^"]+)"', page)[1]


def test_a_person_makes_a_token_of_their_own_and_revokes_it(ada_browses, client, ada, oak):
    page = text_of(ada_browses.post("/you/tokens/", {"house": oak.pk, "name": "laptop"}))
    text = shown_once(page)
    assert text.startswith(f"arbe_{oak.pk}_") and "not used yet" in page
    sent = {"Authorization": f"Bearer {text}"}
    assert client.get(f"/api/houses/{oak.pk}/", headers=sent).status_code == 200
    listed = text_of(ada_browses.get("/you/"))
    assert "laptop" in listed and "used <time" in listed and text not in listed
    revoke = re.search(r'action="(/houses/[^"]+/settings/tokens/[^"]+)"', listed)[1]
    assert ada_browses.post(revoke).headers["Location"] == "/you/"
    assert client.get(f"/api/houses/{oak.pk}/", headers=sent).status_code == 401
    assert "Revoke" not in text_of(ada_browses.get("/you/"))


def test_a_token_is_for_one_of_ones_own_houses(ada_browses, oak, elm):
    for elsewhere in (elm.pk, "nowhere", "\ud7ff", ""):
        assert ada_browses.post("/you/tokens/", {"house": elsewhere, "name": "x"}).status_code == 404
    assert 'id="token-house"' not in text_of(ada_browses.get("/you/"))


def test_a_bots_tokens_are_listed_with_it_and_revoked_by_owners(ada_browses, client_of, ada, bo, oak, scribe, at):
    ada_browses.post(at("bot_token", scribe.pk))
    listed = text_of(ada_browses.get(at("members")))
    revoke = re.search(r'action="(/houses/[^"]+/settings/tokens/[^"]+)"', listed)[1]
    assert "/settings/tokens/" not in text_of(client_of(bo).get(at("members")))
    assert client_of(bo).post(revoke).status_code == 404
    assert ada_browses.post(revoke).headers["Location"] == at("members")
    assert "/settings/tokens/" not in text_of(ada_browses.get(at("members")))


def test_nobody_elses_tokens_are_there(client_of, cy, elm, oak, ada_browses):
    page = text_of(ada_browses.post("/you/tokens/", {"house": oak.pk, "name": "laptop"}))
    revoke = re.search(r'action="(/houses/[^"]+/settings/tokens/[^"]+)"', page)[1]
    assert client_of(cy).post(revoke).status_code == 404
    assert client_of(cy).post(revoke.replace(oak.pk, elm.pk)).status_code == 404


def test_an_operator_makes_another_link_for_somebody_who_lost_theirs(ada_browses, client, ada, bo, at):
    assert "New sign-in link" not in text_of(ada_browses.get(at("members")))
    assert ada_browses.post(at("another_link", bo.pk)).status_code == 403
    type(ada).objects.filter(pk=ada.pk).update(is_operator=True)
    assert "New sign-in link" in text_of(ada_browses.get(at("members")))
    link = shown_once(text_of(ada_browses.post(at("another_link", bo.pk))))
    assert client.post("/" + link.split("/", 3)[3]).status_code == 302


def test_a_secret_that_is_not_there_is_not_replaced(ada_browses, at):
    assert ada_browses.post(at("secret", "NOPE"), {"value": "x"}).status_code == 404
