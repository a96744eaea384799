"""Every knob of the panel: an environment variable with a default; a wrong value stops the
process at its start, and says which and what is allowed."""

import os
import secrets
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from panel import allowed, image_servers, logs

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# The folder of everything that is kept: database, queue, simulated nodes, secret key.
DATA = Path(env.str("BERTH_DATA", str(BASE_DIR / "data"))).resolve()
try:
    DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as failure:
    raise ImproperlyConfigured(
        f"BERTH_DATA must be a folder of the panel's own: {failure}"
    ) from failure

# The port that `make run` listens on, on loopback.
PORT = env.int("BERTH_PORT", 8000, validate=allowed.port)

# Where people reach the panel. With https the cookies, HSTS and redirects become strict.
URL = urlsplit(env.str("BERTH_URL", f"http://127.0.0.1:{PORT}", validate=allowed.address))
HTTPS = URL.scheme == "https"

# How many proxies stand in front, whose X-Forwarded-For and X-Forwarded-Proto are believed.
# With none, anybody could write into these headers what they like.
PROXIES = env.int("BERTH_PROXIES", 0, validate=allowed.none_or_more)
ALLAUTH_TRUSTED_PROXY_COUNT = PROXIES

# Further host names that the panel answers to, separated by commas.
HOSTS: list[str] = env.list("BERTH_HOSTS", [], validate=allowed.hosts)
# In an address, and so in the Host header, IPv6 stands in brackets.
HOST = f"[{URL.hostname}]" if ":" in str(URL.hostname) else URL.hostname
ALLOWED_HOSTS = [HOST, "127.0.0.1", "localhost", *HOSTS]
CSRF_TRUSTED_ORIGINS = [f"{URL.scheme}://{URL.netloc}"]

# Django's own error pages with tracebacks; for developers only.
DEBUG = env.bool("BERTH_DEBUG", False)


def _secret_key() -> str:
    """The key from the environment, or one made on first use and kept beside the data."""
    key: str = env.str("BERTH_SECRET_KEY", "")
    file = DATA / "secret-key"
    if not key and not file.exists():
        # Linked into place, so that of two processes that start at once only one decides.
        draft = DATA / f".secret-key.{os.getpid()}"
        draft.write_text(secrets.token_urlsafe(64))
        draft.chmod(0o600)
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return key or file.read_text().strip()


SECRET_KEY = _secret_key()

INSTALLED_APPS = [
    "panel.apps.PanelConfig",
    "containers",
    "orders",
    "panel.apps.PanelAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_fsm",
    "django_htmx",
    "huey.contrib.djhuey",
    "payments",
]

MIDDLEWARE = [
    "panel.middleware.leave_out_body",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "panel.tracing.RequestLogMiddleware",
    "csp.middleware.CSPMiddleware",
    "panel.middleware.forbid_devices",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "panel.middleware.forbid_keeping",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "panel.middleware.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "panel.urls"
WSGI_APPLICATION = "panel.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["panel.templatetags.icons"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# sqlite:///… or postgres://user:password@host/name
database = env.dj_db_url("BERTH_DATABASE_URL", f"sqlite:///{DATA / 'berth.sqlite3'}")
if database["ENGINE"].rpartition(".")[2] not in {"sqlite3", "postgresql"}:
    raise ImproperlyConfigured("BERTH_DATABASE_URL must start with sqlite: or postgres:")
database["CONN_MAX_AGE"] = None
if database["ENGINE"] == "django.db.backends.sqlite3":
    # Web, worker and watcher write at once: without these one write in four fails, and without a
    # backend of our own some wait for seconds while others write.
    database["ENGINE"] = "panel.sqlite"
    # A connection plans by the statistics of the indexes that there were when it was opened.
    database["CONN_MAX_AGE"] = 3600
    database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # mmap_size: the file is read from the system's page cache, as much of it as SQLite can.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
        "PRAGMA mmap_size=2147418112;",
    }
    # Tests with several processes need a file; in memory each would see its own.
    database["TEST"] = {"NAME": str(DATA / "test.sqlite3")}
else:
    database["CONN_HEALTH_CHECKS"] = True
    database["OPTIONS"] = {
        # For panel/compiled.py alone: all other statements are planned each time.
        "prepare_threshold": 5,
        # Indexes are in memory or on an SSD, where a random read costs about as much as any other.
        "options": "-c random_page_cost=1.1",
        # A server that is gone without a word, as its machine or the network is, is noticed soon.
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        **database.get("OPTIONS", {}),
    }
