"""Coming in: by password, link, code and provider; what is one's own; what every answer tells the browser."""

import re
from urllib.parse import urlsplit

import httpx
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver

from houses.attempts import WRONG_PASSWORDS, _account, wrong_password
from houses.giving import give
from houses.identity import take_factors_off
from houses.invitations import Invitation
from houses.models import Agent, Member, SignInLink
from houses.operators import FACTOR_HOLDS
from houses.tenancy import inside
from tests.pages.provider import Provider

WORD, OTHER = "correct horse battery staple", "a long and winding road"
pytestmark = pytest.mark.usefixtures("running")


def sign_in(client, email="ada@oak.example", password=WORD, **more):
    return client.post("/sign-in/", {"email": email, "password": password}, **more)


def is_in(client) -> bool:
    return client.get("/you/").status_code == 200


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[1]))


@pytest.fixture
def browser(ada):
    """Ada's, signed in with her password."""
    client = Client()
    assert sign_in(client).status_code == 302
    return client


@pytest.fixture
def factor(browser) -> str:
    """Ada has an authenticator; what its codes are made from."""
    assert browser.get("/you/factor/set-up/").headers["Location"].startswith("/you/again/")
    browser.post("/you/again/?next=/you/factor/set-up/", {"password": WORD})
    secret = re.search(r'class="secret">(\w+)<', browser.get("/you/factor/set-up/").content.decode())[1]
    assert browser.post("/you/factor/set-up/", {"code": "000000"}).status_code == 200
    answer = browser.post("/you/factor/set-up/", {"code": code_of(secret)})
    assert answer.headers["Location"] == "/you/factor/codes/"
    return secret


@pytest.fixture
def recovery(browser, factor) -> list[str]:
    return re.findall(r"<li>(\d{8})</li>", browser.get("/you/factor/codes/").content.decode())


# Password and code


def test_a_password_opens_in_any_case_of_its_address(client, ada):
    assert sign_in(client, "ADA@oak.example").headers["Location"] == "/" and is_in(client)


def test_one_lands_where_one_wanted_to_go_and_never_elsewhere(ada):
    for wanted, lands in (("/houses/", "/houses/"), ("//evil.example/", "/"), ("https://evil.example/", "/")):
        client = Client()
        assert (
            client.post(f"/sign-in/?next={wanted}", {"email": ada.email, "password": WORD}).headers["Location"] == lands
        )


def test_the_code_is_asked_for_after_the_password(ada, factor, recovery):
    client = Client()
    answer = sign_in(client, query_params={"next": "/houses/"})
    assert answer.headers["Location"] == "/sign-in/factor/" and not is_in(client)
    assert client.post("/sign-in/factor/", {"code": "000000"}).status_code == 200 and not is_in(client)
    assert client.post("/sign-in/factor/", {"code": recovery[0]}).headers["Location"] == "/houses/" and is_in(client)


def test_the_code_is_asked_for_after_a_link(ada, factor):
    client = Client()
    link = f"/sign-in/{SignInLink.objects.make(ada)}/"
    assert client.post(link).headers["Location"] == "/sign-in/factor/" and not is_in(client)
    client.post("/sign-in/factor/", {"code": code_of(factor)})
    assert is_in(client)


def test_a_recovery_code_is_for_once(ada, recovery):
    assert len(recovery) == 10
    for client, comes_in in ((Client(), True), (Client(), False)):
        sign_in(client)
        client.post("/sign-in/factor/", {"code": recovery[0]})
        assert is_in(client) is comes_in


def test_what_codes_are_made_from_is_sealed(factor):
    assert factor not in str(list(Authenticator.objects.values("data")))


def test_new_recovery_codes_end_the_old_ones(browser, recovery):
    browser.post("/you/factor/codes/new/")
    new = re.findall(r"<li>(\d{8})</li>", browser.get("/you/factor/codes/").content.decode())
    assert len(new) == 10 and not set(new) & set(recovery)


