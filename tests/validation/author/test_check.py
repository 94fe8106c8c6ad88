"""`ipis rules check`: all that is wrong, each with its place; and rules that can never find anything."""

import pytest
from tests.validation import desk
from tests.validation.author import workshop

from ipis.kernel.definitions import DefinitionFolder
from ipis.validation import rulebook
from ipis.validation.author import leftout
from ipis.validation.author.check import problems
from ipis.validation.author.definition import open_definition, open_folder, shipped
from ipis.validation.author.firing import can_fire

MESSAGES = """
    nb: {found: "Fant {v}.", expected: "Noe.", do: "Rett."}
    nn: {found: "Fann {v}.", expected: "Noko.", do: "Rett."}
    en: {found: "Found {v}.", expected: "Something.", do: "Correct it."}"""


def rule(
    require,
    where="",
    number="K001",
    record="baat",
    more="",
    message=MESSAGES,
    breaks="{lengde: 1}",
    passes="{lengde: 9}",
):
    lines = [
        f"- id: {number}",
        f"  record: {record}",
        "  level: feil",
        "  effect: behold",
        *(f"  where: {where}" for _ in [0] if where),
    ]
    lines += [f"  require: {require}", *(f"  {line}" for line in more.splitlines()), f"  message:{message}"]
    return "\n".join([*lines, f"  examples: {{passes: [{passes}], breaks: [{breaks}]}}"]) + "\n"


def found(tmp_path, rules, layout=workshop.LAYOUT):
    listed = problems(open_folder(workshop.definition(tmp_path, rules, layout)))
    return [(each.code, each.params.get("file"), each.params.get("line")) for each in listed]


def test_the_rules_that_we_ship_have_nothing_wrong():
    folders = shipped()
    assert folders
    assert [each.params for folder in folders for each in problems(folder)] == []


def test_a_good_rule_has_nothing_wrong(tmp_path):
    assert found(tmp_path, rule("lengde > 3")) == []


def test_all_problems_are_listed_and_not_the_first_alone(tmp_path):
    rules = (
        rule("lengde >", number="K001")
        + rule("bredde > 1", number="K002")
        + rule("lengde > 3", number="K003").replace("level: feil", "level: fel")
        + rule("lengde > 4", number="K003")
        + rule("lengde > 5", number="K003")
        + rule("antall > 3", number="K005", record="Tur")
    )
    layout = workshop.LAYOUT.replace("[Tur.derived]", '[Tur.derived]\nantall = { cont = "rows", by = ["nr"] }')
    line = layout.splitlines().index('antall = { cont = "rows", by = ["nr"] }') + 1
    codes = found(tmp_path, rules, layout)
    assert [("rules.derived_kind", "layout.toml", line)] == [each for each in codes if each[1] == "layout.toml"]
    assert [(code, place) for code, file, place in codes if file == "rules/a.yaml" and not code.startswith("rulecheck")] == [
        ("rules.syntax", 5), ("rules.field", 15), ("rules.value", 23), ("rules.twice", 31), ("rules.twice", 41),
    ]  # fmt: skip


def test_a_file_that_cannot_be_read_is_told_alone_where_a_field_asks_for_its_rules(tmp_path):
    """The layout is right to name a rule of that file."""
    layout = workshop.LAYOUT.replace('form = "L001"', 'form = "K001"')
    assert layout != workshop.LAYOUT
    assert found(tmp_path, rule("lengde > 3") + "- id: [", layout) == [("rules.yaml", "rules/a.yaml", 11)]
    assert found(tmp_path, rule("lengde > 3", number="K002"), layout)[0][:2] == ("rules.unknown", "layout.toml")


def test_all_that_is_wrong_with_one_rule_is_listed_and_nothing_that_follows_from_it(tmp_path):
    message = MESSAGES.replace("Found {v}.", "found {v}")
    broken = rule("lengde >", "bredde > 1", message=message).replace("level: feil", "level: fel")
    listed = found(tmp_path, broken + rule("lengde > 3 or lengde <= 3", number="K002"))
    assert [(code, line) for code, _, line in listed if line < 12] == [
        ("rules.value", 3), ("rules.field", 5), ("rules.syntax", 6), ("rulecheck.sentence", 8),
    ]  # fmt: skip
    assert {code for code, _, line in listed if line > 12} == {"rulecheck.never", "rulecheck.example"}


