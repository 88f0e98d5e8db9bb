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
| ARBE_STREAMS_HERE | `no` where the web process does not hold the streams itself |
| ARBE_URL | the address people type |
| ARBE_SECRET_KEY, ARBE_STREAMS_KEY, ARBE_VAULT_KEY | keys; the vault's is 32 bytes, url-safe base64 |
| ARBE_HOSTS | host names that are answered to, by commas (default: this machine's loopback names) |
| ARBE_LOCAL_IMPORTS | `yes` (default): operators import repositories from folders of this machine; `no`: nobody |
| ARBE_SANDBOX_NETWORK | `yes` lets environments open the network to their commands; it is this machine's own network |
| ARBE_DEBUG | `yes` for Django's own error pages |
"""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
ARBE_VAR = Path(os.environ.get("ARBE_VAR", BASE_DIR / "var")).resolve()


def _written() -> dict[str, str]:
    try:
        lines = (ARBE_VAR / "arbe.env").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


_from_file = _written()


def env(name: str, default: str = "") -> str:
    return os.environ.get(name) or _from_file.get(name) or default


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "arbe",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "arbe", **dict(parse_qsl(parts.query))},  # sslmode and the like
    }


def _pooled(url: str) -> dict[str, Any]:
    """Requests and followers of commands live in threads of their own, and connecting takes longer than their work."""
    database = _database(url)
    pool = {"min_size": 0, "max_size": 40, "timeout": 20}
    return database | {"CONN_MAX_AGE": 0, "OPTIONS": database["OPTIONS"] | {"pool": pool}}


NOWHERE = "postgresql://nobody@127.0.0.1:1/arbe"  # so that checks and makemigrations need no database
DATABASES = {
    "default": _pooled(env("ARBE_DATABASE_URL", NOWHERE)),
    "owner": _database(env("ARBE_OWNER_DATABASE_URL", NOWHERE)),
    "operator": _database(env("ARBE_OPERATOR_DATABASE_URL", NOWHERE)),
}
DATABASE_ROUTERS = ["arbe.routers.OwnerMigrates"]

REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:1/0")
ARBE_URL = env("ARBE_URL", "http://127.0.0.1:8000")
STREAMS_URL = env("STREAMS_URL", ARBE_URL)
STREAMS_HERE = env("ARBE_STREAMS_HERE", "yes") == "yes"  # `no` where another process serves them
STREAMS_KEY = env("ARBE_STREAMS_KEY")
NO_KEY = "for checks alone, which sign nothing and open nothing: set ARBE_SECRET_KEY"
SECRET_KEY = env("ARBE_SECRET_KEY", NO_KEY)
VAULT_KEY = env("ARBE_VAULT_KEY")
SANDBOX_NETWORK = env("ARBE_SANDBOX_NETWORK", "no") == "yes"
LOCAL_IMPORTS = env("ARBE_LOCAL_IMPORTS", "yes") == "yes"
DEBUG = env("ARBE_DEBUG") == "yes"
ALLOWED_HOSTS = [host for host in env("ARBE_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if host]
CSRF_TRUSTED_ORIGINS = [ARBE_URL]

INSTALLED_APPS = [
    *(["daphne"] if "runserver" in sys.argv else []),  # it takes a third of a second to load
    "django.contrib.admin",
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
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "arbe",
    "threads",
    "sandboxes",
    "artifacts",
    "streams",
    "houses",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arbe.middleware.ContentSecurityPolicy",
    "arbe.middleware.RefusalsSpeak",
]

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
SESSION_COOKIE_AGE = 30 * 24 * 3600  # seconds
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ARBE_URL.startswith("https:")
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
ARBE_SWEEPS = {"streams.outbox.sweep": 1, "threads.jobs.sweep": 1, "sandboxes.janitor.sweep": 60}

REST_FRAMEWORK = {
    # In a module without views: these are imported while REST framework's own views are.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "houses.authentication.TokenAuthentication",
        "houses.authentication.PageSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
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
        "rq.worker": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "httpcore": {"level": "WARNING"},
    },
}
