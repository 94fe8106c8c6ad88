"""Rule files that are wrong are refused whole, with file, line and column; what is right is read once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.validation import desk

from ipis.kernel.collection import load, packaged
from ipis.kernel.definitions import DefinitionFolder, packaged_years
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.validation import rulebook
from ipis.validation.catalogue import Effect, Kind, Level

GOOD = desk.rule("n < 5")


def refusal(rules, **more):
    with pytest.raises(DefinitionRefused) as caught:
        rulebook.of(desk.collection(rules, **more))
    return caught.value


@pytest.mark.parametrize(
    ("rules", "code", "line"),
    [
        ("- [", "yaml", 1), ("a: 1", "yaml", 1), ("- 3", "yaml", 1), ("- id: x\n  id: y", "yaml", 2), ("\x00", "yaml", 1),
        (GOOD + GOOD, "twice", 11), (GOOD + "  farge: blå\n", "key", 11),
        (GOOD.replace("  level: feil\n", ""), "missing", 1), (GOOD.replace("level: feil", "level: katastrofe"), "value", 3),
        (GOOD.replace("K900", "kontroll 9"), "value", 1), (GOOD.replace("hold_utenfor", "slett"), "value", 4),
        (GOOD.replace("  require: n < 5\n", ""), "missing", 1), (GOOD + "  kind: layout\n", "missing", 1),
        (GOOD + "  runs_at: X\n", "value", 11), (GOOD + "  audience: alle\n", "value", 11), (GOOD + "  scope: verden\n", "value", 11),
        (GOOD + "  years: i fjor\n", "value", 11), (GOOD.replace("passes: [{}], ", ""), "examples", 1),
        (GOOD.replace("breaks:", "brudd:"), "value", 10), (GOOD.replace("    nn:", "    dk:"), "message", 7),
        (GOOD.replace('do: "Rett."', "do: ja, fremgangsmåte: nei"), "message", 7),
        (GOOD.replace("{v}", "{finnesikke}"), "placeholder", 7), (GOOD.replace("record: ting", "record: tang"), "record", 2),
        (GOOD + "  over: alt\n", "record", 11), (GOOD + "  field: finnesikke\n", "field", 11), (GOOD + "  shows: [finnesikke]\n", "field", 11),
        (GOOD + "  checks: [{field: n, require: n > 1}]\n", "value", 11),
        (GOOD.replace("require: n < 5", "checks: [{require: n > 1}]"), "value", 5), (GOOD.replace("require: n < 5", "checks: nei"), "value", 5),
        (GOOD + "  shows: n\n", "value", 11), (GOOD + "  indicators: 3\n", "value", 11), (GOOD + "  shows: [[n]]\n", "value", 11),
        (GOOD + "  problem: rad\n", "value", 11), (GOOD + "  problem: {name: en, by: rad}\n", "value", 11),
        (GOOD + "  problem: {name: to ord, by: row}\n", "value", 11), (GOOD.replace("[{}], breaks", "3, breaks"), "value", 10),
        (GOOD.replace("passes: [{}]", "passes: [3]"), "value", 10), (GOOD + "  {[[1]]: 2}: 3\n", "yaml", 1), ("[" * 300, "yaml", 1),
        (GOOD.replace("n < 5", "n < 5 limit 1"), "word", 5), (GOOD.replace("n < 5", "n < 5; n > 1"), "word", 5),
        (GOOD.replace("n < 5", "n < 5 union select 1"), "word", 5), (GOOD.replace("n < 5", "n in (select 1)"), "word", 5),
        (GOOD.replace("n < 5", "n < 5 /* alle */"), "comment", 5), (GOOD.replace("n < 5", "ukjent(n)"), "function", 5),
        (GOOD.replace("n < 5", "order by n"), "word", 5), (GOOD.replace("n < 5", "nn < 5"), "field", 5),
        (GOOD.replace("n < 5", "n < 5 order by n"), "word", 5), (GOOD.replace("n < 5", "n < 'a'"), "type", 5),
    ],
)  # fmt: skip
def test_a_rule_file_that_is_wrong_is_refused_at_its_place(rules, code, line):
    error = refusal(rules)
    assert (error.code, error.params["file"], error.params["line"]) == (f"rules.{code}", "rules/ting.yaml", line)
    assert all(f"{error.params['line']}" in error.render(language).found for language in LANGUAGES)


def test_a_rule_file_that_is_not_text_is_refused():
    members = dict(desk.folder(GOOD)) | {"rules/ting.yaml": b"\xff\xfe"}
    with pytest.raises(DefinitionRefused) as caught:
        rulebook.of(load(DefinitionFolder.from_members(members)))
    assert caught.value.code == "rules.yaml"


def test_a_field_whose_rule_nobody_wrote_is_refused():
    """No bad value may be silent: every fault of a field has a rule with a message."""
    layout = desk.LAYOUT.replace('code = "L003"', 'code = "K777"', 1)
    refused = refusal("", layout=layout)
    assert refused.code == "rules.unknown"
    assert 'code = "K777"' in layout.splitlines()[int(str(refused.params["line"])) - 1]


@pytest.mark.parametrize(
    ("years", "there"),
    [
        ("all", True),
        ("2017", True),
        ("2016", False),
        ("2016+", True),
        ("2018+", False),
        ("-2017", True),
        ("-2016", False),
    ],
)
def test_a_rule_is_there_in_its_years(years, there):
    book = rulebook.of(desk.collection(GOOD + f'  years: "{years}"\n'))
    assert ("K900" in book.rules) is there


def test_a_folder_is_read_once_for_its_content():
    assert rulebook.of(desk.collection(GOOD)) is rulebook.of(desk.collection(GOOD))
    assert rulebook.of(desk.collection(GOOD)) is not rulebook.of(desk.collection(desk.rule("n < 6")))


def test_the_cache_of_rulebooks_forgets_the_oldest():
    first = rulebook.of(desk.collection(desk.rule("n < 90")))
    for number in range(9):
        rulebook.of(desk.collection(desk.rule(f"n < {number}000")))
    assert rulebook.of(desk.collection(desk.rule("n < 90"))) is not first


@pytest.mark.parametrize("kind", [Level, Effect, Kind])
def test_each_kind_of_entry_is_explained(kind):
    assert all(item.value for item in kind)


@pytest.mark.parametrize("year", packaged_years("iplos"))
def test_the_shipped_rules_are_whole(year):
    """Every rule of the year has three languages, a level and an effect that agree, and a record to point at."""
    collection = packaged("iplos", year)
    book = rulebook.of(collection)
    for rule in book.rules.values():
        assert set(rule.message) == set(LANGUAGES)
        assert (rule.effect is Effect.AVVIS_FORSENDELSE) <= (rule.level is Level.KRITISK)
        assert (rule.effect in {Effect.HOLD_UTENFOR, Effect.NULLSTILL_FELT}) <= (
            rule.level in {Level.FEIL, Level.ADVARSEL}
        )
        texts = [text for message in rule.message.values() for text in (message.found, message.expected, message.do)]
        assert all(text and text[0] == text[0].upper() for text in texts)
        assert rule.message["en"].found != rule.message["nb"].found


def test_the_year_decides_the_rule_of_organisation_numbers():
    """L16 asks for them on staffed housing; L17 forbids them there."""
    first, second = (rulebook.of(packaged("iplos", year)).rules for year in packaged_years("iplos"))
    assert ("K076" in first, "K077" in first) == (True, False)
    assert ("K076" in second, "K077" in second) == (False, True)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('level = "feil"', 'level = "verst"', "value"), ('effect = "behold"', 'effect = "slett"', "value"),
        ('level = "feil"', 'level = "feil"\nruns_at = "alle"', "value"), (", nn = ", ", dk = ", "message"),
    ],
)  # fmt: skip
def test_a_rule_of_the_layout_that_is_wrong_is_refused_at_its_line(old, new, code):
    members = dict(desk.folder(GOOD))
    before, _, after = members["layout.toml"].decode().partition("[rules.L002]")
    members["layout.toml"] = f"{before}[rules.L002]{after.replace(old, new, 1)}".encode()
    with pytest.raises(DefinitionRefused) as caught:
        rulebook.of(load(DefinitionFolder.from_members(members)))
    assert caught.value.code == f"rules.{code}"
    assert caught.value.params["file"] == "layout.toml"
    assert caught.value.params["line"] == before.count("\n") + 2


@pytest.mark.parametrize("name", ["layout.toml", "collection.toml", "codes/kommuner.csv", "codes/successors.csv"])
def test_a_definition_folder_that_lacks_a_member_is_refused_by_the_members_name(name):
    members = {key: content for key, content in desk.folder(GOOD).items() if key != name}
    with pytest.raises(DefinitionRefused) as caught:
        load(DefinitionFolder.from_members(members))
    assert name in caught.value.render("en").found


def test_a_folder_without_a_code_list_that_the_layout_names_is_refused():
    layout = desk.LAYOUT.replace('codes = ["01", "02", "03"]', 'codes = "borte"')
    with pytest.raises(DefinitionRefused) as caught:
        desk.collection(GOOD, layout=layout)
    assert caught.value.code == "layout.code_list"


def test_nothing_of_a_refused_folder_stays_behind():
    """The good half of a folder is not judged by: the next reading of a mended folder starts anew."""
    broken = desk.collection(GOOD + desk.rule("nei < 5", number="K901"))
    for _ in range(2):
        with pytest.raises(DefinitionRefused):
            rulebook.of(broken)
    mended = rulebook.of(desk.collection(GOOD + desk.rule("n < 6", number="K901")))
    assert [made.rule.id for made in mended.compiled] == ["K900", "K901"]


PIECES = (
    "{}",
    "[]",
    "3",
    "null",
    "'",
    '"',
    ": ",
    "\n",
    "&a",
    "*a",
    "<<: *a",
    "1.5",
    "2017-01-01",
    "~",
    "{a: {b: c}}",
    "[[1]]",
    "x",
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_folder_is_whole_or_refused_with_its_place(data):
    """Nothing but a refusal comes out of a file in which something was lost or put in."""
    members = dict(desk.folder(GOOD, '[ting.derived]\nx = { count = "rows", by = ["tid"], where = "n > 1" }'))
    name = data.draw(st.sampled_from(["rules/ting.yaml", "layout.toml"]))
    text = members[name].decode()
    at = data.draw(st.integers(0, len(text) - 1))
    lost = data.draw(st.integers(0, 12))
    members[name] = (text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + lost :]).encode()
    error = _refused(members)
    if error is not None:
        assert all(error.render(language).found for language in LANGUAGES)
        assert error.code.startswith("collection.") or error.params["line"] >= 1


def _refused(members):
    try:
        rulebook.of(load(DefinitionFolder.from_members(members, "desk")))
    except DefinitionRefused as error:
        return error
    return None
