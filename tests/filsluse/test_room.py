"""The room itself: settings, worker, command line, the trust in the season pack, and that it holds no private key."""

import re
from datetime import timedelta

import pytest
import time_machine
from tests.filsluse.conftest import NABO, NABO_USER, PASSWORD, mails
from tests.filsluse.season import Season

from ipis.filsluse import cli, trust
from ipis.filsluse.models import Account, Attempts, Session
from ipis.filsluse.settings import FilsluseSettings
from ipis.filsluse.tokens import real_now
from ipis.filsluse.worker import Sweep, make_worker
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, PackRefused

TOML = """
environment = "{environment}"
data = "data"
public_url = "{url}"
{more}
"""


def settings_file(folder, environment="demo", url="http://filsluse.test", more=""):
    path = folder / "settings.toml"
    path.write_text(TOML.format(environment=environment, url=url, more=more))
    return path


class TestSettings:
    def test_the_letter_sets_the_floor(self, tmp_path):
        room = FilsluseSettings.load(settings_file(tmp_path), {})
        assert (room.link_minutes, room.password_length) == (60, 6)

    @pytest.mark.parametrize("more", ["password_length = 5", "link_minutes = 61", "session_minutes = 0", "pin = 1"])
    def test_values_beyond_it_are_refused(self, tmp_path, more):
        with pytest.raises(Misuse, match=r"settings\.invalid"):
            FilsluseSettings.load(settings_file(tmp_path, more=more), {})

    @pytest.mark.parametrize(
        ("url", "more"),
        [
            ("https://filsluse.ssb.no", ""),
            ("http://filsluse.ssb.no", 'trusted_root = "ssh-ed25519 AAAA"'),
            ("https://filsluse.ssb.no", 'trusted_root = "ssh-ed25519 AAAA"\nclock = "c"'),
        ],
    )
    def test_production_pins_the_root_and_speaks_https_by_the_real_clock(self, tmp_path, url, more):
        with pytest.raises(Misuse, match=r"settings\.invalid"):
            FilsluseSettings.load(settings_file(tmp_path, "production", url, more), {})

    def test_production_starts_when_it_is_whole(self, tmp_path):
        path = settings_file(tmp_path, "production", "https://filsluse.ssb.no", 'trusted_root = "ssh-ed25519 AAAA"')
        assert FilsluseSettings.load(path, {}).environment is Environment.PRODUCTION


def test_behind_a_tls_server_forms_are_taken_from_the_public_address_only(tmp_path):
    from ipis.lib.web.django import django_settings

    path = settings_file(tmp_path, "production", "https://filsluse.ssb.no/", 'trusted_root = "ssh-ed25519 AAAA"')
    room = FilsluseSettings.load(path, {})
    values = django_settings(room, apps=[], urls="")
    assert values["CSRF_TRUSTED_ORIGINS"] == ["https://filsluse.ssb.no"]
    assert values["SESSION_COOKIE_SECURE"]
    assert values["CSRF_COOKIE_SECURE"]
    assert "filsluse.ssb.no" in values["ALLOWED_HOSTS"]


def test_a_form_from_another_site_is_refused(testvik):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True, headers={"host": "filsluse.test"})
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', strict.get("/logg-inn").content.decode())[1]
    fields = {"bruker": testvik.username, "passord": PASSWORD, "csrfmiddlewaretoken": token}
    assert strict.post("/logg-inn", fields, headers={"origin": "https://evil.test"}).status_code == 403
    assert strict.post("/logg-inn", fields, headers={"origin": "http://filsluse.test"}).status_code == 302


