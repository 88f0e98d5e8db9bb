"""Tokens and sign-in links: shown once, kept as digests, and no use to the wrong person or house."""

from datetime import timedelta

import pytest
from django.utils import timezone

from houses.credentials import BadToken, ExpiredToken
from houses.models import Agent, Member, SignInLink, Token
from houses.refusals import Forbidden
from houses.tenancy import inside
from tests.houses.furniture import sql

PAST = timedelta(seconds=-1)


@pytest.fixture
def mint(oak, ada):
    def minted(agent, by=ada, **options):
        with inside(oak, by):
            return Token.objects.mint(agent, "laptop", by=by, **options)

    return minted


def test_a_token_speaks_for_its_agent_in_its_house(oak, scribe, mint):
    _, text = mint(scribe)
    read = Token.objects.read(text)
    assert (read.agent, read.house) == (scribe, oak) and text.startswith(f"arbe_{oak.pk}_")


def test_only_the_digest_is_kept(oak, scribe, mint):
    token, text = mint(scribe)
    with inside(oak):
        assert text.rpartition("_")[2] not in str(sql("SELECT * FROM tokens"))
    assert len(token.digest) == 64


def test_using_it_is_remembered_once_a_minute(oak, scribe, mint):
    token, text = mint(scribe)
    Token.objects.read(text)
    with inside(oak):
        token.refresh_from_db()
        assert token.last_used_at is not None
        sql("UPDATE tokens SET last_used_at = last_used_at - interval '30 seconds'")
        before = Token.objects.get().last_used_at
    Token.objects.read(text)
    with inside(oak):
        assert Token.objects.get().last_used_at == before


def test_an_expired_token_says_so(scribe, mint):
    _, text = mint(scribe, expires_at=timezone.now() + PAST)
    with pytest.raises(ExpiredToken):
        Token.objects.read(text)


def test_a_revoked_token_is_unknown(oak, ada, scribe, mint):
    token, text = mint(scribe)
    with inside(oak):
        token.revoke(by=ada)
        token.revoke(by=ada)
        assert not Token.objects.live().exists()
    with pytest.raises(BadToken):
        Token.objects.read(text)


def test_whoever_left_has_no_token_any_more(oak, ada, scribe, mint):
    _, text = mint(scribe)
    with inside(oak, ada):
        Member.objects.of(scribe).leave(by=ada)
        assert not Token.objects.exists()
    with pytest.raises(BadToken):
        Token.objects.read(text)


def test_an_agent_put_to_rest_has_none_either(scribe, mint):
    _, text = mint(scribe)
    Agent.objects.filter(pk=scribe.pk).update(is_active=False)
    with pytest.raises(BadToken):
        Token.objects.read(text)


def test_a_token_opens_no_other_house(oak, elm, scribe, mint):
    _, text = mint(scribe)
    with pytest.raises(BadToken):
        Token.objects.read(text.replace(oak.pk, elm.pk))


@pytest.mark.parametrize("text", ["", "arbe_", "arbe__x", "arbe_x_", "x", "arbe_a%_x", "arbe_\0_x", "Bearer arbe_a_b"])
def test_what_is_no_token_opens_nothing(db, text):
    with pytest.raises(BadToken):
        Token.objects.read(text)


def test_people_mint_for_themselves_and_owners_for_bots(oak, ada, bo, scribe, mint):
    mint(bo, by=bo)
    for agent, by in ((scribe, bo), (ada, bo), (bo, ada)):
        with pytest.raises(Forbidden):
            mint(agent, by=by)


def test_one_revokes_ones_own_and_owners_any(oak, bo, scribe, mint):
    token, _ = mint(scribe)
    with inside(oak, bo), pytest.raises(Forbidden):
        token.revoke(by=bo)
    mine, _ = mint(bo, by=bo)
    with inside(oak, bo):
        mine.revoke(by=bo)


def test_a_link_is_for_once(ada):
    secret = SignInLink.objects.make(ada)
    assert SignInLink.objects.waiting(secret).agent == ada
    assert SignInLink.objects.use(secret) == ada
    assert SignInLink.objects.waiting(secret) is None
    with pytest.raises(BadToken):
        SignInLink.objects.use(secret)


def test_a_link_is_for_a_day(ada):
    secret = SignInLink.objects.make(ada)
    SignInLink.objects.update(expires_at=timezone.now() + PAST)
    with pytest.raises(BadToken):
        SignInLink.objects.use(secret)


def test_a_link_is_for_people(ada, scribe):
    with pytest.raises(Forbidden):
        SignInLink.objects.make(scribe)
    secret = SignInLink.objects.make(ada)
    Agent.objects.filter(pk=ada.pk).update(is_active=False)
    with pytest.raises(BadToken):
        SignInLink.objects.use(secret)
