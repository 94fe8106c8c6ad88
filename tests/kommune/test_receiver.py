"""What the client makes of answers that TPF would never give: each is one clear error, and none of it reaches the terminal."""

import base64
import json

import httpx2
import pytest

from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, OurFault, TryLater
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey
from ipis.kommune import receiver
from ipis.kommune.receiver import Fields, Receiver, State, told_by_tpf

PLACE = "/api/v1/opplasting/" + "0" * 32
PROBLEM = {"code": "tpf.login", "found": "a", "expected": "b", "do": "c", "retry": False}


@pytest.fixture
def tpf(monkeypatch):
    """Give a client whose answers come from a list."""
    monkeypatch.setattr(receiver, "_TRIES", 3)

    def make(*answers):
        left = list(answers)

        def answer(_request):
            said = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(said, Exception):
                raise said
            return said

        client = Receiver("http://127.0.0.1:1", "nb")
        client._http = httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://127.0.0.1:1")
        client._pause.set()
        return client

    return make


def code_of(call):
    with pytest.raises(IpisError) as error:
        call()
    return error.value.code


def said(status=200, **body):
    return httpx2.Response(status, json=body)


UNREADABLE = [httpx2.Response(200, content=b"<html>"), httpx2.Response(200, json=[1]), said(token=7), said(token="a b")]


@pytest.mark.parametrize("answer", UNREADABLE)
def test_a_login_answered_by_something_else_is_our_fault(tpf, answer):
    key = SigningKey.generate("sender", Environment.TEST)
    client = tpf(said(nonce="n"), answer)
    assert code_of(lambda: client.log_in(Fields("0403", "00", "1"), Secret("x"), key)) == "send.answer"


@pytest.mark.parametrize("body", [{}, {"state": 1}, {"state": "done", "receipts": "R1"}])
def test_a_state_that_is_none_is_our_fault(body):
    with pytest.raises(OurFault):
        State.read(body)


def test_a_state_carries_the_problem_in_tpfs_words():
    state = State.read({"state": "refused", "receipts": [], "problem": PROBLEM | {"rule": "K009"}})
    assert (state.problem.code, state.problem.rule, state.problem.exit_code) == ("tpf.login", "K009", 2)
    assert state.problem.as_dict("en")["found"] == "a"


def test_control_characters_of_a_stranger_never_reach_the_terminal():
    error = told_by_tpf(PROBLEM | {"found": "x\x1b[31m\n\u202ey" * 200, "do": None}, 422)
    assert error.render("nb").found.isprintable()
    assert len(error.render("nb").found) <= 600


@pytest.mark.parametrize(("retry", "status", "exit_code"), [(False, 422, 2), (True, 422, 3), (False, 500, 3)])
def test_what_may_be_tried_again_says_so(retry, status, exit_code):
    assert told_by_tpf(PROBLEM | {"retry": retry}, status).exit_code == exit_code


@pytest.mark.parametrize("code", [None, 7, "", "no code", "../x"])
def test_a_problem_without_a_code_is_our_fault(code):
    assert told_by_tpf(PROBLEM | {"code": code}, 422).code == "send.answer"


@pytest.mark.parametrize("place", ["", "http://elsewhere/x", "/api/v1/opplasting/../x"])
def test_an_upload_goes_nowhere_else(tpf, tmp_path, place):
    (tmp_path / "f").write_bytes(b"x")
    client = tpf(httpx2.Response(201, headers={"Location": place}))
    assert code_of(lambda: client.upload(tmp_path / "f", print)) == "send.answer"


