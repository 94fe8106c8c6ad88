"""`ipis ssb …` as an operator gives it: what it makes, what it refuses, and how its processes end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from tests.ssb.conftest import IN_WINDOW
from tests.ssb.fake_tpf import PIN, TESTVIK, YEAR
from tests.ssb.processes import Ssb, ipis

from ipis.kernel.clock import turn
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.errors import Misuse, OurFault, Refused
from ipis.kernel.seasonpack import SeasonPack
from ipis.lib.jobs import JobState
from ipis.ssb import cli, work
from ipis.ssb.register.deliveries import REVALIDATE
from ipis.ssb.register.models import Enrolment, Job


@pytest.fixture(scope="module")
def ssb(tmp_path_factory, tpf):
    return Ssb.make(tmp_path_factory.mktemp("ssb"), tpf)


@pytest.fixture
def file(room, tmp_path, monkeypatch):
    """The settings file of this process's room; Django is configured already."""
    monkeypatch.setattr(cli, "_configure", lambda _room: None)
    path = tmp_path / "settings.toml"
    values = {
        "environment": "test",
        "data": room.data,
        "public_url": "http://localhost",
        "pack": room.pack,
        "clock": room.clock,
    }
    path.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
    return path


def run(*arguments, **more):
    return cli.app(args=[str(a) for a in arguments], standalone_mode=False, **more)


class TestInit:
    def test_init_twice_changes_nothing(self, ssb):
        before = {path: path.read_bytes() for path in ssb.settings.keys.iterdir()}
        assert "nothing new" in ssb.run("init").stdout
        assert {path: path.read_bytes() for path in ssb.settings.keys.iterdir()} == before

    @pytest.mark.parametrize(
        "verb", [["work", "--once", "--only", "intake"], ["revalidate", "--year", "2017"], ["staff", "--user", "x"]]
    )
    def test_verb_before_init_says_what_to_do(self, tmp_path, verb):
        (tmp_path / "s.toml").write_text('environment = "test"\ndata = "x"\npublic_url = "http://localhost"\n')
        done = ipis(verb[0], "--settings", tmp_path / "s.toml", *verb[1:], check=False)
        assert done.returncode == 64
        assert "ipis ssb init" in done.stderr

    def test_worker_with_another_roles_key_refuses_to_start(self, ssb, tmp_path):
        """Architecture §1: a room handed a key of another role does not run."""
        key = ssb.settings.keys / "feedback.age"
        aside = shutil.move(key, tmp_path / "aside")
        shutil.copy(ssb.settings.keys / "ssb.age", key)
        try:
            done = ssb.run("work", "--once", "--only", "feedback", check=False)
        finally:
            key.unlink()
            shutil.move(aside, key)
        assert done.returncode == 64
        assert "feedback" in done.stderr

    def test_intake_worker_needs_no_feedback_key(self, ssb, tmp_path):
        """It runs where that key is not: it never reads it."""
        key = ssb.settings.keys / "feedback.age"
        aside = shutil.move(key, tmp_path / "aside")
        try:
            assert ssb.work("intake") == 0
        finally:
            shutil.move(aside, key)


