"""Settings, from the environment; what is not given there comes from the file that `manage.py up` writes.

| variable | meaning |
| --- | --- |
| ARBE_VAR | folder of everything that lasts: streams, repositories, sandboxes, embedded services (default `var/`) |
| ARBE_DATABASE_URL | Postgres as the app role: no DDL, subject to row-level security |
| ARBE_OWNER_DATABASE_URL | Postgres as the owner role, for migrations alone |
| ARBE_OPERATOR_DATABASE_URL | Postgres as the operator role, for the admin alone |
| DATABASE_URL | an administrator of a Postgres server: `up` makes arbe's roles and database there, and those three |
| REDIS_URL | queues and bells |
| STREAMS_URL | a Durable Streams server; by default our own, in the web process |
| STREAMS_JETSTREAM | NATS servers that order the streams of several machines: `nats://name:password@host:4222`, … |
| STREAMS_JETSTREAM_CREDENTIALS | a credentials file of NATS for these |
| ARBE_STREAMS_HERE | `no` where the web process does not hold the streams itself |
| ARBE_URL | the address people type |
| ARBE_SECRET_KEY, ARBE_STREAMS_KEY, ARBE_VAULT_KEY | keys; the vault's is 32 bytes, url-safe base64 |
| ARBE_STREAMS_OLD_KEYS | keys that were replaced, by commas: the read links they signed go on, and nothing else |
| ARBE_VAULT_KEY_FILE | or the file that holds the vault's key |
| ARBE_VAULT_OLD_KEYS, ARBE_VAULT_OLD_KEYS_FILE | keys that still open what they sealed: by commas, or a line each |
| ARBE_RAW_STREAMS | how many raw streams (`/v1/stream/HOUSE/raw.NAME`) a house may have (default 1000) |
| ARBE_STREAM_TAILS | how many tails of streams one credential may have open in one process (default 100) |
| ARBE_HOSTS | host names that are answered to, by commas (default: this machine's loopback names) |
| ARBE_OIDC_ISSUER | an OpenID provider that people may come in by: its address; with the two below |
| ARBE_OIDC_CLIENT_ID, ARBE_OIDC_CLIENT_SECRET | what arbe is called there, and how it shows that it is |
| ARBE_OIDC_NAME | what the button on the sign-in page says (default `single sign-on`) |
| ARBE_SMTP_URL | who takes mail: `smtp://name:password@host:587` (STARTTLS) or `smtps://…`; without it nobody |
| ARBE_MAIL_FROM | the sender of that mail |
| ARBE_CLIENT_HEADER | where a proxy says who asks, such as `X-Real-IP`; by default only the connection counts |
| ARBE_LOCAL_IMPORTS | `yes` (default): operators import repositories from folders of this machine; `no`: nobody |
| ARBE_LOCAL_MODELS | `yes`: bots may ask models on this machine and its network (default: if `up` answers it alone) |
| ARBE_LOCAL_TOOLS | `yes` lets the http and mcp tools of houses reach this machine and its network (default: no) |
| ARBE_SANDBOX_NETWORK | `yes` lets environments open the network to their commands; it is this machine's own network |
| ARBE_RUNTIMES | folder of the agents' programs, which `runtimes install` fills (default `runtimes` in ARBE_VAR) |
| ARBE_FOLLOWED_AT_ONCE | how many commands, and runs of agents of each depth, one worker follows (default 24) |
| ARBE_RUN_SILENCE | seconds that an agent may be silent, no tool being at work, before its run ends (default 1800) |
| ARBE_RATE_LIMIT | how often one credential may ask the API in a minute (default 1200); 0: as often as it likes |
| ARBE_METRICS | host:port where Prometheus finds what arbe counts, for operators alone (default: nowhere) |
| ARBE_DEBUG | `yes` for Django's own error pages |
"""

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from arbe.environment import ARBE_VAR, BASE_DIR, database, env, env_or_file, pooled