def test_an_offset_that_is_no_number_is_our_fault(tpf, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    client = tpf(
        httpx2.Response(201, headers={"Location": PLACE}), httpx2.Response(200, headers={"Upload-Offset": "x"})
    )
    assert code_of(lambda: client.upload(tmp_path / "f", print)) == "send.answer"


def at(offset):
    return httpx2.Response(200, headers={"Upload-Offset": str(offset)})


def problem(code, status=422, retry=False):
    return httpx2.Response(status, json=PROBLEM | {"code": code, "retry": retry})


def test_a_piece_that_was_changed_or_misplaced_is_sent_again(tpf, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    begun = httpx2.Response(201, headers={"Location": PLACE})
    done = httpx2.Response(204, headers={"Upload-Offset": "5"})
    client = tpf(begun, at(0), problem("tpf.checksum"), at(0), problem("tpf.offset"), at(2), done)
    assert client.upload(tmp_path / "f", lambda _: None) == PLACE


def test_a_refusal_of_a_piece_is_told_at_once(tpf, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    client = tpf(httpx2.Response(201, headers={"Location": PLACE}), at(0), problem("tpf.upload_closed"))
    assert code_of(lambda: client.upload(tmp_path / "f", lambda _: None)) == "tpf.upload_closed"


def test_a_piece_that_never_passes_ends_in_its_own_words(tpf, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    busy = [problem("tpf.upload_busy", 423, retry=True), at(0)]
    client = tpf(httpx2.Response(201, headers={"Location": PLACE}), at(0), *busy, *busy, *busy)
    assert code_of(lambda: client.upload(tmp_path / "f", lambda _: None)) == "tpf.upload_busy"


def test_an_upload_that_makes_no_progress_gives_up(tpf, tmp_path):
    """An answer without an offset is no progress, and no endless loop."""
    (tmp_path / "f").write_bytes(b"hello")
    client = tpf(httpx2.Response(201, headers={"Location": PLACE}), at(0), *[httpx2.Response(204), at(0)] * 3)
    assert code_of(lambda: client.upload(tmp_path / "f", lambda _: None)) == "send.silent"


def test_nobody_there_is_to_be_tried_later(tpf):
    with pytest.raises(TryLater) as error:
        tpf(httpx2.ConnectError("no")).state(PLACE, 0)
    assert error.value.code == "send.silent"


@pytest.mark.parametrize(
    ("status", "code"), [(404, "send.upload_gone"), (401, "send.upload_gone"), (502, "send.silent")]
)
def test_an_answer_without_words_is_told_by_its_number(tpf, status, code):
    client = tpf(httpx2.Response(status, content=b"<html>"))
    assert code_of(lambda: client.state(PLACE, 0)) == code
    assert code_of(lambda: client.season_pack("iplos", 1)) == {"send.upload_gone": "send.no_pack"}.get(code, code)


@pytest.mark.parametrize("rows", [{}, [1], [{"receipt": "!!"}], [{}, 7]])
def test_receipts_that_are_none_are_our_fault(tpf, rows):
    client = tpf(httpx2.Response(200, content=json.dumps(rows).encode(), headers={"Content-Type": "application/json"}))
    assert code_of(client.receipts) == "send.answer"


def test_receipts_come_as_bytes(tpf):
    row = {"receipt": base64.b64encode(b"{}").decode(), "signature": "s"}
    assert tpf(httpx2.Response(200, json=[row])).receipts("0" * 32, 2000)[0].data == b"{}"


class Endless(httpx2.SyncByteStream):
    """An answer that never ends; counts what was taken of it."""

    taken = 0

    def __iter__(self):
        while self.taken < 1 << 30:
            self.taken += 1 << 20
            yield bytes(1 << 20)


@pytest.mark.parametrize("status", [200, 422])
def test_an_answer_without_end_is_left_when_it_is_longer_than_any_right_one(tpf, monkeypatch, status):
    """A taken mirror cannot fill the machine's memory."""
    monkeypatch.setattr(receiver, "_LARGEST_ANSWER", 3 << 20)
    stream = Endless()
    client = tpf(httpx2.Response(status, headers={"Content-Type": "application/json"}, stream=stream))
    assert code_of(lambda: client.season_pack("iplos", 1)) == "send.answer"
    assert stream.taken <= 5 << 20
