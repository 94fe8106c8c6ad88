"""Hostile and broken XML: each refused with its own code, in little time and memory, before or as soon as it shows."""

import os
import subprocess
import sys
import textwrap

import pytest
from tests.kernel.extract_cast import LAYOUT, content, counts, person, write_xml, xml

from ipis.kernel.errors import LANGUAGES, ExtractRefused
from ipis.kernel.extract import Limits, read

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
SECRET = "01815012352"


def refused(tmp_path, data, limits=None):
    path = tmp_path / "uttrekk.xml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    with pytest.raises(ExtractRefused) as caught:
        read(path, LAYOUT, limits=limits)
    error = caught.value
    for language in LANGUAGES:
        text = error.render(language)
        assert "{" not in text.found + text.expected + text.do
        assert SECRET not in str(error.as_dict(language))
    assert SECRET not in repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error.code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "extract.empty"),
        (b"PK\x03\x04", "extract.not_xml"),
        (b"brukerNr;fid\n1;2\n", "extract.not_xml"),
        (b"age-encryption.org/v1\n", "extract.not_xml"),
        (b"<html><body/></html>", "extract.root"),
        (b"<Person/>", "extract.root"),
        (b"<", "extract.malformed"),
        (b"   ", "extract.not_xml"),
        (b"<!-- only a comment -->", "extract.malformed"),
        (b"<!-- a comment without end", "extract.malformed"),
        (b"<Uttrekk><Person></Uttrekk>", "extract.malformed"),
        (b'<Uttrekk a="1" a="2"/>', "extract.malformed"),
        (b"<Uttrekk/><Uttrekk/>", "extract.malformed"),
        (b'<Uttrekk leverandor="\x00"/>', "extract.malformed"),
        (b"<Uttrekk/>", "extract.no_trailer"),
        (b"<Uttrekk><Slutt/><Person/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Slutt/><Slutt/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Person><Slutt/></Person></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Slutt><Diagnose/></Slutt></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Tjeneste/><Slutt/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Person><Person/></Person><Slutt/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Person><Vedtak><Vedtak/></Vedtak></Person><Slutt/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Uttrekk/><Slutt/></Uttrekk>", "extract.misplaced"),
        (b"<Uttrekk><Menneske/><Slutt/></Uttrekk>", "extract.unknown_record"),
        (b"<Uttrekk><person/><Slutt/></Uttrekk>", "extract.unknown_record"),
        (b'<Uttrekk><Person kjonn="1"/><Slutt/></Uttrekk>', "extract.unknown_field"),
        (b'<Uttrekk><Person kode="15"/><Slutt/></Uttrekk>', "extract.unknown_field"),
        (b'<Uttrekk hemmelig="1"/>', "extract.unknown_field"),
        (b'<Uttrekk><Person/><Slutt antallHester="1"/></Uttrekk>', "extract.unknown_field"),
        (b'<Uttrekk xmlns="urn:x"><Slutt/></Uttrekk>', "extract.unknown_field"),
        (b"<x:Uttrekk xmlns:x='urn:x'/>", "extract.root"),
        (b"<Uttrekk><Person>tekst</Person><Slutt/></Uttrekk>", "extract.text"),
        (b"<Uttrekk>\xc2\xa0<Slutt/></Uttrekk>", "extract.text"),
        (b"<Uttrekk><![CDATA[x]]><Slutt/></Uttrekk>", "extract.text"),
        (b"<Uttrekk>&#65;<Slutt/></Uttrekk>", "extract.text"),
    ],
)  # fmt: skip
def test_what_is_no_extract_is_refused_with_its_own_code(tmp_path, data, code):
    assert refused(tmp_path, data) == code


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp037"])
def test_other_encodings_are_refused_by_their_first_bytes(tmp_path, encoding):
    text = xml().replace("UTF-8", encoding)
    assert refused(tmp_path, text.encode(encoding)) == "extract.encoding"


@pytest.mark.parametrize("declared", ["ISO-8859-1", "windows-1252", "UTF-16", "us-ascii", "utf-7"])
def test_other_declared_encodings_are_refused(tmp_path, declared):
    assert refused(tmp_path, xml().replace("UTF-8", declared)) == "extract.encoding"
    assert refused(tmp_path, xml().replace('"UTF-8"', f"'{declared}'")) == "extract.encoding"


