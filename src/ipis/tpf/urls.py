"""The addresses that TPF answers at."""

from django.urls import path

from ipis.tpf.web import api, pages, tus

urlpatterns = [
    path("healthz", api.health),
    path("api/v1/innlogging/utfordring", api.challenge),
    path("api/v1/innlogging", api.log_in),
    path("api/v1/forsendelser", api.announce),
    path("api/v1/forsendelser/<str:identifier>", api.parcel),
    path("api/v1/forsendelser/<str:identifier>/kvitteringer", api.parcel_receipts, name="tpf-receipts"),
    path("api/v1/kvitteringer", api.all_receipts),
    path("api/v1/opplasting", tus.uploads),
    path("api/v1/opplasting/<str:public_id>", tus.upload, name="tpf-upload"),
    path("sesong/<str:name>", api.season_pack),
    path("", pages.front, name="tpf-front"),
    path("send", pages.send, name="tpf-send"),
    path("kvittering/<str:public_id>", pages.receipt, name="tpf-receipt-page"),
    path("logg-ut", pages.leave, name="tpf-leave"),
]
