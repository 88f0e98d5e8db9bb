"""Tokens and sign-in links: shown once, kept as digests, and no use to the wrong person or house."""

from datetime import timedelta

import pytest
from django.utils import timezone

from houses.credentials import BadToken, ExpiredToken
from houses.giving import give
from houses.models import Agent, Member, SignInLink, Token
from houses.refusals import Forbidden, Invalid
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
        assert text.split("_", 2)[2] not in str(sql("SELECT * FROM tokens"))
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


def test_a_token_has_the_bits_it_was_given_and_says_who_made_it(oak, ada, scribe, mint):
    token, text = mint(scribe, bits="r")
    assert (token.bits, token.created_by) == ("r", ada)
    assert Token.objects.read(text).bits == "r"


@pytest.mark.parametrize("bits", ["", "wr", "x r", "none", "rr", "rwxx"])
def test_bits_are_some_of_r_w_and_x_in_that_order(scribe, mint, bits):
    with pytest.raises(Invalid):
        mint(scribe, bits=bits)


def test_nobody_gives_more_than_the_token_they_came_in_with(oak, ada, scribe, mint):
    mine, _ = mint(ada, bits="rw")
    ada.cap = mine.bits
    for bits in ("rwx", "x"):
        with pytest.raises(Forbidden):
            mint(ada, bits=bits)
    assert mint(ada)[0].bits == "rw" and mint(ada, bits="r")[0].bits == "r"
    with pytest.raises(Forbidden):  # for a bot it takes x on the house, which this token has not
        mint(scribe, bits="r")


def test_a_capped_token_has_no_power_over_one_that_may_do_more(oak, ada, mint):
    whole, _ = mint(ada)
    small, _ = mint(ada, bits="r")
    ada.cap = "r"
    with inside(oak, ada):
        for verb in (whole.revoke, whole.rotate):
            with pytest.raises(Forbidden):
                verb(by=ada)
        small.revoke(by=ada)
        assert list(Token.objects.live()) == [whole]


def test_x_on_the_house_is_enough_to_mint_for_bots(oak, ada, bo, scribe, mint):
    with inside(oak, ada):
        give(bo, oak, "rx", by=ada)
    token, text = mint(scribe, by=bo)
    assert token.created_by == bo
    with inside(oak, bo):
        token.revoke(by=bo)
    with pytest.raises(BadToken):
        Token.objects.read(text)


def test_a_token_lives_for_a_year_at_the_most(scribe, mint):
    mint(scribe, expires_at=timezone.now() + timedelta(days=365))
    with pytest.raises(Invalid):
        mint(scribe, expires_at=timezone.now() + timedelta(days=366))


def test_no_token_outlives_the_one_that_asks(oak, ada, mint):
    asking, _ = mint(ada, expires_at=timezone.now() + timedelta(days=1))
    token, _ = mint(ada, asked_with=asking)
    assert token.expires_at == asking.expires_at


def test_a_rotated_token_has_a_new_text_and_the_old_one_is_dead(oak, ada, scribe, mint):
    token, text = mint(scribe, bits="rw", expires_at=timezone.now() + timedelta(days=7))
    with inside(oak, ada):
        new, new_text = token.rotate(by=ada)
    with pytest.raises(BadToken):
        Token.objects.read(text)
    assert Token.objects.read(new_text) == new != token
    assert (new.bits, new.name, new.agent, new.created_by) == ("rw", "laptop", scribe, ada)
    assert abs(new.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    with inside(oak, ada), pytest.raises(Invalid):
        token.rotate(by=ada)


def test_a_rotated_token_may_go_on_for_a_while_if_that_is_asked_for(oak, ada, scribe, mint):
    token, text = mint(scribe)
    with inside(oak, ada):
        token.rotate(by=ada, grace=timedelta(minutes=30))
        token.refresh_from_db()
        assert timedelta(minutes=29) < token.expires_at - timezone.now() <= timedelta(minutes=30)
        assert Token.objects.read(text) == token
        with pytest.raises(Invalid):
            token.rotate(by=ada, grace=timedelta(hours=2))
        with pytest.raises(Invalid, match="Another token stands in the place"):
            token.rotate(by=ada, grace=timedelta(minutes=30))


def test_one_rotates_ones_own_and_nobody_elses(oak, bo, scribe, mint):
    mine, _ = mint(bo, by=bo)
    its, _ = mint(scribe)
    with inside(oak, bo):
        mine.rotate(by=bo)
        with pytest.raises(Forbidden):
            its.rotate(by=bo)


def test_one_knows_ones_own_tokens_and_who_manages_knows_all(oak, ada, bo, scribe, mint):
    mine, _ = mint(bo, by=bo)
    mint(scribe)
    with inside(oak, bo):
        assert list(Token.objects.known_to(bo)) == [mine]
    with inside(oak, ada):
        assert Token.objects.known_to(ada).count() == 2
        ada.cap = "rw"
        assert not Token.objects.known_to(ada).exists()
