"""The public page and the staff page, as a person meets them."""

from __future__ import annotations

import pytest
from django.test import Client

from ipis.kernel.seasonpack import SeasonPack
from ipis.ssb.intake.models import Forsendelse, KeyCheck
from ipis.ssb.packs import pack_of
from ipis.ssb.public.texts import TEXTS


@pytest.fixture
def visitor():
    return Client(headers={"host": "localhost", "accept-language": "nb"})


class TestPublicPage:
    def test_pack_is_served_as_the_root_signed_it(self, visitor, room, tmp_path, tpf):
        answer = visitor.get("/sesong/iplos-2017.sesong")
        content = b"".join(answer.streaming_content)
        assert content == (room.pack / "iplos-2017.sesong").read_bytes()
        (tmp_path / "a.sesong").write_bytes(content)
        assert SeasonPack.load(tmp_path / "a.sesong", trusted_root=tpf.root.public).year == 2017
        assert "iplos-2017.sesong" in answer.headers["Content-Disposition"]

    @pytest.mark.parametrize(
        "path", ["/sesong/iplos-2015.sesong", "/sesong/annet-2017.sesong", "/sesong/iplos-2015.allowed_signers"]
    )
    def test_pack_that_is_not_there_is_not_found(self, visitor, path):
        assert visitor.get(path).status_code == 404

    def test_page_shows_dates_and_fingerprint(self, visitor, room):
        """What a municipality compares with the letter."""
        page = visitor.get("/").content.decode()
        pack = pack_of(room, "iplos", 2017)
        for expected in (
            "2. januar 2018", "15. januar 2018", "21. mars 2018", "15. mars 2018", "15. juni 2018",
            pack.root.fingerprint, "/sesong/iplos-2017.sesong", "/sesong/iplos-2016.sesong",
        ):  # fmt: skip
            assert expected in page
        assert page.index("iplos-2017") < page.index("iplos-2016")

    @pytest.mark.parametrize(
        ("language", "words"),
        [("nn", "Siste dag for rettingar"), ("en", "First day of submission"), ("nb", "Første dag for innsending")],
    )
    def test_page_is_in_three_languages(self, visitor, language, words):
        page = visitor.get(f"/?sprak={language}").content.decode()
        assert words in page
        assert f'lang="{language}"' in page

    def test_languages_have_the_same_words(self):
        assert TEXTS["nb"].keys() == TEXTS["nn"].keys() == TEXTS["en"].keys()
        assert all(
            len(texts["months"]) == 12
            and all(texts[part].keys() == TEXTS["nb"][part].keys() for part in ("roles", "states"))
            for texts in TEXTS.values()
        )

    def test_page_says_when_there_is_no_pack_yet(self, visitor, room):
        aside = room.pack.rename(room.pack.with_name("borte"))
        try:
            page = visitor.get("/").content.decode()
        finally:
            aside.rename(room.pack)
        assert "ikke lagt ut ennå" in page

    def test_allowed_signers_name_both_issuers(self, visitor):
        lines = visitor.get("/sesong/iplos-2017.allowed_signers").content.decode().splitlines()
        assert {line.split()[0] for line in lines} == {"root", "tpf", "ssb"}

    def test_page_needs_no_script_and_lets_nobody_post(self, visitor):
        answer = visitor.get("/")
        assert b"<script" not in answer.content
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert visitor.post("/").status_code == 405


class TestStaffPage:
    @pytest.fixture
    def staff(self, visitor):
        from django.contrib.auth.models import User

        User.objects.create_user("kari", password="Sno-og-is-17")
        answer = visitor.post("/saksbehandler/innlogging", {"username": "kari", "password": "Sno-og-is-17"})
        assert answer.status_code == 302
        return visitor

    @pytest.mark.parametrize(
        ("method", "path"), [("get", "/saksbehandler/"), ("post", f"/saksbehandler/forsendelse/{'0' * 32}/slipp")]
    )
    def test_strangers_are_sent_to_the_login(self, visitor, method, path):
        answer = getattr(visitor, method)(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/saksbehandler/innlogging")

    def test_wrong_password_is_told_without_saying_which(self, visitor):
        answer = visitor.post("/saksbehandler/innlogging", {"username": "kari", "password": "feil"})
        assert "passer ikke sammen" in answer.content.decode()
        assert "ds-button" in visitor.get("/saksbehandler/innlogging").content.decode()

    @pytest.mark.parametrize("name", ["per", "nobody"])
    def test_guessing_is_stopped_before_the_password_is_looked_at(self, visitor, django_user_model, name):
        """Ten wrong ones; then the right one waits too, whether or not the name exists, until real time has passed."""
        from ipis.ssb.console.login import ALLOWED, LOCKOUT
        from ipis.ssb.register.models import AuditEvent, StaffAttempts

        django_user_model.objects.create_user("per", password="riktig hest batteri")
        right = {"username": name, "password": "riktig hest batteri"}
        for _ in range(ALLOWED):
            assert (
                "passer ikke" in visitor.post("/saksbehandler/innlogging", right | {"password": "x"}).content.decode()
            )
        assert "For mange" in visitor.post("/saksbehandler/innlogging", right).content.decode()
        assert AuditEvent.objects.filter(event="staff.locked").count() == 1
        row = StaffAttempts.objects.get()
        StaffAttempts.objects.update(last_at=row.last_at - LOCKOUT)
        assert visitor.post("/saksbehandler/innlogging", right).status_code == (302 if name == "per" else 200)
        assert StaffAttempts.objects.exists() is (name != "per")

    def test_empty_register_says_so(self, staff):
        assert "Ingen forsendelser" in staff.get("/saksbehandler/").content.decode()

    def test_staff_see_what_came_and_why_it_was_refused(self, staff, load):
        load()
        load(sequence=2, seed=2, text="01815012352 {n}")
        page = staff.get("/saksbehandler/").content.decode()
        assert "lastet; datadeler, kobling og nøkler er slettet" in page
        assert "ser ut til å inneholde fødselsnumre" in page
        assert "faglig@" not in page

    def test_staff_release_a_held_one(self, staff, load, intake):
        load()
        row, _ = load(sequence=2, key_check="000000")
        assert "Kontrollverdien 000000" in staff.get("/saksbehandler/").content.decode()
        answer = staff.post(f"/saksbehandler/forsendelse/{row.forsendelse}/slipp", {"key_check": "right"})
        assert answer.headers["Location"] == "/saksbehandler/"
        intake.run(once=True)
        assert Forsendelse.objects.get(pk=row.pk).state == "cleared"
        assert KeyCheck.objects.get().value == "000000"

    def test_what_is_not_held_is_not_released(self, staff, load):
        row, _ = load()
        assert staff.post(f"/saksbehandler/forsendelse/{row.forsendelse}/slipp").status_code == 302
        assert Forsendelse.objects.get().state == "cleared"
        assert staff.post(f"/saksbehandler/forsendelse/{'0' * 32}/slipp").status_code == 404

    def test_logout_ends_the_session(self, staff):
        staff.post("/saksbehandler/utlogging")
        assert staff.get("/saksbehandler/").status_code == 302

    def test_a_form_from_elsewhere_is_refused(self, load):
        """The decision cannot be made by a link in a mail."""
        strict = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
        assert strict.post(f"/saksbehandler/forsendelse/{'0' * 32}/slipp").status_code == 403


def test_every_state_of_a_key_has_its_word():
    from ipis.kernel.seasonpack import KeyState

    assert all(set(texts["states"]) == {state.value for state in KeyState} for texts in TEXTS.values())