def test_a_file_that_is_no_list_of_rules_is_one_problem_and_the_others_are_read(tmp_path):
    folder = workshop.definition(
        tmp_path, rule("lengde > 3"), **{"rules/b.yaml": "- id: [\n", "rules/c.yaml": "x: 1\n"}
    )
    assert [(each.code, each.params["file"]) for each in problems(open_folder(folder))] == [
        ("rules.yaml", "rules/b.yaml"), ("rules.yaml", "rules/c.yaml"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("Found {v}.", "found {v}", "rulecheck.sentence"),
        ("Found {v}.", "Found  {v}.", "rulecheck.sentence"),
        ("Found {v}.", "Found it.", "rulecheck.placeholder"),
        ('en: {found: "Found {v}.", expected: "Something.", do: "Correct it."}', 'en: {found: "Fant {v}.", expected: "Noe.", do: "Rett."}', "rulecheck.untranslated"),
    ],
)  # fmt: skip
def test_wording_is_looked_at_in_every_language(tmp_path, old, new, code):
    assert [each[0] for each in found(tmp_path, rule("lengde > 3", message=MESSAGES.replace(old, new)))] == [code]


@pytest.mark.parametrize("again", ["lengde > 3", "3 < lengde", "(lengde > 3)"])
def test_two_rules_with_one_condition_are_told(tmp_path, again):
    assert [each[0] for each in found(tmp_path, rule("lengde > 3") + rule(again, number="K002"))] == [
        "rulecheck.overlap"
    ]


def test_an_example_that_does_not_come_to_what_it_says_is_told(tmp_path):
    assert [each[0] for each in found(tmp_path, rule("lengde > 3", breaks="{lengde: 8}"))] == ["rulecheck.example"]


def test_rules_that_can_never_fire_or_run_nowhere_are_told(tmp_path):
    codes = [each[0] for each in found(tmp_path, rule("lengde > 3 or lengde <= 3"))]
    assert "rulecheck.never" in codes
    codes = [each[0] for each in found(tmp_path / "x", rule("lengde > 3", more="runs_at: T"))]
    assert "rulecheck.nowhere" in codes


@pytest.mark.parametrize(
    ("where", "require", "possible"),
    [
        ("", "true", False), ("", "false", True), ("false", "n > 1", False), ("1 > 2", "n > 1", False), ("1 < 2", "n > 1", True),
        ("", "n = n", False), ("", "n <> n", True), ("", "fra <= til", True), ("fra <= til", "til >= fra", False), ("fra < til", "fra <= til", False),
        ("fra <= til", "fra < til", True), ("n > 5", "n > 3", False), ("n > 3", "n > 5", True), ("n >= 5", "n >= 5", False), ("n > 5 and n < 3", "d > 1", False),
        ("n >= 5 and n <= 5", "d > 1", True), ("n >= 5 and n <= 5 and n <> 5", "d > 1", False), ("kode = '01'", "kode in ('01', '02')", False),
        ("kode in ('01', '03')", "kode in ('01', '02')", True), ("kode = '01' and kode = '02'", "d > 1", False), ("n is null", "n > 3", False),
        ("n is null", "n is null", False), ("n is not null", "n is not null", False), ("n is null", "d > 3", True), ("", "n is not null", True),
        ("matches(tekst, 'a')", "matches(tekst, 'a')", False), ("", "not (n > 3 and n < 2)", False), ("5 < n", "n > 4", False), ("n in (1, 2) and n > 2", "d > 1", False),
        ("n between 1 and 3", "n < 4", False), ("not (n = 1)", "n <> 1", False),
    ],
)  # fmt: skip
def test_a_rule_is_dead_only_where_its_breach_contradicts_itself(where, require, possible):
    (made,) = rulebook.of(desk.collection(desk.rule(require, where))).compiled
    assert can_fire(made.where, made.require) is possible


