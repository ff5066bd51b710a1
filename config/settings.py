"""All settings, from the environment only. `.env.example` documents each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.conf.locale import LANG_INFO
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import to_language
from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
ENV_FILE = env.str("ENV_FILE", default=str(BASE_DIR / ".env"))
environ.Env.read_env(ENV_FILE)  # may be missing; real variables win
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))  # what this installation writes

# --- Secrets: a missing one stops the start --------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
FERNET_KEYS = env.list("FERNET_KEYS")  # newest first; older ones still decrypt

# --- Where this installation is --------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
DATACENTER_ID = env.str("DATACENTER_ID", default="local")
_public = environ.urlparse(PUBLIC_URL)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_public.hostname or "localhost", "127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
# Only behind a proxy that sets them itself is any header believed; then this one says where a request comes from.
CLIENT_ADDRESS_HEADER = env.str("CLIENT_ADDRESS_HEADER", default="X-Forwarded-For")
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=1)  # how many write into it
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
WATCH_TOKEN = env.str("WATCH_TOKEN", default="")  # opens /health and /metrics (config/ops/probes.py)
_https = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"

# --- Providers -------------------------------------------------------------------------------------------------------

# Provider key -> base URL of a simulator; the deploy check refuses it. The one door to loopback (extensions/client.py).
PROVIDER_BASE_URLS: dict[str, str] = env.json("PROVIDER_BASE_URLS", default={})
# Provider key -> values that fill in its account form, where it is simulated.
EXAMPLE_ACCOUNTS: dict[str, dict[str, str]] = env.json("EXAMPLE_ACCOUNTS", default={})
# The installation's own account, for organisations whose set-up is not finished:
# {"provider": its key, "sender": "…", "credentials": {…}}; empty = none.
DEFAULT_PROVIDER: dict[str, Any] = env.json("DEFAULT_PROVIDER", default={})
CALLBACK_GRACE_DAYS = env.int("CALLBACK_GRACE_DAYS", default=14)  # a deleted account goes on verifying callbacks
CALLBACK_RETENTION_DAYS = env.int("CALLBACK_RETENTION_DAYS", default=30)

# --- E-mail ----------------------------------------------------------------------------------------------------------

# smtp+tls://user:password@host:587; empty: nobody is mailed, and the pages say so.
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    vars().update(env.email_url("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default=f"Switchboard <switchboard@{_public.hostname or 'localhost'}>")
EMAIL_TIMEOUT = 5  # seconds; a mail server that hangs holds up one worker that long, and is tried again later

# --- The send engine; seconds unless said ----------------------------------------------------------------------------

SEND_CONCURRENCY = env.int("SEND_CONCURRENCY", default=0)  # requests in flight per account; 0 = as the provider says
# After its lease, no request of a chunk can be under way: it must exceed SEND_SLICE + SEND_TIMEOUT.
SEND_LEASE = env.int("SEND_LEASE", default=60)
SEND_TIMEOUT = env.int("SEND_TIMEOUT", default=30)  # total deadline of one request
SEND_SLICE = env.int("SEND_SLICE", default=4)  # a pump runs this long, then gives others their turn
LOOKUP_AFTER = env.int("LOOKUP_AFTER", default=90)  # an uncertain message is looked up this long after its attempt
SWEEP_EVERY = env.float("SWEEP_EVERY", default=5.0)

# --- Database and broker ---------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'switchboard.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # a deferred transaction that upgrades fails at once, whatever the time-out
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;",  # FULL: the in-flight mark must survive
    }
else:
    _database.setdefault("CONN_MAX_AGE", None)
    _database["CONN_HEALTH_CHECKS"] = True
    _database["DISABLE_SERVER_SIDE_CURSORS"] = True  # PgBouncer hands out another connection for each transaction
    if DB_POOL := env.int("DB_POOL", default=0):  # connections of one process at most; its threads share them
        _database["CONN_MAX_AGE"] = 0  # a kept one would never go back into the pool
        _database.setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": DB_POOL, "timeout": 10}
MIGRATE_DATABASE_URL = env.str("MIGRATE_DATABASE_URL", default="")  # for `migrate` alone, past a pooler
# "attempts" counts guesses at passwords for all web processes together. It is in the database, without which nobody
# can log in anyway: whenever the log-in works, so does the throttle (organizations/attempts.py).
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "attempts": {"BACKEND": "organizations.attempts.AttemptCache", "KEY_PREFIX": "attempts"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# An embedded Valkey on a unix socket serves where REDIS_URL is empty (config/ops/broker.py starts it).
BROKER_SOCKET = VAR_DIR / "valkey.sock"
REDIS_URL = env.str("REDIS_URL", default="")
CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{BROKER_SOCKET}"
# Each kind of work has processes of its own, so that none waits for another: a reply never stands in line behind texts
# that leave slowly, nor a text behind lists of a hundred thousand people. "prepare" is what people wait for without a
# text in it: imports, exports, reviews, in steps of at most a second. A worker without -Q serves all of them.
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue(name) for name in ("send", "receive", "launch", "prepare", "default")]
CELERY_TASK_ROUTES = {
    "distributions.tasks.pump": {"queue": "send"},
    "distributions.tasks.expand": {"queue": "launch"},
    "contacts.tasks.remove_lists": {"queue": "prepare"},
    "distributions.tasks.review": {"queue": "prepare"},
    "distributions.tasks.take_back": {"queue": "prepare"},
    "webhooks.tasks.apply": {"queue": "receive"},
    "contacts.tasks.go_on": {"queue": "prepare"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 1_000_000  # Celery closes the database connection after every task otherwise
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,  # above the hard time limit
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
if REDIS_SENTINEL_MASTER := env.str("REDIS_SENTINEL_MASTER", default=""):
    # REDIS_URL then names the sentinels: sentinel://host1:26379/0;sentinel://host2:26379/0
    CELERY_BROKER_TRANSPORT_OPTIONS["master_name"] = REDIS_SENTINEL_MASTER
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "distributions.tasks.sweep", "schedule": SWEEP_EVERY, "options": {"expires": SWEEP_EVERY * 4}},
    "apply": {"task": "webhooks.tasks.apply", "schedule": SWEEP_EVERY, "options": {"expires": SWEEP_EVERY * 4}},
    "purge": {"task": "webhooks.tasks.purge", "schedule": 3600.0, "options": {"expires": 3600.0}},
    "add-up": {"task": "contacts.tasks.add_up", "schedule": 60.0, "options": {"expires": 60.0}},
    "ask-balances": {"task": "extensions.tasks.ask_balances", "schedule": 900.0, "options": {"expires": 900.0}},
    "purge-kept": {"task": "extensions.tasks.purge", "schedule": 300.0, "options": {"expires": 300.0}},
    "keep": {"task": "keeping.tasks.keep", "schedule": 120.0, "options": {"expires": 120.0}},
    "forget": {"task": "keeping.tasks.forget", "schedule": 60.0, "options": {"expires": 60.0}},
    "imports": {"task": "contacts.tasks.resume", "schedule": SWEEP_EVERY, "options": {"expires": SWEEP_EVERY * 4}},
    "purge-uploads": {"task": "contacts.tasks.purge", "schedule": 3600.0, "options": {"expires": 3600.0}},
}
CELERY_BEAT_SCHEDULE |= {
    "watch": {"task": "watching.tasks.watch", "schedule": 10.0, "options": {"expires": 20.0}},
    "forget-news": {"task": "watching.tasks.purge", "schedule": 3600.0, "options": {"expires": 3600.0}},
}
for _queue in CELERY_TASK_QUEUES:  # whether each is served shows where nothing else has to be done, too
    CELERY_BEAT_SCHEDULE[f"ping-{_queue.name}"] = {
        "task": "watching.tasks.ping",
        "schedule": 10.0,
        "args": (_queue.name,),  # of each queue one waits at most (config/wakes.py)
        "options": {"queue": _queue.name, "expires": 60.0},
    }
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat")

# --- Django ----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "config.ops",  # first: from then on nothing is written that others may read
    "unfold.apps.BasicAppConfig",  # the other one would replace our admin site by its own
    "config.portal.apps.SwitchboardAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",  # the templates of its fields, for FORM_RENDERER
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # the page of the API: its scripts and styles, so that it needs no CDN
    "organizations",
    "extensions",
    "contacts",
    "surveys",
    "distributions",
    "webhooks",
    "watching",
    "keeping",
    "simulator",  # only its management command
]

MIDDLEWARE = [
    "config.ops.probes.ProbeMiddleware",
    "organizations.tracing.TraceMiddleware",  # so that whatever is logged from here on belongs to its request
    "django.middleware.security.SecurityMiddleware",
    "config.door.CallbackMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.AdminPolicyMiddleware",
    "config.middleware.ClientAddressMiddleware",
    "config.middleware.ApiAddressMiddleware",
    "config.middleware.FragmentMiddleware",
    "organizations.middleware.AuditAddressMiddleware",
    "config.storable.StorableRequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.bodies.BodyLimitMiddleware",  # before anything reads request.POST: the check of the CSRF token, any view
    "organizations.middleware.UserPreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.portal.errors.WrongMethodMiddleware",
]

CSRF_FAILURE_VIEW = "config.portal.errors.csrf_failure"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False  # a redirect would cost a provider's callback its parameters; the admin site adds its own slashes

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["django.template.loaders.filesystem.Loader", "config.portal.installed_templates.Loader"],
                ),
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # fields come from the same templates as their pages

AUTH_USER_MODEL = "organizations.User"
AUTHENTICATION_BACKENDS = ["organizations.backends.EmailBackend"]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")  # where `next` leads elsewhere or nowhere
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en"
# English is what the code is written in (its folder has what Django words otherwise); every other is a folder there.
_codes = sorted(
    {to_language(file.parents[1].name) for file in BASE_DIR.glob("locale/*/LC_MESSAGES/django.po")} - {"en"}
)
for _code in _codes:  # one that Django has no name for is called by its code
    LANG_INFO.setdefault(_code, {"bidi": False, "code": _code, "name": _code, "name_local": _code})
LANGUAGES = [(code, _(LANG_INFO[code]["name"])) for code in ("en", *_codes) if "name" in LANG_INFO[code]]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_files.VersionedFiles"},
}
WHITENOISE_USE_FINDERS = True  # served from where they are: there is no collectstatic step
WHITENOISE_MAX_AGE = 0 if DEBUG else 3600  # seconds; their addresses have a version
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# Respondent pages and the API get the strict policy; config/middleware.py relaxes it for the admin site alone.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
        "form-action": [SELF],
    },
}

# The look of the admin site; its menu is in config/portal/menu.py. Petrol for what can be clicked, brass for the cord.
UNFOLD = {
    "SITE_TITLE": "Switchboard",
    "SITE_HEADER": "Switchboard",
    "SITE_URL": None,
    "SITE_ICON": lambda request: static("switchboard/logo.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("switchboard/logo.svg")}],
    "LOGIN": {"image": lambda request: static("switchboard/login.svg")},
    "STYLES": [lambda request: static("switchboard/switchboard.css")],
    "SCRIPTS": [
        lambda request: static("switchboard/switchboard.js"),
        lambda request: static("switchboard/keeping.js"),
    ],
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "base": {
            "50": "oklch(98.3% .004 200)",
            "100": "oklch(96.2% .006 200)",
            "200": "oklch(91.8% .009 205)",
            "300": "oklch(86.5% .012 210)",
            "400": "oklch(71.5% .018 215)",
            "500": "oklch(52.5% .022 220)",
            "600": "oklch(44% .024 222)",
            "700": "oklch(37% .026 224)",
            "800": "oklch(28.5% .024 226)",
            "900": "oklch(21.5% .022 228)",
            "950": "oklch(14.5% .018 230)",
        },
        "primary": {
            "50": "oklch(97.8% .014 195)",
            "100": "oklch(94.6% .03 196)",
            "200": "oklch(89.5% .053 197)",
            "300": "oklch(82% .08 198)",
            "400": "oklch(74% .1 199)",
            "500": "oklch(67% .105 200)",
            "600": "oklch(47.5% .084 205)",
            "700": "oklch(41.5% .074 206)",
            "800": "oklch(36% .063 207)",
            "900": "oklch(30.5% .052 208)",
            "950": "oklch(22.5% .04 210)",
        },
    },
}

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

# The description of the API (config/portal/openapi.py).
SPECTACULAR_SETTINGS = {
    "TITLE": "Switchboard API",
    "VERSION": "3",
    "SERVERS": [{"url": PUBLIC_URL}],
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/API/v3",
    "PREPROCESSING_HOOKS": ["config.portal.openapi.api_only"],
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.portal.openapi.introduce"],
    "ENUM_NAME_OVERRIDES": {"Kind": ["Invite"]},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "displayRequestDuration": True, "defaultModelsExpandDepth": 0},
}

LOG_FORMAT = env.str("LOG_FORMAT", default="line")  # or "json"; config/ops/checks.py knows both
SENTRY_DSN = env.str("SENTRY_DSN", default="")  # where errors are sent, scrubbed (config/ops/sentry.py)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"masked": {"()": "config.ops.logs.formatter"}},
    "filters": {"without_pings": {"()": "config.ops.logs.WithoutPings"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "masked", "filters": ["without_pings"]},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django": {}, "django.server": {}},  # no handlers of their own: all is written by the one above
}