def test_taking_the_factor_off_asks_again(ada, factor, recovery):
    client = Client()
    sign_in(client)
    client.post("/sign-in/factor/", {"code": recovery[0]})
    for page in ("/you/factor/remove/", "/you/factor/codes/", "/you/factor/codes/new/"):
        assert client.get(page).headers["Location"].startswith("/you/again/"), page
    assert client.post("/you/factor/remove/").headers["Location"].startswith("/you/again/")
    assert Authenticator.objects.filter(user=ada).count() == 2
    client.post("/you/again/", {"password": WORD})
    client.post("/you/factor/remove/")
    assert not Authenticator.objects.exists()


def test_a_first_password_asks_for_the_factor(ada, browser, factor):
    Agent.objects.filter(pk=ada.pk).update(password="!")
    client = Client()
    client.post(f"/sign-in/{SignInLink.objects.make(ada)}/")
    client.post("/sign-in/factor/", {"code": code_of(factor)})
    new = {"password1": OTHER, "password2": OTHER}
    assert client.post("/you/password/first/", new).headers["Location"].startswith("/you/again/factor/")
    ada.refresh_from_db()
    assert not ada.has_usable_password()


def test_a_password_is_changed_by_who_knows_it_and_every_other_session_ends(ada, browser):
    other = Client()
    sign_in(other)
    new = {"password1": OTHER, "password2": OTHER}
    assert browser.post("/you/password/", {"oldpassword": "wrong", **new}).status_code == 200 and is_in(other)
    assert browser.post("/you/password/", {"oldpassword": WORD, **new}).headers["Location"] == "/you/"
    assert is_in(browser) and not is_in(other)
    assert sign_in(Client(), password=OTHER).status_code == 302


def test_a_first_password_is_chosen_by_who_came_by_a_link(client, ada):
    Agent.objects.filter(pk=ada.pk).update(password="!")
    client.post(f"/sign-in/{SignInLink.objects.make(ada)}/")
    assert client.get("/you/password/").headers["Location"] == "/you/password/first/"
    client.post("/you/password/first/", {"password1": OTHER, "password2": OTHER})
    assert sign_in(Client(), password=OTHER).status_code == 302


def test_a_closed_account_does_not_come_in(client, ada):
    ada.deactivate()
    assert sign_in(client).status_code == 403 and not is_in(client)


# Mail


def test_a_lost_password_is_replaced_by_mail(ada, settings):
    settings.SENDS_MAIL, client = True, Client()
    settings.ARBE_URL = "https://arbe.example"
    assert client.post("/sign-in/lost/", {"email": ada.email}).headers["Location"] == "/sign-in/lost/sent/"
    assert client.post("/sign-in/lost/", {"email": "nobody@oak.example"}).headers["Location"] == "/sign-in/lost/sent/"
    (letter,) = mail.outbox
    link = re.search(r"https://arbe\.example(/sign-in/lost/\S+)", letter.body)[1]
    form = client.get(link, follow=True)
    done = client.post(form.request["PATH_INFO"], {"password1": OTHER, "password2": OTHER})
    assert done.headers["Location"] == "/sign-in/lost/done/" and not is_in(client)
    assert sign_in(client, password=OTHER).status_code == 302
    assert "used or has expired" in Client().get(link).content.decode()


def test_a_mail_server_that_is_away_answers_nothing_else(ada, settings, caplog):
    settings.SENDS_MAIL, settings.EMAIL_BACKEND = True, "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    for email in (ada.email, "nobody@oak.example"):
        assert Client().post("/sign-in/lost/", {"email": email}).headers["Location"] == "/sign-in/lost/sent/"
    assert caplog.text.count("a letter could not be sent") == 1