def test_a_condition_too_tangled_to_search_counts_as_possible():
    tangled = " and ".join(f"(n = {place} or d = {place} or tekst = '{place}')" for place in range(12))
    (made,) = rulebook.of(desk.collection(desk.rule("n > 3", tangled))).compiled
    assert can_fire(made.where, made.require)


def test_the_command_lists_problems_and_says_so_by_its_exit_code(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("IPIS_LANGUAGE", "en")
    good = workshop.definition(tmp_path / "good", rule("lengde > 3"))
    assert workshop.ipis("rules", "check", "--definition", good) == 0
    assert "Problems in good: 0." in capsys.readouterr().out
    poor = workshop.definition(tmp_path / "poor", rule("lengde > 3") + rule("lengde > 3", number="K002"))
    assert workshop.ipis("rules", "check", "--definition", poor) == 1
    assert "rules/a.yaml line " in capsys.readouterr().out
    code, listed = workshop.answer(
        capsys, "rules", "check", "--definition", workshop.definition(tmp_path / "bad", rule("lengde >"))
    )
    assert code == 2
    assert (listed[0]["code"], listed[0]["line"], listed[0]["definition"]) == ("rules.syntax", 5, "bad")


def test_names_that_differ_in_capitals_only_are_refused(tmp_path):
    """DuckDB would read the one where the other was meant; Spark would not."""
    layout = workshop.LAYOUT.replace("[Tur.derived]", '[Tur.derived]\nSLAG = { count = "rows", by = ["nr"] }')
    (problem,) = problems(open_folder(workshop.definition(tmp_path, "", layout)))
    assert (problem.code, problem.params["place"]) == ("layout.alike", "Tur.derived.SLAG")


def test_a_definition_that_is_left_half_is_never_used(tmp_path):
    from ipis.kernel.errors import DefinitionRefused

    folder = workshop.definition(tmp_path, rule("lengde > 3") + rule("lengde >", number="K002"))
    with pytest.raises(DefinitionRefused):
        rulebook.of(open_definition(folder))


def test_a_file_of_nothing_but_doubled_rules_is_one_problem_a_rule(tmp_path):
    folder = workshop.definition(tmp_path, **{"rules/b.yaml": workshop.RULES})
    listed = [(each.code, each.params["file"]) for each in problems(open_folder(folder))]
    assert [code for code, file in listed if file == "rules/b.yaml"] == ["rules.twice"] * 3


def test_what_an_example_came_to_is_said_in_words(tmp_path, capsys):
    wrong = workshop.RULES.replace("breaks: [{}]", "breaks: [{lengde: '4'}]", 1)
    workshop.ipis("rules", "check", "--definition", workshop.definition(tmp_path / "d", wrong))
    out = capsys.readouterr().out
    assert "eksempel 1 under breaks består regelen." in out
    assert "Et eksempel som bryter regelen." in out


def test_a_problem_is_told_in_three_parts_with_its_file_once(tmp_path, capsys):
    """What was found, expected and to be done, each a sentence, whether a rule or the layout is wrong."""
    layout = workshop.LAYOUT.replace("[Tur.derived]", '[Tur.derived]\nSLAG = { count = "rows", by = ["nr"] }')
    workshop.ipis("rules", "check", "--definition", workshop.definition(tmp_path / "gal", "", layout))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gal/layout.toml linje ")
    assert [line.partition(":")[0] for line in lines[1:3]] == ["  Ventet", "  Gjør dette"]
    assert all(line.endswith(".") for line in lines)


def test_a_field_that_names_no_rule_is_told_alone(tmp_path):
    layout = workshop.LAYOUT.replace('code = "L001"', 'code = "K777"', 1)
    (problem,) = problems(open_folder(workshop.definition(tmp_path / "gal", layout=layout)))
    assert problem.code == "rules.unknown"
    assert 'code = "K777"' in layout.splitlines()[int(str(problem.params["line"])) - 1]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"kode\nF\n", "collection.no_code", 1), (b"code;label_nb\nF;x\n", "collection.no_code", 1), (b"code,code\nF,L\n", "collection.doubled_column", 1),
        (b"code,label_nb\nF,\xf8\n", "collection.csv", 2), (b"", "collection.csv", 1), (b"code\nF\nL,x\n", "collection.csv", 3),
    ],
)  # fmt: skip
def test_a_broken_code_list_is_told_by_file_and_line_by_every_command(tmp_path, capsys, content, code, line):
    folder = workshop.definition(tmp_path / "d")
    (folder / "codes/slag.csv").write_bytes(content)
    exit_code, (told,) = workshop.answer(capsys, "rules", "check", "--definition", folder)
    assert (exit_code, told["code"], told["file"], told["line"]) == (2, code, "codes/slag.csv", line)
    tables = workshop.data(tmp_path / "data", baat=workshop.BOATS)
    for command in (["validate", "--data", tables], ["rules", "try", "K001", "--on", tables]):
        exit_code, refused = workshop.refusal(capsys, *command, "--definition", folder)
        assert (exit_code, refused["code"]) == (2, code)