NOWHERE = "postgresql://nobody@127.0.0.1:1/arbe"  # so that checks and makemigrations need no database
DATABASES = {
    "default": pooled(env("ARBE_DATABASE_URL", NOWHERE)),
    "owner": database(env("ARBE_OWNER_DATABASE_URL", NOWHERE)),
    "operator": database(env("ARBE_OPERATOR_DATABASE_URL", NOWHERE)),
}
DATABASE_ROUTERS = ["arbe.routers.OwnerMigrates"]

REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:1/0")
ARBE_URL = env("ARBE_URL", "http://127.0.0.1:8000")
STREAMS_URL = env("STREAMS_URL", ARBE_URL)
STREAMS_HERE = env("ARBE_STREAMS_HERE", "yes") == "yes"  # `no` where another process serves them
STREAMS_JETSTREAM = tuple(env("STREAMS_JETSTREAM").replace(",", " ").split())
STREAMS_JETSTREAM_CREDENTIALS = env("STREAMS_JETSTREAM_CREDENTIALS")
STREAMS_KEY = env("ARBE_STREAMS_KEY")
STREAMS_OLD_KEYS = tuple(env("ARBE_STREAMS_OLD_KEYS").replace(",", " ").split())
RAW_STREAMS = int(env("ARBE_RAW_STREAMS", "1000"))
STREAM_TAILS = int(env("ARBE_STREAM_TAILS", "100"))
NO_KEY = "for checks alone, which sign nothing and open nothing: set ARBE_SECRET_KEY"
SECRET_KEY = env("ARBE_SECRET_KEY", NO_KEY)
VAULT_KEY = env_or_file("ARBE_VAULT_KEY").strip()
VAULT_OLD_KEYS = tuple(env_or_file("ARBE_VAULT_OLD_KEYS").replace(",", " ").split())
SANDBOX_NETWORK = env("ARBE_SANDBOX_NETWORK", "no") == "yes"
RUNTIMES = Path(env("ARBE_RUNTIMES") or ARBE_VAR / "runtimes").resolve()
LOCAL_IMPORTS = env("ARBE_LOCAL_IMPORTS", "yes") == "yes"
LOCAL_TOOLS = env("ARBE_LOCAL_TOOLS") == "yes"
LOCAL_MODELS = env("ARBE_LOCAL_MODELS") == "yes"
RATE_LIMIT = int(env("ARBE_RATE_LIMIT", "1200"))  # requests a minute
FOLLOWED_AT_ONCE = int(env("ARBE_FOLLOWED_AT_ONCE", "24"))
RUN_SILENCE = float(env("ARBE_RUN_SILENCE", "1800"))
DEBUG = env("ARBE_DEBUG") == "yes"
METRICS = env("ARBE_METRICS")
if METRICS and ARBE_VAR.is_dir():  # processes count into files, which have to be known before the first of them counts
    (ARBE_VAR / "metrics").mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(ARBE_VAR / "metrics"))
