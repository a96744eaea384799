"""The panel's table of contents."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, include, path
from payments import urls as gateways

from orders.notices import notice
from panel import accounts, failing, views

# Gateways report payments here without signing in; what they send, they sign.
for pattern in gateways.urlpatterns:
    assert isinstance(pattern, URLPattern)
    pattern.callback = login_not_required(notice(pattern.callback))

handler500 = failing.failed

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("", include("containers.urls")),
    path("", include("orders.urls")),
    path("account/login/", accounts.SignIn.as_view(), name="account_login"),
    path("account/", include("allauth.account.urls")),
    path("account/second-factor/", include("allauth.mfa.urls")),
    path("payments/", include(gateways)),
    path("admin/", admin.site.urls),
    path("healthz", views.healthz, name="healthz"),
    path("healthz/live", views.live, name="live"),
    path("healthz/ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="metrics"),
]