def test_numbers_that_are_none_give_no_mean(tmp_path):
    layout = workshop.LAYOUT.replace("[Tur.derived]", '[Tur.families]\nalt = ["slag"]\n[Tur.derived]')
    rules = rule("mean(alt) < 2", record="Tur", breaks="{slag: L}", passes="{slag: F}")
    folder = workshop.definition(tmp_path, rules, layout, **{"codes/slag.csv": "code,value\nF,1\nL,to\n"})
    assert [each.code for each in problems(open_folder(folder))] == ["rules.family_value"]


def test_of_a_code_that_stands_twice_the_first_row_counts(tmp_path):
    layout = workshop.LAYOUT.replace(
        "[Tur.derived]",
        '[Tur.families]\nalt = ["slag"]\n[Tur.derived]\nnavn = { lookup = "slag", on = "slag", value = "name" }',
    )
    rules = rule("mean(alt) = 1 and navn = 'en'", record="Tur", breaks="{slag: L}", passes="{slag: F}")
    folder = workshop.definition(
        tmp_path, rules, layout, **{"codes/slag.csv": "code,value,name\nF,1,en\nL,2,en\nF,3,to\n"}
    )
    assert problems(open_folder(folder)) == []


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("rules/b.yml", "rules/b.yaml"), ("rules/b.YAML", "rules/b.yaml"), ("rules/under/b.yaml", "rules/b.yaml"), ("rules/b.txt", "rules/b.yaml"),
        ("rules/b", "rules/b.yaml"), ("rules/under/b.yml", "rules/b.yaml"),
    ],
)  # fmt: skip
def test_a_rule_file_that_would_not_be_read_is_told_with_the_name_it_should_have(tmp_path, capsys, name, better):
    folder = workshop.definition(tmp_path / "d", rule("lengde > 3"), **{name: rule("lengde > 9", number="K009")})
    code, (told,) = workshop.answer(capsys, "rules", "check", "--definition", folder)
    assert (code, told["code"], told["file"], told["better"]) == (2, "rules.file", name, better)
    tables = workshop.data(tmp_path / "data", baat=workshop.BOATS)
    assert workshop.refusal(capsys, "validate", "--definition", folder, "--data", tables)[1]["code"] == "rules.file"


def test_data_beside_the_definitions_are_not_looked_at(tmp_path):
    folder = workshop.definition(tmp_path / "d", rule("lengde > 3"), **{"data/rules/odd.txt": "x"})
    (folder / "data/loop").symlink_to(folder)
    assert problems(open_folder(folder)) == []


