"""How arbe's people come in through allauth: what it is told about accounts, factors and identities from elsewhere."""

import logging
import time
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from allauth.account.signals import password_reset
from allauth.core import context as now
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.mail import EmailMessage
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from houses.agents import HUMAN, Agent
from houses.attempts import TooManyAttempts, account_open, address_of, wrong_password
from houses.refusals import Forbidden, NotFound, Refused
from houses.vault import Sealed

INVITATION, IDENTITY = "invitation", "identity"  # in the session: the one that was opened, the one that was shown
REMEMBERED = 600  # seconds for which the session keeps either
logger = logging.getLogger(__name__)


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Accounts are made by invitations and operators alone; whoever tries too often is told so by a page of its own."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def new_user(self, request: HttpRequest) -> Agent:
        nobody = Agent(pk=None, kind=HUMAN, password="")
        nobody.created_at = None  # type: ignore[assignment]  # the session cannot keep what the database fills in
        return nobody

    def validation_error(self, code: str, *args: Any) -> Any:
        if code in ("too_many_login_attempts", "rate_limited"):
            raise TooManyAttempts
        return super().validation_error(code, *args)

    def respond_user_inactive(self, request: HttpRequest, user: Agent) -> HttpResponse:
        raise Forbidden("This account was closed; an operator of this installation can open it again.")

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # By account and address: nobody can shut somebody else out from afar.
        return f"{super()._get_login_attempts_cache_key(request, **credentials)}:{address_of(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        account_open(str(credentials.get("email", "")))
        super().pre_authenticate(request, **credentials)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        wrong_password(str(credentials.get("email", "")))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """With the letters of the request, if somebody sends those after the answer; else at once."""
        letter = self.render_mail(template_prefix, email, {"email": email, **context})
        letters: list[EmailMessage] | None = getattr(now.request, "letters", None)
        if letters is None:
            post(letter)
        else:
            letters.append(letter)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("you")

    def get_reset_password_from_key_url(self, key: str) -> str:
        """On the address that people type, whatever host this request named."""
        where = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.ARBE_URL + where.replace("UID-KEY", key)


class Factors(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """What codes are made from is sealed in the database with the vault's key."""

    def encrypt(self, text: str) -> str:
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return _box().decrypt(encrypted_text.encode()).decode()
        except InvalidToken as wrong:
            raise Sealed(
                "Your second factor is sealed with a key that this installation no longer has: ask an operator of it "
                "to take the factor off, then set up another."
            ) from wrong


def reseal_factors() -> tuple[int, int]:
    """Bring what codes are made from under the vault's current key; how many were, and how many no key opens.

    A factor that is used meanwhile changes and is looked at again: nothing of it is written over.
    """
    broken: set[Any] = set()
    done, missed = 0, True
    while missed:
        missed = False
        for factor in Authenticator.objects.exclude(pk__in=broken):
            try:
                new = _resealed(factor.data)
            except Sealed:
                broken.add(factor.pk)
                continue
            if new != factor.data:
                swapped = Authenticator.objects.filter(pk=factor.pk, data=factor.data).update(data=new)
                done, missed = done + swapped, missed or not swapped
    return done, len(broken)


def take_factors_off(agent: Agent) -> None:
    """For whoever lost them: they come in without, until they set up another."""
    Authenticator.objects.filter(user=agent).delete()


def _resealed(data: dict[str, Any]) -> dict[str, Any]:
    new = data | {key: _current(data[key]) for key in ("secret", "seed") if key in data}
    if "migrated_codes" in data:
        new["migrated_codes"] = [_current(code) for code in data["migrated_codes"]]
    return new


def _current(sealed: str) -> str:
    """The same, sealed with the current key."""
    try:
        Fernet(settings.VAULT_KEY).decrypt(sealed.encode())
    except InvalidToken:
        factors = Factors()
        return factors.encrypt(factors.decrypt(sealed))
    return sealed


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in (settings.VAULT_KEY, *settings.VAULT_OLD_KEYS)])


