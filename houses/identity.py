"""How arbe's people come in through allauth: what it is told about accounts, factors and identities from elsewhere."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.signals import authenticator_added
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from houses.agents import HUMAN, Agent
from houses.attempts import TooManyAttempts, address_of
from houses.refusals import Forbidden, NotFound, Refused

INVITATION, IDENTITY = "invitation", "identity"  # in the session: the one that was opened, the one that was shown


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
        return _box().decrypt(encrypted_text.encode()).decode()


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
        if INVITATION not in request.session:
            raise Forbidden(
                f"Nobody here has connected that identity of {provider}. If you have an account, sign in to it and "
                "connect them under your name; if you were invited, open the invitation first."
            )
        address = next((one.email for one in sociallogin.email_addresses if one.verified is True), None)
        claims = sociallogin.account.get_provider_account().get_user_data() or {}
        request.session[IDENTITY] = {
            "by": provider,
            "provider": sociallogin.account.provider,
            "uid": sociallogin.account.uid,
            "name": str(claims.get("name") or ""),
            "email": address,
        }
        raise ImmediateHttpResponse(redirect("invitation", request.session[INVITATION]))

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


def vouched(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends somebody back to."""
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(SignedIdentity(request, provider_id))(request)
    except SocialApp.DoesNotExist as missing:
        raise NotFound from missing
    return answer


class NotVouched(Refused):
    """The provider refused, or what it said cannot be believed."""

    code = "not_vouched"
    status = 401


@receiver(authenticator_added)
def _shown(request: HttpRequest, user: Agent, authenticator: Any, **how: Any) -> None:
    """Whoever sets a factor up has shown that they hold it."""
    record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)