def _copy_of_a_year(folder, year=2017):
    for name, content in DefinitionFolder.packaged("iplos", year).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("tables/t99.yaml", b"[[[", "tables.yaml"), ("tables/vedtak.yaml", b"x: 1", "tables.yaml"), ("indicators/indikatorer.yaml", b"\xf8", "tables.yaml"),
        ("codes/successors.csv", None, "collection.member_missing"), ("codes/kommuner.csv", None, "collection.member_missing"),
        ("codes/population.csv", None, "collection.member_missing"), ("collection.toml", None, "collection.member_missing"),
        ("codes/population.csv", b"kommune,kommune\n", "collection.doubled_column"),
    ],
)  # fmt: skip
def test_a_folder_to_collect_by_is_looked_at_whole(tmp_path, capsys, name, content, code):
    folder = _copy_of_a_year(tmp_path / "2017")
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    exit_code, listed = workshop.answer(capsys, "rules", "check", "--definition", folder)
    assert exit_code == 2
    assert [(each["code"], each.get("file", each.get("member"))) for each in listed][:1] == [(code, name)]


def test_a_folder_to_collect_by_needs_persons_first(tmp_path):
    toml = DefinitionFolder.packaged("iplos", 2017)["collection.toml"].decode()
    lists = {f"codes/{name}.csv": "code\n" for name in ("kommuner", "successors", "population")}
    folder = workshop.definition(tmp_path, rule("lengde > 3"), **{"collection.toml": toml, **lists})
    assert [each.code for each in problems(open_folder(folder))] == ["layout.first_person"]


@pytest.mark.parametrize("odd", ["{v", "v}", "{v.__class__}", "{v!r}", "{v:>999999999}", "{{v}}", "{}", "{ v }"])
def test_a_brace_that_names_nothing_is_refused_though_all_languages_share_it(tmp_path, odd):
    message = MESSAGES.replace("{v}", odd)
    assert found(tmp_path, rule("lengde > 3", message=message)) == [("rules.brace", "rules/a.yaml", 7)]


@pytest.mark.parametrize(("odd", "code"), [("{label", "rules.brace"), ("{lable}", "rules.placeholder")])
def test_the_text_of_a_rule_of_the_layout_is_looked_at_as_well(tmp_path, odd, code):
    layout = workshop.LAYOUT.replace("{label}", odd)
    (problem,) = problems(open_folder(workshop.definition(tmp_path, rule("lengde > 3"), layout)))
    assert (problem.code, problem.params["file"]) == (code, "layout.toml")
    assert layout.splitlines()[int(str(problem.params["line"])) - 1].startswith("message")


@pytest.mark.parametrize("name", ["'a\"; drop'", '"a\\"; drop"', '"a-b"'])
def test_a_column_with_a_name_in_quotes_is_told_where_it_stands(tmp_path, name):
    """And nothing that follows from a line left out."""
    written = f'{name} = {{ exists = "baat", on = "kjenning" }}'
    layout = workshop.LAYOUT.replace("[Tur.derived]", f"[Tur.derived]\n{written}")
    line = layout.splitlines().index(written) + 1
    (problem,) = problems(open_folder(workshop.definition(tmp_path, rule("lengde > 3"), layout)))
    assert (problem.code, problem.params["line"], problem.params["column"]) == ("rules.derived_name", line, 1)


def test_only_lines_of_derived_columns_are_left_out_of_a_layout():
    text = 'format = "1.0"\n[Tur.derived]\nx = { count = "rows",\n  by = ["nr"] }\n[rules.L001]\nlevel = "feil"\n'
    assert [leftout.column_at(text, line) for line in (1, 2, 5, 6, 9)] == [None] * 5
    assert leftout.column_at(text, 3) == leftout.Block(2, 4, "x")


def test_names_keep_their_letters_where_a_problem_is_shown(tmp_path, capsys):
    layout = workshop.LAYOUT.replace('codes = "slag"', 'codes = "slak"')
    workshop.ipis("rules", "check", "--definition", workshop.definition(tmp_path / "d", rule("lengde > 3"), layout))
    assert "  Ventet: codes/slak.csv.\n  Gjør dette: Legg til filen, eller rett navnet.\n" in capsys.readouterr().out
