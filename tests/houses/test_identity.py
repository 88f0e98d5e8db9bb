"""Who comes in by what: invitations with consent, once; attempts counted; who asks, behind a proxy or not."""

import threading
from datetime import timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.utils import timezone

from houses.attempts import WRONG_TOKENS, TooManyAttempts, absence_of, client_address, wrong_token
from houses.giving import give
from houses.invitations import Invitation, NoInvitation, NotShown
from houses.models import Agent, Member
from houses.refusals import Forbidden, Invalid, NotFound
from houses.tenancy import inside


@pytest.fixture
def invite(oak, ada):
    """`invite(**how)`: the text of an invitation into Oak, by Ada."""

    def made(by=ada, **how):
        with inside(oak, by):
            return Invitation.objects.make(by=by, **how)[1]

    return made


def role_in(house, agent):
    with inside(house):
        member = Member.objects.of(agent)
        return member and member.role


def test_an_invitation_lets_one_person_in_once(oak, cy, invite, bo):
    text = invite(role="owner")
    Invitation.objects.read(text).accept(by=cy)
    assert role_in(oak, cy) == "owner"
    with pytest.raises(NoInvitation):
        Invitation.objects.read(text)


def test_only_the_digest_of_an_invitation_is_kept(oak, invite):
    text = invite()
    with inside(oak):
        assert text.partition("_")[2] not in str(Invitation.objects.values())
    assert text.startswith(f"{oak.pk}_")


def test_of_two_who_opened_the_same_link_one_comes_in(oak, elm, cy, ada, invite):
    text = invite()
    opened = [Invitation.objects.read(text), Invitation.objects.read(text)]
    di = Agent.objects.create_human("Di", "di@elm.example")
    opened[0].accept(by=cy)
    with pytest.raises(NoInvitation):
        opened[1].accept(by=di)
    assert role_in(oak, di) is None


@pytest.mark.usefixtures("committed")
def test_of_two_at_the_same_moment_one_comes_in(oak, invite):
    from django.db import connections

    text, start, came = invite(), threading.Barrier(2), []
    people = [Agent.objects.create_human(name, f"{name}@elm.example") for name in ("Di", "Ed")]

    def accept(person):
        opened = Invitation.objects.read(text)
        start.wait()
        try:
            opened.accept(by=person)
            came.append(person)
        except NoInvitation:
            pass
        finally:
            connections.close_all()

    both = [threading.Thread(target=accept, args=(person,)) for person in people]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(came) == 1 and [role_in(oak, person) for person in people if person in came] == ["member"]
    assert [role_in(oak, person) for person in people if person not in came] == [None]


def test_who_is_in_already_uses_nothing_up_and_stays_what_they_are(oak, bo, invite):
    text = invite(role="owner")
    assert Invitation.objects.read(text).accept(by=bo).role == "member"
    assert Invitation.objects.read(text)


def test_an_invitation_for_an_address_is_for_nobody_else(oak, cy, invite):
    opened = Invitation.objects.read(invite(email="di@elm.example"))
    with pytest.raises(Forbidden, match="for di@elm"):
        opened.accept(by=cy)
    di = opened.accept_as_new(name="Di", email="somebody@else.example", password="a long and winding road")
    assert (di.email, role_in(oak, di)) == ("di@elm.example", "member")


def test_case_makes_no_other_address(oak, cy, invite):
    Invitation.objects.read(invite(email="CY@elm.example")).accept(by=cy)
    assert role_in(oak, cy) == "member"


def test_nobody_becomes_who_is_here_already(oak, cy, invite):
    text = invite()
    with pytest.raises(Invalid, match="There is an account"):
        Invitation.objects.read(text).accept_as_new(
            name="Cy", email="CY@elm.example", password="a long and winding road"
        )
    assert Agent.objects.filter(email__iexact="cy@elm.example").count() == 1 and Invitation.objects.read(text)


@pytest.mark.parametrize(
    "how", [{"password": "short"}, {"email": "no address"}, {"email": ""}, {"email": f"{'a' * 60}@{'b.' * 100}example"}]
)
def test_a_refused_account_leaves_nothing(oak, ada, invite, how):
    text, before = invite(), Agent.objects.count()
    given = {"name": "Di", "email": "di@elm.example", "password": "a long and winding road"} | how
    with pytest.raises(Invalid):
        Invitation.objects.read(text).accept_as_new(**given)
    assert Agent.objects.count() == before and Invitation.objects.read(text)


def test_a_bot_accepts_nothing(scribe, invite):
    with pytest.raises(Forbidden):
        Invitation.objects.read(invite()).accept(by=scribe)


def test_an_expired_one_and_one_taken_back_open_nothing(oak, ada, bo, invite):
    late, gone = invite(), invite()
    with inside(oak, ada):
        one, other = Invitation.objects.order_by("created_at", "pk")
        by_digest = {row.pk: row for row in (one, other)}
    late, gone = Invitation.objects.read(late), Invitation.objects.read(gone)
    with inside(oak, ada):
        Invitation.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        with pytest.raises(Forbidden):
            gone.revoke(by=bo)
        gone.revoke(by=ada)
    assert set(by_digest) == {late.pk, gone.pk}
    for opened in (late, gone):
        with pytest.raises(NoInvitation):
            opened.accept(by=Agent.objects.create_human("Di"))


def test_what_somebody_leaves_behind_opens_nothing(oak, ada, bo, invite):
    with inside(oak, ada):
        Member.objects.of(bo).change_role("owner", by=ada)
    text = invite(by=bo)
    assert Invitation.objects.read(text)
    with inside(oak, ada):
        Member.objects.of(bo).change_role("member", by=ada)
    with pytest.raises(NoInvitation):
        Invitation.objects.read(text)


