"""Cutting plain XML at its quotes: it must say what the events of the same bytes say, or leave them to the events."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.extract_cast import LAYOUT, content, element, write_xml, xml

from ipis.kernel import extract_xml
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import read
from ipis.kernel.extract_batch import Words
from ipis.kernel.extract_cut import Cutter

WORDS = Words.of(list(LAYOUT.by_element().values()))
ROWS = [(name, dict(values)) for _ in range(4) for name, values in content()]
PLAIN = xml(ROWS)
BODY = PLAIN[PLAIN.index("<Person") :].encode()


class NoCutter:
    """Leaves all to the events."""

    def __init__(self, _words):
        pass

    def cut(self, _piece):
        return None


def outcome(path, cutter=Cutter, piece=1 << 17):
    """Give tables, header and trailer, or None for what is refused: two faults may be met in another order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract_xml, "Cutter", cutter)
        patch.setattr(extract_xml, "_PIECE", piece)
        patch.setattr(extract_xml, "_CHUNK", piece)
        try:
            return read(path, LAYOUT)
        except ExtractRefused:
            return None


def cut_whole(data, size):
    """Cut as long as it goes; gives the runs and what is left."""
    cutter, runs = Cutter(WORDS), []
    while made := cutter.cut(data[:size]):
        runs.append(made[0])
        data = data[made[1] :]
    return runs, data


@pytest.mark.parametrize("size", [400, 1_000, 1 << 20])
def test_all_but_the_last_element_of_a_plain_file_is_cut(size):
    runs, left = cut_whole(BODY, size)
    assert left.startswith(b"<Slutt")
    kinds = [kind for run in runs for kind in run.kinds.tolist()]
    assert kinds == [WORDS.elements[LAYOUT.records[name].element] for name, _ in ROWS]
    assert [value for run in runs for value in run.values.to_pylist()] == [
        value for _, values in ROWS for value in values.values()
    ]
    assert sum(run.depth for run in runs) == 0


@pytest.mark.parametrize(
    ("plain", "odd"),
    [
        ('kode="P70"', "kode='P70'"),
        ('kode="P70"', 'kode="P&#55;0"'),
        ('kode="P70"', 'kode="P&amp;70"'),
        ('kode="P70"', 'kode="P\t70"'),
        ('kode="P70"', 'kode="P\r\n70"'),
        ("<Diagnose", '<!-- a="b" --><Diagnose'),
        ("<Diagnose", '<?a b="c"?><Diagnose'),
        ("<Diagnose", "<Stopp/><Diagnose"),
        ("<Diagnose", "<![CDATA[ ]]><Diagnose"),
        ("<Diagnose", "&#32;<Diagnose"),
        ("<Diagnose", "x<Diagnose"),
        ("<Diagnose", " " * 1_000 + "<Diagnose"),
        ("<Diagnose", "<Diagnosis"),
        (" kode=", " code="),
        ('kode="P70"', 'kode="P70"dato="2017"'),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_not_cut(plain, odd):
    assert plain in PLAIN
    assert Cutter(WORDS).cut(BODY.replace(plain.encode(), odd.encode())) is None


@pytest.mark.parametrize(
    ("plain", "spaced"),
    [
        ('kode="P70"', 'kode\t=\r\n"P70"'),
        ("/>", "\n/>"),
        ("</Person>", "</Person\t>\r\n"),
        ('kode="P70"', 'kode="P>70"'),
        ('kode="P70"', 'kode=""'),
        ('kode="P70"', 'kode="P\'70"'),
        ('kode="P70"', 'kode="På😀"'),
    ],
)
def test_white_space_within_tags_is_plain_and_says_nothing(tmp_path, plain, spaced):
    path = tmp_path / "uttrekk.xml"
    path.write_text(PLAIN.replace(plain, spaced), encoding="utf-8", newline="")
    assert cut_whole(BODY.replace(plain.encode(), spaced.encode()), 1 << 20)[1].startswith(b"<Slutt")
    by_events = outcome(path, NoCutter)
    assert by_events is not None
    assert outcome(path) == by_events


@pytest.mark.parametrize("piece", [150, 700, 1 << 17])
def test_events_take_over_in_the_middle_of_a_file(tmp_path, piece):
    """From the first piece that is not plain."""
    path = tmp_path / "uttrekk.xml"
    odd = element(LAYOUT.records["diagnose"], {"diagNr": "2", "kode": "<&>"}) + "<!-- x='y' -->"
    before, found, after = PLAIN.rpartition("    <Diagnose")
    path.write_text(before + odd + found + after, encoding="utf-8")
    stated = 'antallDiagnose="4"'
    assert stated in PLAIN
    path.write_text(path.read_text("utf-8").replace(stated, 'antallDiagnose="5"'), encoding="utf-8")
    cut = outcome(path, piece=piece)
    assert cut.tables["diagnose"]["kode"].to_pylist() == ["P70", "P70", "P70", "<&>", "P70"]
    assert cut == outcome(path, NoCutter)


def test_a_file_with_ever_new_gaps_is_left_to_its_events():
    cutter = Cutter(WORDS)
    tags = [f'<Diagnose{" " * (n % 300 + 1)}kode{" " * (n // 300)}="1"/>' for n in range(30_000)]
    pieces = ["".join(tags[at : at + 500]).encode() for at in range(0, 30_000, 500)]
    assert cutter.cut(pieces[0])
    assert any(cutter.cut(piece) is None for piece in pieces)


TOKENS = (
    '"', "'", "<", ">", "/", "/>", "=", "&", "&amp;", "&#9;", " ", "\t", "\r", "\n", "\x01", "<!-- -->", "<!--", "-->",
    "<![CDATA[x]]>", "<?x y?>", '="', '" ', "<Person>", "</Person>", "<Stopp/>", '<Stopp type="1"/>', ' kode="1"',
    "<Slutt/>", "</Uttrekk>", "é", "\ufffe", "\u2028", "x", "]]>", "<!DOCTYPE x>",
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 6), st.sampled_from(TOKENS)), min_size=1, max_size=3
)


@given(changes=CHANGES, piece=st.sampled_from([97, 400, 1 << 17]))
@settings(max_examples=200)
def test_however_a_file_is_changed_cuts_and_events_accept_the_same_and_read_it_alike(changes, piece):
    text = PLAIN
    for at, dropped, token in changes:
        text = text[:at] + token + text[at + dropped :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "uttrekk.xml"
        path.write_bytes(text.encode("utf-8"))
        assert outcome(path, piece=piece) == outcome(path, NoCutter)


def test_bytes_that_are_no_utf8_are_refused_in_cut_pieces_too(tmp_path):
    path = write_xml(tmp_path, ROWS)
    path.write_bytes(path.read_bytes().replace(b'kode="P70"', b'kode="P\xe5"'))
    with pytest.raises(ExtractRefused) as caught:
        read(path, LAYOUT)
    assert caught.value.code == "extract.not_utf8"
