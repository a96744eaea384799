"""The panel's table of contents."""

from django.contrib import admin
from django.urls import include, path, re_path
from payments.urls import process_data, static_callback

from orders.notices import notice
from panel import accounts, failing, views

handler400 = failing.not_understood
handler500 = failing.failed

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("", include("containers.urls")),
    path("", include("orders.urls")),
    path("account/login/", accounts.SignIn.as_view(), name="account_login"),
    path("account/logout/", accounts.SignOut.as_view(), name="account_logout"),
    path("account/email/", accounts.Addresses.as_view(), name="account_email"),
    path("account/", include("allauth.account.urls")),
    path("account/second-factor/", include("allauth.mfa.urls")),
    # As django-payments has them, which looks them up by these names.
    path("payments/process/<uuid:token>/", notice(process_data), name="process_payment"),
    re_path(
        r"^payments/process/(?P<variant>[a-z-]+)/$",
        notice(static_callback),
        name="static_process_payment",
    ),
    path("admin/", admin.site.urls),
    path("healthz", views.healthz, name="healthz"),
    path("healthz/live", views.live, name="live"),
    path("healthz/ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="metrics"),
]