def test_an_owners_invitation_to_own_ends_with_their_ownership(oak, ada, bo, cy, invite):
    with inside(oak, ada):
        Member.objects.of(bo).change_role("owner", by=ada)
    text = invite(by=bo, role="owner")
    opened = Invitation.objects.read(text)
    with inside(oak, ada):
        Member.objects.of(bo).change_role("member", by=ada)
        give(bo, oak, "rwx", by=ada)
    for late in (lambda: opened.accept(by=cy), lambda: Invitation.objects.read(text)):
        with pytest.raises(NoInvitation):
            late()
    assert role_in(oak, cy) is None


def test_an_address_that_nobody_showed_goes_to_whoever_shows_it(oak, elm, cy, invite):
    word = "a long and winding road"
    squatter = Invitation.objects.read(invite()).accept_as_new(name="M", email="Di@elm.example", password=word)
    assert (squatter.email, squatter.address_shown) == ("di@elm.example", False)
    mine = Invitation.objects.read(invite(email="di@elm.example"))
    for how, refused in (({}, NotShown), ({"password": word}, NotShown)):
        with pytest.raises(refused):
            mine.accept_as_new(name="Di", **how)
    with pytest.raises(Invalid, match="already"):  # a link for anybody shows nothing
        Invitation.objects.read(invite()).accept_as_new(
            name="X", email="DI@elm.example", password=word, not_theirs=True
        )
    di = mine.accept_as_new(name="Di", password=word, not_theirs=True)
    squatter.refresh_from_db()
    assert (di.email, di.address_shown, squatter.email) == ("di@elm.example", True, None)
    with pytest.raises(Invalid, match="already"):
        Invitation.objects.read(invite(email=di.email)).accept_as_new(name="D", password=word, not_theirs=True)


def test_whoever_accepts_what_was_sent_to_their_address_has_shown_it(oak, invite):
    word = "a long and winding road"
    ed = Invitation.objects.read(invite()).accept_as_new(name="Ed", email="ed@elm.example", password=word)
    with inside(oak, ed):
        Member.objects.of(ed).leave(by=ed)
    Invitation.objects.read(invite(email="ED@elm.example")).accept(by=ed)
    ed.refresh_from_db()
    assert ed.address_shown


@pytest.mark.usefixtures("committed")
def test_a_double_click_makes_one_account_and_a_sentence(oak, invite):
    from django.db import connections

    text, start, said = invite(email="di@elm.example"), threading.Barrier(2), []

    def accept():
        opened = Invitation.objects.read(text)
        start.wait()
        try:
            said.append(str(opened.accept_as_new(name="Di", password="a long and winding road")))
        except (Invalid, NoInvitation) as refused:
            said.append(refused.detail)
        finally:
            connections.close_all()

    both = [threading.Thread(target=accept) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(said) == 2 and "Di" in said
    assert Agent.objects.filter(email__iexact="di@elm.example").count() == 1


def test_an_identity_that_is_somebodys_makes_no_account(oak, cy, invite):
    SocialAccount.objects.create(user=cy, provider="oidc", uid="s-1")
    with pytest.raises(Invalid, match="sign in with it"):
        Invitation.objects.read(invite()).accept_as_new(name="Di", identity=("oidc", "s-1"))
    assert not Agent.objects.filter(name="Di").exists()


def test_who_manages_invites_and_nobody_else(oak, elm, bo, cy, invite):
    with pytest.raises(Forbidden):
        invite(by=bo)
    with pytest.raises(NotFound):
        invite(by=cy)
    with pytest.raises(Invalid):
        invite(role="king")


@pytest.mark.parametrize("text", ["", "x", "_x", "a%_x", "nowhere_x", "\0_x", "oak_"])
def test_what_is_no_invitation_opens_nothing(db, text):
    with pytest.raises(NoInvitation):
        Invitation.objects.read(text)


def test_an_invitation_opens_no_other_house(oak, elm, invite):
    with pytest.raises(NoInvitation):
        Invitation.objects.read(invite().replace(oak.pk, elm.pk))


def test_wrong_tokens_are_counted_by_address(running, django_db_setup):
    for _ in range(WRONG_TOKENS):
        wrong_token("192.0.2.1")
    with pytest.raises(TooManyAttempts):
        wrong_token("192.0.2.1")
    wrong_token("192.0.2.2")


def test_without_redis_nobody_is_shut_out(settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    absence_of.cache_clear()
    for _ in range(WRONG_TOKENS + 1):
        wrong_token("192.0.2.1")
    assert cache.add("a", 1) is True and cache.get("a", 7) == 7 and cache.delete("a") is False
    assert caplog.text.count("Redis does not answer") == 1


@pytest.mark.parametrize(
    ("told", "peer", "counts"),
    [
        ("", "192.0.2.1", "192.0.2.1"),
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("made up, 198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("nonsense", "192.0.2.1", "192.0.2.1"),
        ("", "", "0.0.0.0"),
        ("2001:db8::1", "", "2001:db8::"),
        ("", "2001:db8:0:0:ffff::9", "2001:db8::"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
    ],
)
def test_who_asks(told, peer, counts):
    assert client_address(told, peer) == counts


def test_no_header_counts_unless_one_was_named(rf, settings):
    from houses.attempts import address_of

    asked = rf.get("/", headers={"X-Forwarded-For": "198.51.100.7", "X-Real-IP": "198.51.100.8"})
    assert address_of(asked) == "127.0.0.1"
    settings.CLIENT_HEADER = "X-Real-IP"
    assert address_of(asked) == "198.51.100.8"