def test_a_mail_shows_an_address_and_ends_what_others_connected(ada, settings):
    settings.SENDS_MAIL, client = True, Client()
    Agent.objects.filter(pk=ada.pk).update(address_shown=False)
    SocialAccount.objects.create(user=ada, provider="oidc", uid="s-1")
    client.post("/sign-in/lost/", {"email": ada.email})
    link = re.search(r"(/sign-in/lost/\S+-\S+)", mail.outbox[0].body)[1]
    form = client.get(link, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": OTHER, "password2": OTHER})
    ada.refresh_from_db()
    assert ada.address_shown and not SocialAccount.objects.exists()


def test_without_mail_the_page_says_whom_to_ask(client, ada):
    for answer in (client.get("/sign-in/lost/"), client.post("/sign-in/lost/", {"email": ada.email})):
        assert "Ask an operator" in answer.content.decode() and "<form" not in answer.content.decode()
    assert not mail.outbox


# Attempts


def test_too_many_wrong_passwords_are_told_to_wait(ada, cy):
    client = Client()
    for _ in range(5):
        assert sign_in(client, password="wrong").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "300" and not is_in(client)
    assert "wait 5 minutes" in answer.content.decode()
    assert sign_in(Client(), "cy@elm.example").status_code == 302  # another account
    assert sign_in(Client(), REMOTE_ADDR="192.0.2.9").status_code == 302  # she herself, elsewhere


def test_one_address_cannot_try_many_accounts(ada):
    for number in range(30):
        sign_in(Client(), f"{number}@oak.example", "wrong")
    assert sign_in(Client()).status_code == 429


def test_too_many_wrong_codes_are_told_to_wait(ada, factor):
    client = Client()
    sign_in(client)
    for _ in range(5):
        assert client.post("/sign-in/factor/", {"code": "000000"}).status_code == 200
    answer = client.post("/sign-in/factor/", {"code": code_of(factor)})
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "300" and not is_in(client)


def test_too_many_mails_are_told_to_wait(ada, settings):
    settings.SENDS_MAIL = True
    answers = [Client().post("/sign-in/lost/", {"email": ada.email}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [302, 302, 302, 429]
    assert answers[3].headers["Retry-After"] == "300"


def test_without_redis_one_comes_in(ada, settings):
    settings.REDIS_URL, client = "redis://127.0.0.1:1/0", Client()
    assert sign_in(client, password="wrong").status_code == 401
    assert sign_in(client).status_code == 302 and is_in(client)


def test_one_account_is_not_guessed_at_from_everywhere(ada, cy):
    for _ in range(WRONG_PASSWORDS):
        wrong_password("Ada@oak.example")
    answer = sign_in(Client(), REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "3600"
    assert sign_in(Client(), "cy@elm.example").status_code == 302
    assert Client().post(f"/sign-in/{SignInLink.objects.make(ada)}/").status_code == 302


def test_wrong_passwords_are_counted_by_account(ada, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "1000/5m/ip"}
    for _ in range(WRONG_PASSWORDS):
        wrong_password("di@oak.example")
    assert sign_in(Client(), "di@oak.example", "wrong").status_code == 429
    assert sign_in(Client(), password="wrong").status_code == 401 and int(cache.get(_account(ada.email))) == 1


def test_nul_is_refused_with_a_sentence(ada):
    client = Client()
    for answer in (
        client.post("/sign-in/", {"email": "a\0b", "password": WORD}),
        client.get("/sign-in/with/a%00b/"),
        client.get("/sign-in/?next=%00"),
        client.get("/sign-in/a%00b/"),
    ):
        assert answer.status_code == 400 and "NUL character" in answer.content.decode()
    client.cookies["arbe_session"] = "a\0b" * 8
    assert client.get("/sign-in/").status_code == 200 and client.get("/you/").status_code == 302


# Sessions


def test_sessions_are_listed_and_ended_one_by_one_and_all_others(ada, browser):
    others = [Client(headers={"User-Agent": f"Firefox/{n} (X11; Linux)"}) for n in range(3)]
    for other in others:
        sign_in(other)
    listed = browser.get("/you/sessions/").content.decode()
    assert listed.count("Firefox on Linux<") == 3 and listed.count("this one") == 1 and "127.0.0.1" in listed
    one = UserSession.objects.get(session_key=others[0].session.session_key)
    browser.post(f"/you/sessions/{one.pk}/")
    assert [is_in(other) for other in others] == [False, True, True]
    browser.post("/you/sessions/")
    assert [is_in(client) for client in (browser, *others)] == [True, False, False, False]


def test_ending_this_session_is_signing_out(browser):
    one = UserSession.objects.get(session_key=browser.session.session_key)
    browser.post(f"/you/sessions/{one.pk}/")
    assert not is_in(browser)


def test_a_session_of_somebody_else_is_not_there(browser, cy):
    theirs = Client()
    sign_in(theirs, "cy@elm.example")
    one = UserSession.objects.get(user=cy)
    assert browser.post(f"/you/sessions/{one.pk}/").status_code == 404 and is_in(theirs)


def test_an_ended_session_no_longer_opens_a_stream(browser, ada):
    from streams.door import _session_agent

    key = browser.session.session_key
    assert _session_agent(key) == ada
    UserSession.objects.get(session_key=key).end()
    assert _session_agent(key) is None


# Operators


@pytest.fixture
def operator(ada, browser):
    Agent.objects.filter(pk=ada.pk).update(is_operator=True)
    return browser


def test_the_admin_asks_operators_for_a_second_factor(operator, client):
    for page in (
        "/admin/",
        "/admin/houses/house/",
        "/admin/django_rq/dashboard/",
        "/admin/django_rq/dashboard/stats.json",
    ):
        assert client.get(page).headers["Location"].startswith("/sign-in/?next=/admin/"), page
        answer = operator.get(page)
        assert answer.headers["Location"].startswith("/you/factor/set-up/?next=/admin/"), page
    asked = operator.post("/you/again/", {"password": WORD}) and operator.get("/you/factor/set-up/")
    assert "second factor" in asked.content.decode()


def test_a_session_that_set_a_factor_up_or_showed_it_is_let_in(committed, operator, factor, recovery):
    assert operator.get("/admin/").status_code == 200
    older = Client()  # came in before there was a factor
    older.cookies["arbe_session"] = operator.cookies["arbe_session"].value
    session = older.session
    session["account_authentication_methods"] = []
    session.save()
    assert older.get("/admin/").headers["Location"].startswith("/you/again/factor/?next=/admin/")
    assert older.post("/you/again/factor/?next=/admin/", {"code": recovery[1]}).headers["Location"] == "/admin/"
    assert older.get("/admin/").status_code == 200


def test_a_factor_counts_while_it_is_there_and_for_a_while(committed, operator, ada, factor):
    session = operator.session
    shown = session["account_authentication_methods"]
    session["account_authentication_methods"] = [one | {"at": one["at"] - FACTOR_HOLDS} for one in shown]
    session.save()
    assert operator.get("/admin/").headers["Location"].startswith("/you/again/factor/?next=/admin/")
    session["account_authentication_methods"] = shown
    session.save()
    assert operator.get("/admin/").status_code == 200
    take_factors_off(ada)
    assert operator.get("/admin/").headers["Location"].startswith("/you/factor/set-up/")


def test_whoever_is_no_operator_learns_that_it_is_for_them(browser, factor):
    assert browser.get("/admin/").status_code == 403


# Invitations


@pytest.fixture
def invite(oak, ada):
    def made(**how):
        with inside(oak, ada):
            return f"/invitations/{Invitation.objects.make(by=ada, **how)[1]}/"

    return made


def roles(house):
    with inside(house):
        return {str(member.agent): member.role for member in Member.objects.select_related("agent")}


def test_an_invitation_is_made_shown_and_taken_back(client_of, oak, ada, cy):
    browser = client_of(ada)
    page = browser.post(
        f"/houses/{oak.pk}/settings/members/", {"kind": "invitation", "role": "owner", "email": cy.email}
    )
    link = re.search(r"http://127\.0\.0\.1:8000(/invitations/\S+?)<", page.content.decode())[1]
    assert "Ada invites cy@elm.example to be an owner" in Client().get(link).content.decode()
    back = re.search(r"/houses/\w+/settings/invitations/\w+/", page.content.decode())[0]
    assert browser.post(back).status_code == 302
    assert Client().get(link).status_code == 404
    assert "Take back" not in browser.get(f"/houses/{oak.pk}/settings/members/").content.decode()


def test_whoever_manages_invites_and_adds_bots_on_the_page(client_of, oak, ada, bo):
    page = f"/houses/{oak.pk}/settings/members/"
    assert "Invite a person" not in client_of(bo).get(page).content.decode()
    with inside(oak, ada):
        give(bo, oak, "rwx", by=ada)
    shown = client_of(bo).get(page).content.decode()
    assert all(words in shown for words in ("Invite a person", "Add a bot", "what changed"))
    assert '<option value="owner"' not in shown  # that is an owner's alone


def test_somebody_who_is_not_there_is_refused_like_what_is_not_yours(client_of, oak, ada, cy):
    there, nowhere = (client_of(ada).post(f"/houses/{oak.pk}/settings/members/{cy.pk}/"), Client())
    nowhere.force_login(ada)
    elsewhere = nowhere.post(f"/houses/{oak.pk}x/settings/members/{cy.pk}/")
    assert there.status_code == elsewhere.status_code == 404
    assert "There is nothing here under that address" in there.content.decode()


def test_looking_is_not_accepting(client_of, oak, cy, invite):
    link, browser = invite(), client_of(cy)
    assert "Accept" in browser.get(link).content.decode() and "Cy" not in roles(oak)
    assert browser.post(link).headers["Location"] == f"/houses/{oak.pk}/" and roles(oak)["Cy"] == "member"


def test_somebody_new_makes_an_account_and_is_in(oak, invite):
    client, link = Client(), invite()
    given = {"name": "Di", "email": "di@oak.example", "password": OTHER}
    assert client.post(link, given | {"password": "short"}).status_code == 400
    assert client.post(link, given | {"email": "ada@oak.example"}).status_code == 400
    assert client.post(link, given).headers["Location"] == f"/houses/{oak.pk}/"
    assert is_in(client) and roles(oak)["Di"] == "member"
    assert Client().post(link, given | {"email": "ed@oak.example"}).status_code == 404


def test_who_signs_in_comes_back_to_the_invitation(oak, elm, cy, invite):
    client, link = Client(), invite()
    signing = re.search(r'href="(/sign-in/\?next=[^"]+)"', client.get(link).content.decode())[1]
    assert client.post(signing, {"email": cy.email, "password": WORD}).headers["Location"] == link


def test_nobody_makes_an_account_unasked(client):
    for page in ("/signup/", "/sign-up/", "/accounts/signup/", "/you/email/", "/accounts/"):
        assert client.get(page).status_code == 404, page


# A provider


@pytest.fixture
def provider(settings):
    provider = Provider()
    settings.SOCIALACCOUNT_PROVIDERS = provider.settings()
    provider.claims = {"sub": "s-1", "name": "Dee", "email": "dee@oak.example", "email_verified": True}
    yield provider
    provider.close()


def come_by(client, rest: str = ""):
    """To the provider and back."""
    sent = client.get(f"/sign-in/with/oidc/{rest}")
    assert sent.status_code == 302, sent.content
    back = urlsplit(httpx.get(sent.headers["Location"]).headers["Location"])
    assert (back.scheme, back.netloc) == ("http", "testserver")
    return client.get(f"{back.path}?{back.query}")


def test_there_is_a_button_if_there_is_a_provider(client, db, provider, settings):
    assert "Sign in with Corp" in client.get("/sign-in/").content.decode()
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": []}}
    assert "Sign in with" not in client.get("/sign-in/").content.decode()
    assert client.get("/sign-in/with/oidc/").status_code == 404


def test_an_identity_is_connected_by_who_is_signed_in_and_opens_then(ada, browser, provider):
    assert come_by(browser, "?process=connect").headers["Location"].startswith("/you/again/")
    assert browser.post("/you/again/", {"password": WORD}).headers["Location"] == "/you/identities/"
    assert SocialAccount.objects.get().user == ada
    client = Client()
    assert come_by(client, "?next=/houses/").headers["Location"] == "/houses/" and is_in(client)
    assert browser.post("/you/identities/", {"account": SocialAccount.objects.get().pk}).status_code == 302
    assert come_by(Client()).status_code == 403


def test_a_factor_is_asked_for_after_the_provider_too(ada, browser, factor, provider):
    SocialAccount.objects.create(user=ada, provider="oidc", uid="s-1")
    client = Client()
    assert come_by(client).headers["Location"] == "/sign-in/factor/" and not is_in(client)


@pytest.mark.parametrize("verified", [True, False])
def test_an_address_takes_nobody_over(client, ada, provider, verified):
    provider.claims |= {"email": ada.email, "email_verified": verified}
    answer = come_by(client)
    assert answer.status_code == 403 and not is_in(client) and not SocialAccount.objects.exists()


def test_somebody_new_comes_by_the_provider_with_an_invitation_alone(oak, provider, invite):
    client, link = Client(), invite()
    assert come_by(client).status_code == 403
    assert "Come by Corp" in client.get(link).content.decode()
    assert come_by(client).headers["Location"] == link and "Dee" not in roles(oak)
    assert "Corp says that you are <b>Dee</b>" in client.get(link).content.decode()
    assert client.post(link, {"name": "Dee"}).headers["Location"] == f"/houses/{oak.pk}/"
    dee = SocialAccount.objects.get(provider="oidc", uid="s-1").user
    assert (dee.email, dee.has_usable_password(), roles(oak)["Dee"]) == ("dee@oak.example", False, "member")
    assert come_by(Client()).headers["Location"] == "/"


def test_an_invitation_and_an_address_take_nobody_over_either(oak, ada, provider, invite):
    provider.claims |= {"email": ada.email}
    client, link = Client(), invite()
    client.get(link)
    come_by(client)
    assert client.post(link, {"name": "Ada"}).status_code == 400 and not SocialAccount.objects.exists()
    provider.claims |= {"email_verified": False}
    come_by(client)
    client.post(link, {"name": "Mallory"})
    assert SocialAccount.objects.get().user.email is None and roles(oak)["Mallory"] == "member"


def test_an_identity_is_for_the_invitation_it_was_shown_for_and_for_a_while(oak, cy, provider, invite):
    client, link, other = Client(), invite(), invite()
    client.get(link)
    come_by(client)
    assert "Corp says" in client.get(link).content.decode() and "Corp says" not in client.get(other).content.decode()
    assert client.post(link, {"not_me": "1"}).headers["Location"] == link
    assert "Corp says" not in client.get(link).content.decode()
    come_by(client)
    session = client.session
    session["identity"] |= {"at": session["identity"]["at"] - 600}
    session.save()
    assert "Corp says" not in client.get(link).content.decode()
    come_by(client)
    SocialAccount.objects.create(user=cy, provider="oidc", uid="s-1")
    answer = client.post(link, {"name": "Dee"})
    assert answer.status_code == 400 and "sign in with it" in answer.content.decode()


def test_who_has_used_an_invitation_leaves_nothing_of_it_in_the_session(oak, provider, invite):
    client, link = Client(), invite()
    client.get(link)
    come_by(client)
    client.post(link, {"name": "Dee"})
    assert is_in(client) and not {"identity", "invitation"} & set(client.session.keys())


def test_an_address_taken_before_is_said_not_to_be_theirs(oak, invite):
    Client().post(invite(), {"name": "M", "email": "di@oak.example", "password": OTHER})
    client, link = Client(), invite(email="di@oak.example")
    answer = client.post(link, {"name": "Di", "password": OTHER})
    assert answer.status_code == 400 and 'name="not_theirs"' in answer.content.decode()
    assert client.post(link, {"name": "Di", "password": OTHER, "not_theirs": "1"}).status_code == 302 and is_in(client)


def test_a_provider_that_is_away_is_a_sentence(ada, provider):
    client = Client()
    sent = client.get("/sign-in/with/oidc/")
    back = urlsplit(httpx.get(sent.headers["Location"]).headers["Location"])
    provider.close()
    for page in ("/sign-in/with/oidc/", f"{back.path}?{back.query}"):
        answer = client.get(page)
        assert answer.status_code == 503 and "does not answer" in answer.content.decode(), page


@pytest.mark.parametrize(
    "wrong", [{"aud": "somebody else"}, {"iss": "http://elsewhere.example"}, {"exp": 1}, {"sub": "s-2"}, "key"]
)
def test_what_is_not_signed_for_us_by_the_provider_is_not_believed(client, ada, provider, wrong):
    SocialAccount.objects.create(user=ada, provider="oidc", uid="s-1")
    if wrong == "key":
        provider.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        provider.signed = wrong
    assert come_by(client).status_code == 401 and not is_in(client)


def test_an_answer_nobody_asked_for_is_not_believed(client, ada, provider):
    assert client.get("/sign-in/with/oidc/back/?code=code-1&state=made-up").status_code == 401


# What every answer tells the browser


def without_parameters(patterns=None, before=""):
    for one in patterns or get_resolver().url_patterns:
        where = before + re.sub(r"^\^|\$$|\\Z", "", str(one.pattern)).replace("/?", "/")
        if hasattr(one, "url_patterns"):
            yield from without_parameters(one.url_patterns, where)
        elif not re.search(r"[<(\[]", where):
            yield f"/{where}"


def test_every_address_forbids_what_is_not_ours(committed, client_of, ada, oak):
    Agent.objects.filter(pk=ada.pk).update(is_operator=True)
    pages = sorted(set(without_parameters()) - {"/admin/logout/"})
    assert len(pages) > 50 and {"/sign-in/", "/you/factor/", "/admin/houses/house/", "/api/docs/"} <= set(pages)
    for client in (Client(), client_of(ada, factor=True)):
        for page in pages:
            headers = client.get(page).headers
            policy = headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy, page
            assert "unsafe" not in policy or page.startswith(("/admin/", "/api/docs/")), page
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY", page
            assert headers["Referrer-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin", page
            assert "camera=()" in headers["Permissions-Policy"], page


def test_no_page_of_coming_in_has_a_script_or_style_of_its_own(browser, factor, recovery, provider):
    pages = ["/you/", "/you/factor/", "/you/factor/codes/", "/you/factor/codes/new/", "/you/factor/remove/"]
    pages += ["/you/again/", "/you/again/factor/", "/you/password/", "/you/sessions/", "/you/identities/", "/api/docs/"]
    shown = [(page, browser.get(page)) for page in pages]
    client = Client()
    shown += [(page, client.get(page)) for page in ("/sign-in/", "/sign-in/lost/", "/sign-in/lost/sent/")]
    sign_in(client)
    shown.append(("factor", client.get("/sign-in/factor/")))
    for page, answer in shown:
        assert answer.status_code == 200, page
        assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|<[^>]+\sstyle=", answer.content.decode()), page


def test_https_is_insisted_on(client, db, settings):
    settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
    assert Client().get("/sign-in/", secure=True).headers["Strict-Transport-Security"] == "max-age=31536000"


def test_another_host_is_not_answered_to(client, db):
    assert client.get("/sign-in/", headers={"host": "evil.example"}).status_code == 400


def test_every_form_of_coming_in_asks_for_its_token(ada):
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client).status_code == 403
    client.force_login(ada)
    for page in ("/you/", "/you/password/", "/you/sessions/", "/you/identities/", "/sign-out/"):
        assert client.post(page).status_code == 403, page
