"""The addresses of SSB's room."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from ipis.ssb.console import views as console
from ipis.ssb.console.login import StaffLogin
from ipis.ssb.intake.web import api
from ipis.ssb.public import views as public

handler404 = "ipis.lib.web.middleware.not_found"

_LOGIN = LoginView.as_view(
    template_name="ssb/console/login.html", authentication_form=StaffLogin, extra_context=console.ONE_LANGUAGE
)

urlpatterns = [
    path("", public.front, name="front"),
    path("healthz", public.health),
    path("sesong/<slug:register>-<int:year>.sesong", public.season_pack, name="season-pack"),
    path("sesong/<slug:register>-<int:year>.allowed_signers", public.allowed_signers, name="allowed-signers"),
    path("api/v1/inntak/<str:forsendelse>", api.hand_over),
    path("api/v1/inntak/<str:forsendelse>/<str:name>", api.member),
    path("saksbehandler/", console.overview, name="console"),
    path("saksbehandler/innlogging", _LOGIN, name="login"),
    path("saksbehandler/utlogging", LogoutView.as_view(), name="logout"),
    path("saksbehandler/forsendelse/<str:forsendelse>/slipp", console.release_held, name="release"),
    path("saksbehandler/forsendelse/<str:forsendelse>/funn", console.findings, name="staff-findings"),
]
