"""The portal's addresses: pages in Norwegian words, interfaces under /api/v1/."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from ipis.filsluse.web import api, api_ssb, views
from ipis.kernel.fields import HEX32
from ipis.kernel.push import MEMBER_NAME


class PushId(StringConverter):
    """The id of a push: 32 hex digits."""

    regex = HEX32


class MemberName(StringConverter):
    """The name of one of a feedback's three files; anything else is no address of ours."""

    regex = MEMBER_NAME


register_converter(PushId, "push")
register_converter(MemberName, "member")

handler404 = "ipis.lib.web.middleware.not_found"

urlpatterns = [
    path("", views.front),
    path("logg-inn", views.log_in),
    path("logg-ut", views.log_out),
    path("ny-bruker", views.new_user),
    path("glemt-passord", views.forgot_password),
    path("passord/<str:token>", views.set_password),
    path("filer", views.list_files),
    path("filer/<push:push_id>/bekreft", views.confirm),
    path("filer/<push:push_id>/slett", views.delete),
    path("filer/<push:push_id>/<member:name>", views.download),
    path("logg", views.log),
    path("healthz", api.healthz),
    path("api/v1/innlogging", api.log_in),
    path("api/v1/filer", api.list_files),
    path("api/v1/filer/<push:push_id>/bekreftelse", api.confirm),
    path("api/v1/filer/<push:push_id>/<member:name>", api.download),
    path("api/v1/push/<push:push_id>/<member:name>", api_ssb.receive),
    path("api/v1/push/<push:push_id>", api_ssb.publish),
    path("api/v1/hendelser", api_ssb.events),
]