ALLOWED_HOSTS = [host for host in env("ARBE_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if host]
CSRF_TRUSTED_ORIGINS = [ARBE_URL]
CLIENT_HEADER = env("ARBE_CLIENT_HEADER")

INSTALLED_APPS = [
    *(["daphne"] if "runserver" in sys.argv else []),  # it takes a third of a second to load
    "houses.apps.OperatorsAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "django_htmx",
    "django_rq",
    "pgtrigger",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "guardian",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "arbe",
    "threads",
    "sandboxes",
    "artifacts",
    "streams",
    "houses.apps.HousesConfig",
]

MIDDLEWARE = [
    "arbe.measuring.Measured",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "arbe.middleware.WordsAlone",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arbe.middleware.SecureHeaders",
    "arbe.middleware.RefusalsSpeak",
    "allauth.account.middleware.AccountMiddleware",
    "arbe.middleware.LastSeen",
    "arbe.middleware.OperatorsAlone",
]

AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
# Rights are rows of our own, which know their house; nobody is anonymous here, and the user model stays as it is.
GUARDIAN_USER_OBJ_PERMS_MODEL = "houses.Grant"
GUARDIAN_MONKEY_PATCH_USER = False
GUARDIAN_MONKEY_PATCH_GROUP = False
ANONYMOUS_USER_NAME = None

ROOT_URLCONF = "arbe.urls"
ASGI_APPLICATION = "arbe.asgi.application"
AUTH_USER_MODEL = "houses.Agent"
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Who comes in, and by what. Nobody makes an account unasked: that takes an invitation (`houses.invitations`).
ACCOUNT_ADAPTER = "houses.identity.Accounts"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_RATE_LIMITS = {  # a minute's worth would do; five say the same everywhere as `Retry-After` does
    "login_failed": "30/5m/ip,5/5m/key",
    "change_password": "10/5m/user",
    "reauthenticate": "20/5m/user",
    "reset_password": "20/5m/ip,3/5m/key",
    "reset_password_from_key": "30/5m/ip",
}
MFA_ADAPTER = "houses.identity.Factors"
MFA_TOTP_ISSUER = "arbe"
MFA_TOTP_TOLERANCE = 1  # of 30 seconds: clocks differ
SOCIALACCOUNT_ADAPTER = "houses.identity.Identities"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True  # before an identity is connected to an account, or taken off it
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form that ends up at the provider would be stopped by our own content policy
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": env("ARBE_OIDC_NAME", "single sign-on"),
                "client_id": env("ARBE_OIDC_CLIENT_ID"),
                "secret": env("ARBE_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": env("ARBE_OIDC_ISSUER")},
            }
        ]
        if env("ARBE_OIDC_ISSUER")
        else [],
    }
}
SMTP = urlsplit(env("ARBE_SMTP_URL"))
SENDS_MAIL = bool(SMTP.hostname)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if SENDS_MAIL else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = SMTP.hostname or "localhost", SMTP.port or (465 if SMTP.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(SMTP.username or ""), unquote(SMTP.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = SMTP.scheme == "smtps", SMTP.scheme == "smtp"
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env("ARBE_MAIL_FROM", "arbe@localhost")
CACHES = {"default": {"BACKEND": "houses.attempts.Forgiving", "KEY_PREFIX": "arbe"}}

SESSION_COOKIE_AGE = 30 * 24 * 3600  # seconds
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE = ARBE_URL.startswith("https:")
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if SECURE else "http"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SESSION_COOKIE_NAME = "arbe_session"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# A message may be 1 MB (streams) and a file of a form 64 MB; what is larger is answered with 413 by the edges.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_ALLOW_ALL_ORIGINS = False

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

CHANNEL_LAYERS = {
    # Publishes once per process, and survives redis-py 8 where the `core` layer does not.
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 3600, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in ("commands", "runs")
}
# What `manage.py scheduler` calls, and after how many seconds again: whoever was called and never came is called again.
ARBE_SWEEPS = {
    "streams.outbox.sweep": 1,
    "threads.jobs.sweep": 1,
    "sandboxes.janitor.sweep": 60,
    "threads.jobs.sweep_tokens": 60,
    "houses.idempotency.sweep": 3600,
}

REST_FRAMEWORK = {
    # In a module without views: these are imported while REST framework's own views are.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "houses.authentication.TokenAuthentication",
        "houses.authentication.PageSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "houses.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "houses.answers.refusal_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "arbe",
    "DESCRIPTION": "make for inference, over git, multiplayer.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "AgentKindEnum": "houses.api.houses.KINDS",
        "ThreadStatusEnum": "threads.api.threads.STATUSES",
        "CommandStatusEnum": "threads.followed.STATUSES",
        "FileStateEnum": "threads.api.stories.STATES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "rq.worker": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "httpcore": {"level": "WARNING"},
    },
}