class Identities(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Somebody whom an OpenID provider knows.

    They are who they connected themselves to, while signed in here, or who they became by an invitation. An e-mail
    address that a provider tells of finds nobody: whoever may write it there would be that account here.
    """

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        if sociallogin.is_existing or sociallogin.state.get("process") == "connect":
            return
        provider = sociallogin.account.get_provider().name
        invitation = remembered(request, INVITATION)
        if invitation is None:
            raise Forbidden(
                f"Nobody here has connected that identity of {provider}. If you have an account, sign in to it and "
                "connect them under your name; if you were invited, open the invitation first."
            )
        address = next((one.email for one in sociallogin.email_addresses if one.verified is True), None)
        claims = sociallogin.account.get_provider_account().get_user_data() or {}
        who = {
            "by": provider,
            "provider": sociallogin.account.provider,
            "uid": sociallogin.account.uid,
            "name": str(claims.get("name") or ""),
            "email": address,
        }
        remember(request, IDENTITY, who | invitation)
        del request.session[INVITATION]
        raise ImmediateHttpResponse(redirect("invitation", invitation["text"]))

    def on_authentication_error(self, request: HttpRequest, provider: Any, *args: Any, **told: Any) -> None:
        raise NotVouched(f"{provider.name} did not say who you are; go back to the sign-in page and try again.")

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        return reverse("socialaccount_connections")


class SignedIdentity(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """What a provider says counts if it is signed with its key, and if it speaks of one person throughout."""

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        keys, issuer = self.openid_config["jwks_uri"], self.openid_config["issuer"]
        said: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token, keys_url=keys, issuer=issuer, audience=app.client_id, lookup_kid=jwtkit.lookup_kid_jwk
        )
        return said

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **said: Any) -> Any:
        shown = super().complete_login(request, app, token, **said)
        told = shown.account.extra_data
        if told["userinfo"]["sub"] != told.get("id_token", {}).get("sub"):
            raise OAuth2Error("the signed token is of somebody else, or missing")
        return shown


def to_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to the provider, to be asked who one is."""
    return _with_provider(OAuth2LoginView, request, provider_id)


def vouched(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends somebody back to."""
    return _with_provider(OAuth2CallbackView, request, provider_id)


def _with_provider(view: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    try:
        answer: HttpResponse = view.adapter_view(SignedIdentity(request, provider_id))(request)
    except SocialApp.DoesNotExist as missing:
        raise NotFound from missing
    except (OSError, KeyError) as away:  # all that its client raises, or an answer without the addresses to go to
        logger.warning("the OpenID provider %s does not answer: %r", provider_id, away)
        raise ProviderAway from away
    return answer


class ProviderAway(Refused):
    """The provider cannot be asked."""

    code = "provider_away"
    status = 503

    def __init__(self) -> None:
        super().__init__("Who says who you are does not answer just now; try again later, or come in another way.")


class NotVouched(Refused):
    """The provider refused, or what it said cannot be believed."""

    code = "not_vouched"
    status = 401


@receiver(authenticator_added)
def _shown(request: HttpRequest, user: Agent, authenticator: Any, **how: Any) -> None:
    """Whoever sets a factor up has shown that they hold it."""
    record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)


@receiver(password_reset)
def _address_shown(user: Agent, **how: Any) -> None:
    """Whoever got the mail has the address; whoever else made an account of it does not come by it any more."""
    if Agent.objects.filter(pk=user.pk, address_shown=False).update(address_shown=True):
        SocialAccount.objects.filter(user=user).delete()


def remember(request: HttpRequest, what: str, words: dict[str, Any]) -> None:
    """Keep it in the session, for a short while."""
    request.session[what] = words | {"at": time.time()}


def remembered(request: HttpRequest, what: str) -> dict[str, Any] | None:
    """What is kept, if it is no older than that; gone otherwise."""
    kept = request.session.get(what)
    if isinstance(kept, dict) and time.time() - kept.get("at", 0) < REMEMBERED:
        return kept
    request.session.pop(what, None)
    return None


def post(letter: EmailMessage) -> None:
    """A mail server that is away is ours to know of: whoever asked is told the same as everybody."""
    try:
        letter.send()
    except (OSError, SMTPException):
        logger.exception("a letter could not be sent")