class TestProcesses:
    def test_web_process_serves_and_stops(self, ssb):
        process = ssb.serve()
        with httpx2.Client(timeout=120, trust_env=False) as client:
            assert client.get(f"{ssb.settings.public_url}/sesong/iplos-2017.sesong").status_code == 200
            assert client.get(f"{ssb.settings.public_url}/static/lib/page.css").status_code == 200
        process.terminate()
        assert process.wait(120) in (0, -signal.SIGTERM)

    def test_work_without_a_role_runs_both_and_ends_both(self, ssb):
        """One SIGTERM ends the parent and its two workers."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ipis", "ssb", "work", "--settings", str(ssb.file)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        waiter = threading.Event()
        found = []
        for _ in range(2400):
            found = children.read_text(encoding="ascii").split()
            if len(found) == 2 or waiter.wait(0.05):
                break
        assert len(found) == 2
        waiter.wait(1.5)
        process.terminate()
        assert process.wait(120) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in found)

    def test_work_once_runs_both_in_turn(self, ssb):
        assert ssb.run("work", "--once").returncode == 0

    def test_workers_run_nothing_from_the_working_folder(self, ssb, tmp_path, monkeypatch):
        """A file there, called as the program is, would be run with the room's keys."""
        trace = tmp_path / "trace"
        (tmp_path / "ipis.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        work.run_both(ssb.file, once=True)
        assert not trace.exists()

    def test_worker_that_dies_ends_the_other_and_is_told(self, ssb, monkeypatch):
        """A supervisor sees the exit code and starts both again."""
        commands = {work.Role.INTAKE: ["false"], work.Role.FEEDBACK: ["sleep", "30"]}
        monkeypatch.setattr(work, "_command", lambda _file, role, **_: commands[role])
        with pytest.raises(OurFault) as caught:
            work.run_both(ssb.file, once=False)
        assert caught.value.params["role"] == "intake"

    def test_worker_that_fails_once_is_told(self, ssb, monkeypatch):
        monkeypatch.setattr(work, "_command", lambda *_, **__: ["false"])
        with pytest.raises(OurFault) as caught:
            work.run_both(ssb.file, once=True)
        assert caught.value.code == "ssb.worker_ended"


class TestClaims:
    def test_job_of_a_dead_worker_is_given_back_at_once(self, room):
        """A worker started again does not wait out the lease of the one that was killed."""
        import socket

        dead = subprocess.Popen(["true"])
        dead.wait()
        host = socket.gethostname()
        claims = {
            "a": f"intake:{host}:{dead.pid}:",
            "b": f"intake:{host}:1:",
            "c": f"feedback:{host}:{dead.pid}:",
            "d": f"intake:elsewhere:{dead.pid}:",
            "e": f"intake:{host}:{os.getpid()}:",
        }
        for subject, name in claims.items():
            Job.objects.create(kind="load", subject=subject, state=JobState.RUNNING, claimed_by=name)
        assert work._claim(work.Role.INTAKE) == claims["e"]
        free = set(Job.objects.filter(state=JobState.QUEUED).values_list("subject", flat=True))
        assert free == {"a", "e"}


class TestEnrol:
    def options(self, **changes):
        values = {
            "kommune": TESTVIK,
            "bydel": "00",
            "orgnr": demo_orgnr(TESTVIK),
            "year": YEAR,
            "address": "p@k.kommune.test",
            **changes,
        }
        return [item for key, value in values.items() for item in (f"--{key}", value)]

    def test_pin_of_a_file_is_sealed(self, file, tmp_path, capsys):
        (tmp_path / "pin").write_text(PIN + "\n")
        run("enrol", "--settings", file, *self.options(), "--pin-file", tmp_path / "pin")
        assert "generation 1" in capsys.readouterr().out
        assert Enrolment.objects.get().kommune == TESTVIK

    def test_pin_is_asked_for_without_a_file(self, file, monkeypatch):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, readline=lambda: PIN + "\n"))
        run("enrol", "--settings", file, *self.options())
        assert Enrolment.objects.exists()

    @pytest.mark.parametrize("pin", ["", "\n", "A" * 101, "AB\x07CD"])
    def test_what_is_no_pin_is_refused(self, file, tmp_path, pin):
        (tmp_path / "pin").write_text(pin)
        with pytest.raises(Refused):
            run("enrol", "--settings", file, *self.options(), "--pin-file", tmp_path / "pin")
        assert not Enrolment.objects.exists()