@pytest.mark.parametrize("declared", ["utf-8", "Utf-8", "UTF-8"])
def test_utf8_may_be_declared_in_any_case_or_not_at_all(tmp_path, declared):
    path = tmp_path / "uttrekk.xml"
    path.write_text(xml().replace("UTF-8", declared), encoding="utf-8")
    assert read(path, LAYOUT).tables["person"].num_rows == 2
    path.write_text(xml().replace(DECLARATION, ""), encoding="utf-8")
    assert read(path, LAYOUT).tables["person"].num_rows == 2


@pytest.mark.parametrize("repeat", [1, 2_000])
def test_cp1252_that_says_utf8_is_refused_as_such(tmp_path, repeat):
    """Also far into the file, where another chunk is read."""
    rows = [item for n in range(repeat) for item in content()]
    text = xml([*rows, ("person", person("Åse"))])
    assert refused(tmp_path, text.encode("cp1252")) == "extract.not_utf8"


def test_a_file_cut_anywhere_is_never_accepted(tmp_path):
    whole = xml().encode()
    path = tmp_path / "uttrekk.xml"
    codes = set()
    for length in (*range(400), *range(400, len(whole.rstrip()), 7)):
        path.write_bytes(whole[:length])
        with pytest.raises(ExtractRefused) as caught:
            read(path, LAYOUT)
        codes.add(caught.value.code)
    assert codes <= {"extract.empty", "extract.truncated", "extract.malformed", "extract.not_xml"}
    assert refused(tmp_path, whole[: len(whole) // 2]) == "extract.truncated"


BOMB = """<!DOCTYPE Uttrekk [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>"""
EXTERNAL = '<!DOCTYPE Uttrekk [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "doctype", [BOMB, EXTERNAL, "<!DOCTYPE Uttrekk>", '<!DOCTYPE Uttrekk SYSTEM "http://127.0.0.1:1/x.dtd">']
)
def test_a_doctype_is_refused_before_the_parser_sees_a_byte(tmp_path, doctype, monkeypatch):
    from ipis.kernel import extract_xml

    monkeypatch.setattr(extract_xml.expat, "ParserCreate", None)
    body = xml().removeprefix(DECLARATION)
    assert refused(tmp_path, DECLARATION + doctype + body) == "extract.doctype"
    assert refused(tmp_path, doctype.lower().replace("<!entity", "<!ENTITY") + body) == "extract.doctype"
    assert refused(tmp_path, f"{DECLARATION}<!-- {'x' * 60_000} -->{doctype}{body}") == "extract.doctype"
    assert refused(tmp_path, f"{DECLARATION}<!-- {doctype} -->{body}") == "extract.doctype"


def test_a_doctype_behind_a_comment_longer_than_we_look_is_refused(tmp_path):
    body = xml().removeprefix(DECLARATION)
    assert refused(tmp_path, f"{DECLARATION}<!-- {'x' * 70_000} -->{BOMB}{body}") == "extract.prolog"
    assert refused(tmp_path, f"{DECLARATION}{' ' * 70_000}{body}") == "extract.prolog"


def test_the_parser_itself_refuses_a_doctype_too(tmp_path, monkeypatch):
    """Should the look at the first bytes ever be fooled, the first event ends it."""
    from ipis.kernel import extract_prolog

    monkeypatch.setattr(extract_prolog, "check", lambda *_: 0)
    assert refused(tmp_path, DECLARATION + BOMB + xml().removeprefix(DECLARATION)) == "extract.doctype"


def test_an_entity_that_nobody_declared_is_refused(tmp_path):
    assert refused(tmp_path, xml([("person", person("1"))]).replace('"00"', '"&ukjent;"')) == "extract.entity"


def test_ten_thousand_attributes_are_refused(tmp_path):
    many = " ".join(f'a{n}="1"' for n in range(10_000))
    assert refused(tmp_path, f"<Uttrekk><Person {many}/><Slutt/></Uttrekk>") == "extract.too_many_fields"
    assert refused(tmp_path, f"<Uttrekk {many}/>") == "extract.too_many_fields"


@pytest.mark.parametrize("length", [1_000, 1_001])
def test_a_value_has_at_most_a_thousand_characters(tmp_path, length):
    """Characters and not bytes."""
    text = xml([("person", person("1", husstand="å" * length))])
    if length > 1_000:
        assert refused(tmp_path, text) == "extract.long_value"
    else:
        path = tmp_path / "uttrekk.xml"
        path.write_text(text, encoding="utf-8")
        assert read(path, LAYOUT).tables["person"]["husstand"].to_pylist() == ["å" * length]


@pytest.mark.parametrize("depth", [300, 200_000])
def test_deep_nesting_is_refused(tmp_path, depth):
    assert (
        refused(tmp_path, "<Uttrekk>" + "<Person>" * depth + "</Person>" * depth + "</Uttrekk>") == "extract.misplaced"
    )
    assert refused(tmp_path, "<Uttrekk>" + "<a>" * depth + "</a>" * depth + "</Uttrekk>") == "extract.unknown_record"


def test_silence_is_refused(tmp_path):
    """A comment, white space or a processing instruction of more than 1 MiB between two records."""
    for filler in (f"<!-- {'x' * 1_300_000} -->", " " * 1_300_000, f"<?x {'y' * 1_300_000}?>"):
        assert refused(tmp_path, xml().replace("  <Person", filler + "<Person", 1)) == "extract.silent"


def test_a_file_beyond_the_bound_is_refused_unread(tmp_path):
    path = write_xml(tmp_path)
    with path.open("ab") as file:
        file.truncate(5 << 30)  # sparse
    with pytest.raises(ExtractRefused) as caught:
        read(path, LAYOUT)
    assert caught.value.code == "extract.too_big"
    assert refused(tmp_path, xml(), Limits(file_bytes=100)) == "extract.too_big"


def test_an_attribute_of_a_gigabyte_is_refused_in_little_memory(tmp_path):
    """In a process of its own that may not hold 400 MB; lxml would have taken 2 GB."""
    path = tmp_path / "uttrekk.xml"
    with path.open("wb") as file:
        file.write(b'<Uttrekk leverandor="')
        block = b"x" * (1 << 20)
        for _ in range(8):
            file.write(block)
        file.truncate(1 << 30)
    program = f"""
        import resource
        from pathlib import Path
        from ipis.kernel.collection import packaged
        from ipis.kernel.errors import ExtractRefused
        from ipis.kernel.extract import read
        layout = packaged("iplos", 2017).layout
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read(Path({str(path)!r}), layout)
        except ExtractRefused as refused:
            print(refused.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    code, grown = answer.stdout.split()
    assert code == "extract.silent"
    assert int(grown) < 40_000  # KiB


def test_a_big_file_costs_no_more_than_its_columns(tmp_path):
    """30 MB of XML in a child: the peak grows by little beyond the tables."""
    piece = [item for _ in range(1_000) for item in content()]
    whole, times = xml(piece), 30
    first, last = whole.index("  <Person"), whole.rindex("  <Slutt")
    stated = "".join(f' {name}="{int(count) * times}"' for name, count in counts(piece).items())
    path = tmp_path / "uttrekk.xml"
    with path.open("w", encoding="utf-8") as file:
        file.write(whole[:first])
        for _ in range(times):
            file.write(whole[first:last])
        file.write(f"<Slutt{stated}/></Uttrekk>")
    program = f"""
        import resource
        from pathlib import Path
        from ipis.kernel.collection import packaged
        from ipis.kernel.extract import read
        layout = packaged("iplos", 2017).layout
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        extract = read(Path({str(path)!r}), layout)
        held = sum(table.nbytes for table in extract.tables.values()) // 1024
        print(extract.tables["person"].num_rows, held, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=100, check=True
    )
    persons, held, grown = map(int, answer.stdout.split())
    assert persons == 60_000
    assert grown < 2.5 * held + 80_000


def test_the_names_in_a_refusal_carry_nobody_s_number(tmp_path):
    """A stranger may put anything in a name; a run of digits is masked."""
    assert refused(tmp_path, f"<Uttrekk><Person _{SECRET}='1'/><Slutt/></Uttrekk>") == "extract.unknown_field"
    assert refused(tmp_path, f"<Uttrekk><_{SECRET}/><Slutt/></Uttrekk>") == "extract.unknown_record"
    assert refused(tmp_path, f"<_{SECRET}/>") == "extract.root"
    assert refused(tmp_path, xml([("person", person(SECRET))]).replace("/>", ">", 3)) in {
        "extract.malformed",
        "extract.truncated",
    }
