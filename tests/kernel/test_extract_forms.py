"""The three forms say the same: for any content, XML, CSV and Parquet give equal tables (drawn by hypothesis)."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tests.kernel.extract_cast import LAYOUT, NESTED, content, flat, write_csv, write_parquet, write_xml, xml

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import read
from ipis.kernel.xsd import schema


def says_its_encoding(value):
    """Tell whether a text in Windows-1252 is seen to be that: "Æ–" has the bytes of another letter in UTF-8."""
    try:
        value.encode("cp1252").decode("utf-8")
    except UnicodeDecodeError:
        return True
    return value.isascii()


# What all forms can hold: no control characters, no line separators, and letters of Windows-1252.
letters = st.sampled_from("abcZ019 -.;:,<>&\"'æøåÆ–€_/\\")
text = st.text(letters, min_size=1, max_size=12).filter(says_its_encoding)
likely = st.sampled_from(["1", "15", "2017-01-01", "2017-02-30", "3.5", "168", "0403", "00", "NULL"])


def values(record):
    """Draw some of a record's fields; the person's number is its place in the file."""
    fields = [name for name in LAYOUT.records[record].fields if name != "brukerNr"]
    return st.dictionaries(st.sampled_from(fields), likely | text, max_size=6)


record = st.sampled_from(NESTED).flatmap(lambda name: st.tuples(st.just(name), values(name)))
persons = st.lists(st.tuples(values("person"), st.lists(record, max_size=4)), min_size=1, max_size=5)


def listed(drawn):
    rows = []
    for number, (own, nested) in enumerate(drawn):
        rows += [("person", {"brukerNr": f"b{number}", **own}), *nested]
    return rows


@given(persons)
def test_the_same_content_gives_the_same_tables_in_every_form(drawn):
    rows = listed(drawn)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        forms = [
            read(write_xml(folder, rows), LAYOUT),
            read(write_csv(folder / "utf8", flat(rows)), LAYOUT),
            read(write_csv(folder / "cp1252", flat(rows), "cp1252"), LAYOUT),
            read(write_parquet(folder / "parquet", flat(rows)), LAYOUT),
        ]
    first = forms[0]
    for other in forms[1:]:
        assert other.header == first.header
        assert other.trailer == first.trailer
        for name, table in first.tables.items():
            assert other.tables[name].equals(table), name


SCHEMA = etree.XMLSchema(etree.fromstring(schema(LAYOUT).encode()))
name = st.sampled_from(["Uttrekk", "Person", "Tjeneste", "Vedtak", "Slutt", "Menneske"])
attribute = st.sampled_from(["brukerNr", "kode", "aargang", "antallPerson", "hest", "tjenesteId"])
tree = st.recursive(
    st.tuples(name, st.sets(attribute, max_size=2), st.just([])),
    lambda children: st.tuples(name, st.sets(attribute, max_size=2), st.lists(children, max_size=3)),
    max_leaves=6,
)
STRUCTURE = {
    "extract.root", "extract.unknown_record", "extract.misplaced", "extract.unknown_field", "extract.no_trailer", "extract.text",
}  # fmt: skip


def build(drawn, top=True):
    element = etree.Element("Uttrekk" if top else drawn[0], dict.fromkeys(sorted(drawn[1]), "1"))
    element.extend(build(child, top=False) for child in drawn[2])
    return element


@given(tree)
def test_the_generated_schema_and_the_reader_judge_structure_alike(drawn):
    """The reader does not run the schema; this is why it need not."""
    root = build(drawn)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "uttrekk.xml"
        path.write_bytes(etree.tostring(root))
        try:
            read(path, LAYOUT)
            code = None
        except ExtractRefused as refused:
            code = refused.code
    assert SCHEMA.validate(root) == (code not in STRUCTURE)


def test_the_schema_accepts_an_extract_with_bad_values_and_refuses_a_bad_structure():
    """A missing or bad value must reach the rules (architecture §2.1)."""
    assert SCHEMA.validate(etree.fromstring(xml().encode()))
    assert SCHEMA.validate(etree.fromstring(xml([("person", {}), *content()]).encode()))
    assert not SCHEMA.validate(etree.fromstring(xml().replace("<Tjeneste", "<Hest").encode()))
    assert not SCHEMA.validate(etree.fromstring(xml().replace("typeID", "kjonn").encode()))