class TestRevalidate:
    def test_newest_deliveries_are_queued(self, file, load, at, capsys):
        """What counts now is judged again; what was replaced is not."""
        load()
        second, _ = load(sequence=2)
        nabo, _ = load(kommune="0412")
        turn_on(at)
        run("revalidate", "--settings", file, "--year", YEAR)
        assert "2 deliveries" in capsys.readouterr().out
        assert set(Job.objects.filter(kind=REVALIDATE).values_list("subject", flat=True)) == {
            second.forsendelse,
            nabo.forsendelse,
        }

    def test_one_municipality_may_be_chosen_and_again(self, file, load, at):
        load()
        nabo, _ = load(kommune="0412")
        turn_on(at)
        for _ in range(2):
            run("revalidate", "--settings", file, "--year", YEAR, "--kommune", "0412")
            job = Job.objects.get(kind=REVALIDATE)
            assert (job.subject, job.state) == (nabo.forsendelse, JobState.QUEUED)
            Job.objects.filter(kind=REVALIDATE).update(state=JobState.DONE)


def turn_on(at):
    from datetime import timedelta

    at(IN_WINDOW + timedelta(days=1))


class TestPack:
    def test_body_is_made_signed_and_joined(self, ssb, tmp_path, tpf, capsys):
        (tmp_path / "tpf.json").write_text(json.dumps(tpf.public()))
        keys = ["--keys", tmp_path / "tpf.json", "--keys", ssb.settings.public / "keys.json"]
        root = ["--root", tpf.root.public.openssh]
        run("pack", "--settings", ssb.file, "--year", YEAR, *keys, *root, "--out", tmp_path / "body")
        (tmp_path / "sig").write_bytes(tpf.root.sign((tmp_path / "body").read_bytes(), "ipis-keys@v1"))
        run(
            "pack",
            "--settings",
            ssb.file,
            *root,
            "--attach",
            tmp_path / "sig",
            tmp_path / "body",
            "--out",
            tmp_path / "a.sesong",
        )
        # One more than the pack in place: a version never goes down.
        assert SeasonPack.load(tmp_path / "a.sesong").version == 2
        assert tpf.root.public.fingerprint in capsys.readouterr().out

    def test_definitions_of_a_folder_are_taken(self, ssb, tmp_path, tpf, root):
        """A new year is a new folder, not new code."""
        (tmp_path / "tpf.json").write_text(json.dumps(tpf.public()))
        folder = tmp_path / "definitions"
        shutil.copytree(root / "src/ipis/definitions/iplos" / str(YEAR), folder)
        text = (folder / "collection.toml").read_text().replace(f"year = {YEAR}\n", "year = 2099\n")
        (folder / "collection.toml").write_text(text)
        keys = ["--keys", tmp_path / "tpf.json", "--keys", ssb.settings.public / "keys.json"]
        run("pack", "--settings", ssb.file, "--year", 2099, *keys, "--definitions", folder, "--out", tmp_path / "body")
        body = json.loads((tmp_path / "body").read_bytes())
        assert (body["year"], body["version"]) == (2099, 1)

    @pytest.mark.parametrize("options", [[], ["--year", YEAR], ["--attach", "sig"]])
    def test_options_that_do_not_go_together_are_misuse(self, ssb, tmp_path, options):
        with pytest.raises(Misuse) as caught:
            run("pack", "--settings", ssb.file, *options, "--out", tmp_path / "x")
        assert caught.value.code == "ssb.pack_usage"


class TestStaff:
    def test_user_is_made_and_gets_a_new_password(self, file, monkeypatch):
        from django.contrib.auth import authenticate

        for password in ("Sno-og-is-17", "Regn-og-vind-18"):
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
            monkeypatch.setattr(cli.getpass, "getpass", lambda _, found=password: found)
            run("staff", "--settings", file, "--user", "kari")
            assert authenticate(username="kari", password=password) is not None


def test_work_of_a_role_runs_in_this_process(file, load, enrolled, monkeypatch, room):
    """The composition itself: real keys, real steps, the child process, the ticks."""
    monkeypatch.setattr(work.signal, "signal", lambda *_: None)
    load()
    Job.objects.exclude(kind="post").update(state=JobState.DONE)
    run("work", "--settings", file, "--once", "--only", "intake")
    assert Job.objects.get(kind="post").problem == "ssb.tpf_away"
    turn(room.clock, IN_WINDOW)
    run("work", "--settings", file, "--once", "--only", "feedback")
    assert not Job.objects.filter(kind="mail").exists()