DATABASES = {"default": database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Holds what all web processes must know together: how often somebody has failed to sign in.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "panel_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

# Where wake-ups wait: sqlite:///…, postgres://… or, with the extra `redis`, redis://…
QUEUE_URL = env.str(
    "BERTH_QUEUE_URL", f"sqlite:///{DATA / 'queue.sqlite3'}", validate=allowed.queue
)
# How many operations one worker process carries out at once.
WORKER_THREADS = env.int("BERTH_WORKER_THREADS", 16, validate=allowed.one_or_more)


def _huey(url: str) -> dict[str, object]:
    """Huey's settings for a queue address."""
    backends = {
        "sqlite": ("panel.queue.SqliteQueue", {"filename": url.removeprefix("sqlite:///")}),
        "postgres": ("panel.queue.PostgresQueue", {"dsn": url}),
        "postgresql": ("panel.queue.PostgresQueue", {"dsn": url}),
        "redis": ("panel.queue.RedisQueue", {"url": url}),
        "rediss": ("panel.queue.RedisQueue", {"url": url}),
    }
    scheme = url.partition(":")[0]
    if scheme not in backends:
        raise ImproperlyConfigured(f"BERTH_QUEUE_URL must start with one of {', '.join(backends)}")
    huey_class, connection = backends[scheme]
    return {
        "huey_class": huey_class,
        "name": "berth",
        "immediate": False,
        "results": False,
        "connection": connection,
        "consumer": {
            "workers": WORKER_THREADS,
            "worker_type": "thread",
            "periodic": False,
            "graceful_signal": "TERM",
            "shutdown_timeout": 3,
        },
    }


HUEY = _huey(QUEUE_URL)

# How long a node may take for one answer (seconds).
NODE_TIMEOUT = env.float("BERTH_NODE_TIMEOUT", 4.0, validate=allowed.seconds)
# How often the watcher looks at every node, and how long it waits there for one answer (seconds);
# three time-outs in a row must fit into 15 s.
WATCH_EVERY = env.float("BERTH_WATCH_EVERY", 5.0, validate=allowed.seconds)
WATCH_TIMEOUT = env.float("BERTH_WATCH_TIMEOUT", 3.0, validate=allowed.seconds)
# Misses in a row that make a node off-line.
MISSES_UNTIL_OFFLINE = env.int("BERTH_MISSES_UNTIL_OFFLINE", 3, validate=allowed.one_or_more)
# How often a node that answers, and an image server, is also asked which images it has (seconds).
TAKE_STOCK_EVERY = env.float("BERTH_TAKE_STOCK_EVERY", 60.0, validate=allowed.seconds_or_none)
# Servers that nodes fetch images from, by the name that stands before the colon in the image of
# a system, in JSON: {"name": {"url": "https://…", "protocol": "simplestreams" or "incus",
# "certificate": the PEM file of a server that no public authority vouches for}}.
IMAGE_SERVERS = image_servers.read(
    env.json(
        "BERTH_IMAGE_SERVERS",
        {"images": {"url": "https://images.linuxcontainers.org", "protocol": "simplestreams"}},
    )
)
# The panel's own key and certificate for Incus servers, made when the first one is added.
INCUS_IDENTITY = env.path("BERTH_INCUS_IDENTITY", DATA / "incus.pem")
# A worker holds an operation this long without a sign of life before another takes it up.
LEASE = timedelta(seconds=env.float("BERTH_LEASE", 10.0, validate=allowed.lease))
# Operations that one node carries out at once; more wait, so that it cannot hold all threads.
NODE_CONCURRENCY = env.int("BERTH_NODE_CONCURRENCY", 8, validate=allowed.one_or_more)
# Stopping shows "Force off" after the first, and pulls the plug by itself after the second.
STOP_PATIENCE = timedelta(
    seconds=env.float("BERTH_STOP_PATIENCE", 15.0, validate=allowed.seconds_or_none)
)
STOP_LIMIT = timedelta(seconds=env.float("BERTH_STOP_LIMIT", 300.0, validate=allowed.seconds))
# Pauses between the tries of a creation (seconds); their number is the number of further tries.
CREATE_PAUSES = env.list(
    "BERTH_CREATE_PAUSES", [10, 60, 300, 1800], subcast=float, validate=allowed.pauses
)
# Pause before a container for which no node had room is tried again (seconds).
ROOM_PAUSE = env.float("BERTH_ROOM_PAUSE", 30.0, validate=allowed.seconds)
# Largest file that may be uploaded in repair, and largest that the editor opens (bytes).
UPLOAD_LIMIT = env.int("BERTH_UPLOAD_LIMIT", 512 * 1024 * 1024, validate=allowed.one_or_more)
EDIT_LIMIT = env.int("BERTH_EDIT_LIMIT", 512 * 1024, validate=allowed.one_or_more)
FILE_UPLOAD_HANDLERS = [
    "containers.repair.uploads.UploadLimit",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
# A text that is too large for the editor is received all the same, to be shown again with an error.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(2_621_440, 8 * EDIT_LIMIT)

# What Prometheus has to say to read /metrics (Authorization: Bearer …); without, nobody may.
METRICS_TOKEN = env.str("BERTH_METRICS_TOKEN", "")

AUTH_USER_MODEL = "panel.User"
AUTHENTICATION_BACKENDS = ["panel.accounts.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "panel.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
# Otherwise anybody could have mail sent to strangers by asking to reset their passwords.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
# Addresses are changed only after signing in anew: whoever finds a browser that was left open could
# otherwise add their own, and have a new password sent there.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_FORMS = {
    "add_email": "panel.accounts.AddAddressForm",
    "reset_password": "panel.accounts.ForgottenPasswordForm",
}
# Each address that somebody adds is sent a mail, whoever it belongs to.
ACCOUNT_MAX_EMAIL_ADDRESSES = 3
ACCOUNT_SESSION_REMEMBER = True
# Mail tells people of every change to their account, in case it was somebody else's.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""

# A second factor, for whoever turns it on. Accounts are made by staff: an e-mail address that
# its owner has not confirmed says nothing against them.
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
# No MFA_TOTP_TOLERANCE: allauth forgets after 30 s that a code was used, and then a code that
# somebody has seen would still open.
MFA_TOTP_ISSUER = "Berth"
MFA_ALLOW_UNVERIFIED_EMAIL = True

# Failed tries to sign in to one account within five minutes. From one address twice as many may
# fail in a minute, and six times as many may be made. 0 lifts these limits.
SIGN_IN_TRIES = env.int("BERTH_SIGN_IN_TRIES", 5, validate=allowed.none_or_more)
ACCOUNT_RATE_LIMITS = {
    "login_failed": SIGN_IN_TRIES and f"{2 * SIGN_IN_TRIES}/m/ip,{SIGN_IN_TRIES}/5m/key",
    "login": SIGN_IN_TRIES and f"{6 * SIGN_IN_TRIES}/m/ip",
    "manage_email": "10/h/user",
}
# What one customer may ask for within a minute: actions on containers, changes of files. More
# than a page of the list holds, so that all that is ticked on it is asked for at once.
ASKED_A_MINUTE = env.int("BERTH_ASKED_A_MINUTE", 120, validate=allowed.none_or_more)
# Orders that one customer may have unpaid at a time, those cancelled within the hour counted.
UNPAID_ORDERS = env.int("BERTH_UNPAID_ORDERS", 10, validate=allowed.none_or_more)

# Mail goes to the console unless an address like submission://user:password@host is given, which
# means port 587 and STARTTLS; smtp:// encrypts nothing. Some people wait for a mail to go out, so a
# server has ten seconds for each answer, unless ?timeout= says otherwise.
EMAIL = env.dj_email_url("BERTH_EMAIL_URL", "console:")
if "EMAIL_BACKEND" not in EMAIL:
    raise ImproperlyConfigured("BERTH_EMAIL_URL must be console: or start with smtp: or the like")
EMAIL["EMAIL_TIMEOUT"] = EMAIL["EMAIL_TIMEOUT"] or 10
globals().update({key: value for key, value in EMAIL.items() if key.startswith("EMAIL_")})
DEFAULT_FROM_EMAIL = env.str("BERTH_EMAIL_FROM", f"berth@{URL.hostname}", validate=allowed.sender)

# Payment gateways, as django-payments takes them: {"name": ["dotted.path.Provider", {options}]}.
# New payments go through the first. The dummy charges nobody; `orders.stripe.StripeGateway` wants
# the extra `stripe`.
PAYMENT_VARIANTS = env.json(
    "BERTH_PAYMENT_VARIANTS",
    {"dummy": ["payments.dummy.DummyProvider", {}]},
    validate=allowed.gateways,
)
PAYMENT_MODEL = "orders.Payment"
PAYMENT_HOST = URL.netloc
PAYMENT_USES_SSL = HTTPS
# Money is shown and charged in one currency (ISO 4217).
CURRENCY = env.str("BERTH_CURRENCY", "EUR", validate=allowed.currency)

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("BERTH_TIME_ZONE", "UTC", validate=allowed.time_zone)
USE_I18N = False
FORMAT_MODULE_PATH = "panel.formats"

STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
WHITENOISE_MAX_AGE = 3600

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
# Health checks and Prometheus ask from near by, over plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz", r"^metrics$"]
SECURE_SSL_HOST = URL.netloc
SESSION_ENGINE = "panel.sessions"
SESSION_COOKIE_NAME = "berth_session"
CSRF_COOKIE_NAME = "berth_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "panel.unsent.no_longer_valid"
if HTTPS:
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    # Neither for subdomains nor for the lists in browsers: on https://example.com it would forbid
    # http for all that the provider has there, for a year. `check --deploy` would warn of both.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
if PROXIES:
    # Gunicorn believes this header of a proxy on the same machine in any case.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Keeps keys and passwords out of what BERTH_DEBUG shows.
DEFAULT_EXCEPTION_REPORTER_FILTER = "panel.redaction.ReportFilter"

# Lines for a terminal, or "json" for whatever collects them.
LOG_FORMAT = env.str("BERTH_LOG_FORMAT", "line", validate=allowed.log_format)
LOG_LEVEL = env.str("BERTH_LOG_LEVEL", "INFO", validate=allowed.log_level)
LOGGING = logs.configuration(LOG_LEVEL, LOG_FORMAT)