class TestTrust:
    @pytest.fixture
    def with_pack(self, portal, monkeypatch):
        def use(**changes):
            monkeypatch.setattr(trust, "room_settings", lambda: portal.model_copy(update=changes))

        return use

    def test_the_packs_push_keys_are_the_only_ones(self, season):
        assert trust.push_keys() == [season.push.public]

    def test_settings_may_ask_for_longer_passwords_than_the_letter(self, with_pack):
        with_pack(password_length=12)
        assert trust.password_rules().least == 12

    @pytest.mark.parametrize("path", [None, "nowhere.sesong"])
    def test_without_a_pack_nothing_is_trusted(self, with_pack, tmp_path, path):
        with_pack(pack=path and tmp_path / path)
        with pytest.raises(Misuse, match=r"filsluse\.no_pack"):
            trust.push_keys()

    def test_a_pack_of_another_environment_is_refused(self, with_pack, tmp_path):
        with_pack(pack=Season.make(tmp_path, Environment.TEST).pack)
        with pytest.raises(PackRefused, match=r"seasonpack\.environment"):
            trust.push_keys()

    def test_a_pack_of_another_root_than_the_pinned_one_is_refused(self, with_pack, season, tmp_path):
        other = Season.make(tmp_path)
        with_pack(pack=other.pack, trusted_root=season.root.public.openssh)
        with pytest.raises(PackRefused):
            trust.push_keys()

    def test_a_replaced_pack_is_read_again(self, with_pack, tmp_path):
        one = Season.make(tmp_path)
        with_pack(pack=one.pack)
        assert trust.push_keys() == [one.push.public]
        (tmp_path / "other").mkdir()
        other = Season.make(tmp_path / "other")
        other.pack.replace(one.pack)
        assert trust.push_keys() == [other.push.public]


class TestSweep:
    def test_old_attempts_and_sessions_are_forgotten_once_an_hour(self, testvik):
        now = real_now()
        sweep = Sweep()
        sweep()
        Attempts.objects.create(subject="a", last_at=now - timedelta(days=2))
        Session.objects.create(account=testvik, token_hash="t", created_at=now - timedelta(days=1), seen_at=now)
        sweep()
        assert Attempts.objects.count() == 1
        with time_machine.travel(now + timedelta(hours=1, minutes=1), tick=False):
            sweep()
        assert (Attempts.objects.count(), Session.objects.count()) == (0, 0)

    def test_the_worker_ends_when_nothing_is_due(self, testvik):
        make_worker().run(once=True)


class TestCommandLine:
    """The verbs' own work; `configure` is left out, since this process has been."""

    @pytest.fixture(autouse=True)
    def _configured(self, portal, monkeypatch):
        monkeypatch.setattr(cli, "_configure", lambda _path: portal)

    def test_init_makes_folders_and_an_empty_list_of_keys(self, portal):
        cli.init(portal.data)
        assert (portal.public / "keys.json").read_bytes() == b"[]\n"
        assert portal.files.stat().st_mode & 0o777 == 0o700

    def test_account_opens_one_and_mails(self, portal, capsys):
        cli.account(portal.data, NABO, NABO_USER)
        assert Account.objects.get().kommune == NABO
        assert len(mails()) == 1
        assert NABO_USER not in capsys.readouterr().out

    def test_work_runs_until_idle(self, portal):
        cli.work(portal.data, once=True)

    def test_serve_hands_the_settings_file_to_the_server(self, portal, monkeypatch, tmp_path):
        from ipis.filsluse.site import application
        from ipis.lib.web import serve

        asked = []
        monkeypatch.setattr(serve, "serve", lambda *words: asked.append(words))
        path = settings_file(tmp_path)
        cli.serve(path)
        assert asked[0][:2] == (application, path)


def test_the_room_holds_no_private_key(portal):
    cli_files = [path.read_bytes() for path in portal.data.rglob("*") if path.is_file()]
    assert not any(b"PRIVATE KEY" in content or b"AGE-SECRET-KEY" in content for content in cli_files)


def test_migrations_are_fresh():
    from django.core.management import call_command

    call_command("makemigrations", "filsluse", check=True, dry_run=True, verbosity=0)
