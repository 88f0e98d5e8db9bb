"""The pages of allauth that arbe offers, under its own addresses; what is not here does not exist."""

from allauth.account import views as account
from allauth.account.decorators import reauthentication_required
from allauth.mfa.base import views as factor
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.socialaccount import views as identities
from allauth.usersessions import views as sessions
from django.urls import path, re_path
from django.views.decorators.cache import never_cache

from houses.identity import to_provider, vouched
from houses.pages import coming_in

urlpatterns = [
    path("sign-in/", coming_in.sign_in, name="account_login"),
    path("sign-in/factor/", never_cache(factor.authenticate), name="mfa_authenticate"),
    path("sign-in/lost/", coming_in.lost, name="account_reset_password"),
    path("sign-in/lost/sent/", account.password_reset_done, name="account_reset_password_done"),
    path("sign-in/lost/done/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    re_path(
        r"^sign-in/lost/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        never_cache(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path("sign-in/with/<str:provider_id>/", never_cache(to_provider), name="openid_connect_login"),
    path("sign-in/with/<str:provider_id>/back/", never_cache(vouched), name="openid_connect_callback"),
    path("you/again/", account.reauthenticate, name="account_reauthenticate"),
    path("you/again/factor/", factor.reauthenticate, name="mfa_reauthenticate"),
    path("you/password/", account.password_change, name="account_change_password"),
    path("you/password/first/", reauthentication_required(account.password_set), name="account_set_password"),
    path("you/factor/", factor.index, name="mfa_index"),
    path("you/factor/set-up/", never_cache(totp.activate_totp), name="mfa_activate_totp"),
    path("you/factor/remove/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("you/factor/codes/", never_cache(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("you/factor/codes/new/", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("you/identities/", identities.connections, name="socialaccount_connections"),
    path("you/sessions/", sessions.list_usersessions, name="usersessions_list"),
]
