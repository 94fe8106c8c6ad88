"""Every Norwegian noun in a public name is defined in GLOSSARY.md.

Two nets find Norwegian words in names: the trade's vocabulary below, and spellings with ae, oe or aa, which English
hardly has. A word that is caught must begin with a headword of the glossary (`kvitteringer` with `kvittering`).
"""

import ast
import re

from tests.architecture.source import ROOT, plant, sources

# The trade's vocabulary, from the letters: whoever uses one of these in a name must have it defined.
STEMS = (  # noqa: SIM905 – read as prose
    "adresse alder ansatt arbeid avslag avvik barn befolkning bekreft beslutning bolig bruker bydel deltak diagnos duf "
    "faktaark fagsystem feil filsluse forelder forsendelse forvalter fritak fylke gjennomgang helse hendelse hjelpe "
    "hjem husholdning identitet ident innbygger innlogging innsending inntak institusjon kjoenn kode kommune "
    "kontroll kvittering lege leveranse lokal melding mottak nasjon navn nynorsk omsorg opplasting oppholds opplys "
    "oppsummer organisasjon orgnr periode pleie postmottak publisering pseudonymforvalter rapport regel "
    "samtykke saksbehandler sending sesong sikker skjema slutt sone spoer sprak statistikk stopp svar sykehjem "
    "tabell tall tidsrom tilbakemelding tilgang tiltak tjeneste tjenest uttrekk utfordring utskriv varsel vedtak "
    "vedlegg virksomhet vurdering ytelse"
).split()
# English words that the two nets would catch.
ENGLISH = re.compile(
    r"aes|diagnos(is|es|tic)|does|goes|phoenix|poem|ident.*|stopped|stopping|modes?|models?|kodes|register"
    r"|adresse[ds]|sending|localed?|lokalise|tall|tally|tallies|svar|rapporteur|pleiades|hearsay"
)
# The collection's own record and field names are data; their spelling is fixed by the layout.
HEADWORD = re.compile(r"^\| ([a-zæøå, ]+?) \|", flags=re.MULTILINE)


def headwords(text):
    table = text.split("## Norwegian nouns in names")[1].split("\n## ")[0]
    return {word.strip() for row in HEADWORD.findall(table) for word in row.split(",")} - {"noun"}


def public_names(root):
    for source in sources(root, "src"):
        yield source.name, source.path.stem
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield source.at(node), node.name
        for node in source.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield source.at(node), target.id


def words(name):
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def norwegian(word):
    if ENGLISH.fullmatch(word):
        return False
    return any(word.startswith(stem) for stem in STEMS) or re.search(r"aa|oe|ae", word) is not None


def undefined_nouns(root):
    known = headwords((root / "GLOSSARY.md").read_text(encoding="utf-8"))
    for at, name in public_names(root):
        if name.startswith("_"):
            continue
        for word in words(name):
            if norwegian(word) and not any(word.startswith(head) for head in known):
                yield f"{at}: {word}"


def test_every_norwegian_noun_in_a_public_name_is_defined():
    assert sorted(set(undefined_nouns(ROOT))) == []


def test_an_undefined_noun_is_found_in_every_kind_of_name(tmp_path):
    plant(
        tmp_path,
        {
            "GLOSSARY.md": "## Norwegian nouns in names\n\n| noun | meaning |\n|---|---|\n| kvittering | receipt |\n\n## Short\n",
            "src/ipis/vedtak.py": "TJENESTER = 1\n\ndef send_kvitteringer(): ...\n\ndef _tiltak(): ...\n",
            "src/ipis/ssb/x.py": "class Oekonomi:\n    def does_identify_identities(self): ...\n    def build_faktaark(self): ...\n",
        },
    )
    assert sorted(undefined_nouns(tmp_path)) == [
        "src/ipis/ssb/x.py:1: oekonomi",
        "src/ipis/ssb/x.py:3: faktaark",
        "src/ipis/vedtak.py: vedtak",
        "src/ipis/vedtak.py:1: tjenester",
    ]


def test_a_headword_stands_once():
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8").split("## Norwegian nouns in names")[1]
    found = [word.strip() for row in HEADWORD.findall(text.split("\n## ")[0]) for word in row.split(",")]
    assert sorted(found) == sorted(set(found))
