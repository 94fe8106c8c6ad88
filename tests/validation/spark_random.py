"""Random rules over random tables, from a seed: every function, operator and derived kind of the language occurs."""

import random

import pyarrow as pa
from tests.validation import desk
from tests.validation.layout_toml import field, record, section, supplied

from ipis.validation import examples
from ipis.validation.run import Content

_FORM = {"form": "L002"}
LAYOUT = "\n".join([
    f'{desk.LAYOUT}C = ["C1", "C2", "C3"]',
    field("ting", "stor", "int", length=9, rules=_FORM),
    *(field("ting", name, "code", length=2, codes="liste", rules={"code": "L003"}) for name in ("C1", "C2", "C3")),
    supplied("ting", tall="int32"),
    record("ledd", key_fields=["lid"], id_field="lid"),
    field("ledd", "lid", "id"),
    field("ledd", "dag", "date", length=10, rules=_FORM),
    field("ledd", "m", "int", length=9, rules=_FORM),
    field("ledd", "slag", "str"),
    section("nation.landet", key="kode", columns={"p99": "dec", "antall": "int"}),
])  # fmt: skip
CODES = {"liste": "code,navn,tall,kode,value\n01,en,1,01,1\n02,to,2,02,2.5\n03,tre,3,03,\n02,to igjen,7,02,9\n"}
NATION = {"landet": pa.table({"kode": ["01", "02"], "p99": [5.5, None], "antall": [1, 2]})}
PATTERNS = ("[A-Z]{2}[0-9]?", "a|b|ab", "[a-z-]{1,3}", "0[1-3]", "x?y{2}", "[0-9]{1,9}", "abc")
_DAYS = ("2016-12-31", "2017-01-01", "2017-02-28", "2017-03-01", "2017-06-15", "2017-12-31", "1900-01-01", "2099-12-31")
_TEXTS = (
    "a", "ab", "AB1", "abc", "xyy", "æøå", "Å", "e\u0301", "\U0001f600", "\ufffd", "it's", 'say "x"', "a\\b", "\t", "line\nend",
    "{v}", "%_", "NULL", " a ", "0", "ß" * 400, "x" * 20_000, "\u202eabc", "=1+1",
)  # fmt: skip
_PAST = ('["kode"]', '["kode", "A1"]')
_COMPARED = ("=", "<>", "<", "<=", ">", ">=")


class Writer:
    """Writes expressions of each type over `ting`, or over `ledd` (`other`)."""

    def __init__(self, rng, record="ting"):
        self.rng, self.record = rng, record

    def pick(self, *choices):
        """Take one of some writers and let it write."""
        return self.rng.choice(choices)()

    def whole(self, depth):
        """Write a whole number."""
        rng, names = self.rng, ("n", "stor", "tall") if self.record == "ting" else ("m",)
        plain = [lambda: rng.choice(names), lambda: str(rng.choice([0, 1, 2, 7, 100, 999_999_999]))]
        if depth <= 0:
            return self.pick(*plain)
        below = depth - 1
        more = [
            lambda: f"({self.whole(below)} {rng.choice('+-')} {self.whole(below)})",
            lambda: f"(- {self.whole(below)})",
            lambda: f"abs({self.whole(below)})",
            lambda: f"year({self.day(below)})",
            lambda: f"length({self.text()})",
            lambda: f"({self.day(below)} - {self.day(below)})",
            lambda: f"coalesce({rng.choice(names)}, 3)",
        ]
        if self.record == "ting":
            more.append(lambda: f"filled({rng.choice('AC')})")
        return self.pick(*plain, *more)

    def number(self, depth):
        """Write a number of any kind."""
        rng = self.rng
        plain = [lambda: self.whole(depth), lambda: rng.choice(["0.25", "0.1", "12.5", "0.0"])]
        if self.record == "ting":
            plain += [lambda: "d", lambda: "coalesce(d, 0.5)", lambda: "mean(C)"]
        if depth <= 0:
            return self.pick(*plain)
        below = depth - 1
        return self.pick(
            *plain,
            lambda: f"({self.number(below)} {rng.choice('+-*/')} {self.number(below)})",
            lambda: f"abs({self.number(below)})",
            lambda: f"(- {self.number(below)})",
        )

    def day(self, depth):
        """Write a day."""
        names = ("fra", "til") if self.record == "ting" else ("dag",)
        plain = [
            lambda: self.rng.choice(names),
            lambda: f"date '{self.rng.choice(_DAYS)}'",
            lambda: f"uttrekk.{self.rng.choice(['fraDato', 'tilDato'])}",
        ]
        if depth <= 0:
            return self.pick(*plain)
        return self.pick(*plain, lambda: f"({self.day(depth - 1)} {self.rng.choice('+-')} {self.whole(depth - 1)})")

    def text(self):
        """Write a text."""
        if self.record == "ledd":
            return self.rng.choice(["slag", "'a'", "coalesce(slag, 'x')"])
        return self.rng.choice(
            ["tekst", "kode", "A1", "C2", "'ab'", "'it''s'", "coalesce(tekst, 'ab')", "coalesce(A2, '1')"]
        )

    def condition(self, depth):
        """Write a condition."""
        rng = self.rng
        compared = [
            lambda: f"{self.number(depth - 1)} {rng.choice(_COMPARED)} {self.number(depth - 1)}",
            lambda: f"{self.day(depth - 1)} {rng.choice(_COMPARED)} {self.day(depth - 1)}",
            lambda: f"{self.text()} {rng.choice(_COMPARED)} {self.text()}",
            lambda: f"{self.number(depth - 1)} between {self.number(0)} and {self.number(0)}",
            lambda: f"{self.day(0)} between {self.day(0)} and {self.day(0)}",
            lambda: f"{self.whole(0)} in (0, 1, 7, 100)",
            lambda: f"{self.text()} not in ('01', 'ab', '1')",
            lambda: f"matches({self.text()}, '{rng.choice(PATTERNS)}')",
            lambda: rng.choice(["true", "false"]),
        ]
        if self.record == "ting":
            names = ["n", "d", "fra", "til", "tekst", "A1", "tid", "tall", "stor"]
            compared += [
                lambda: f"{rng.choice(names)} is {rng.choice(['', 'not '])}null",
                lambda: f"all_equal({rng.choice('AC')})",
                lambda: f"tid {rng.choice(['=', '<>'])} vist",
                lambda: f"{self.number(0)} {rng.choice(_COMPARED)} mean(C)",
            ]
        if depth <= 1:
            return self.pick(*compared)
        below = depth - 1
        return self.pick(
            *compared,
            lambda: f"({self.condition(below)} {rng.choice(['and', 'or'])} {self.condition(below)})",
            lambda: f"(not {self.condition(below)})",
        )


def _where(rng, record="ting"):
    """Write a `where`, or none."""
    text = Writer(rng, record).condition(2)
    return f', where = """{text}"""' if rng.random() < 0.6 else ""


def _by(rng):
    return rng.choice(
        ['["person"]', '["kode"]', '["person", "kode"]', '["tid"]', '["vist", "A1"]', '["til"]', '["n", "d"]']
    )


def derived_of_ting(rng):
    """Write columns of every kind on `ting`; the numbers in their names keep them apart."""
    writer = Writer(rng)
    own = ("fra", "til", "n", "d", "tekst", "tall", "kode")
    period = 'from = "fra", to = "til"'
    made = {
        "l_liste": '{ lookup = "liste", on = "kode", value = "navn" }',
        "l_tall": '{ lookup = "liste", on = "kode", value = "tall" }',
        "l_person": '{ lookup = "person", on = "person", value = "alder" }',
        "l_ting": '{ lookup = "ledd", on = "vist", key = "lid", value = "m" }',
        "l_land": '{ lookup = "landet", on = "kode", value = "p99" }',
        "e_kode": '{ exists = "liste", on = ["kode", "A1"], key = ["code", "kode"] }',
        "e_ledd": f'{{ exists = "ledd", on = "tid", key = "lid"{_where(rng, "ledd")} }}',
        "e_person": '{ exists = "person", on = "person" }',
        "x_tall": f'{{ expression = """{writer.number(3)}""" }}',
        "x_dag": f'{{ expression = """{writer.day(3)}""" }}',
        "x_bool": f'{{ expression = """{writer.condition(3)}""" }}',
        "valg": f'{{ choose = [ {{ when = """{writer.condition(2)}""", then = "a" }}, {{ when = """{writer.condition(2)}""", then = "b\'s" }} ], else = "c" }}',
        "sist_ar": f'{{ last_year = "count", by = {rng.choice(_PAST)} }}',
        "o_ledd": f'{{ count = "rows", of = "ledd", on = "person"{_where(rng, "ledd")} }}',
        "o_sum": f'{{ sum = "m", of = "ledd", on = "person"{_where(rng, "ledd")} }}',
        "o_min": '{ min = "dag", of = "ledd", on = "tid", key = "lid" }',
        "o_max": '{ max = "slag", of = "ledd", on = "person" }',
        "o_ny": f'{{ newest = "m", of = "ledd", on = "person", order = "dag"{_where(rng, "ledd")} }}',
    }
    for number in range(2):
        by = _by(rng)
        made |= {
            f"k{number}": f'{{ count = "rows", by = {by}{_where(rng)} }}',
            f"s{number}": f'{{ sum = "{rng.choice(["n", "d", "stor", "x_tall"])}", by = {by}{_where(rng)} }}',
            f"g{number}": f'{{ lag = "{rng.choice(own)}", by = {by}, order = "{rng.choice(["fra", "n", "tall"])}"{_where(rng)} }}',
            f"p{number}": f'{{ previous_max = "til", by = {by}, order = "fra", open_ended = true{_where(rng)} }}',
            f"u{number}": f'{{ overlap = "rows", by = {by}, {period}{_where(rng)} }}',
            f"v{number}": f'{{ overlap_days = "rows", by = {by}, {period}{_where(rng)} }}',
            f"w{number}": f'{{ concurrent_sum = "{rng.choice(["n", "d"])}", by = {by}, {period}{_where(rng)} }}',
        }
    return made


def definitions(rng, rules=24):
    """Give a collection with random rules and columns; one of the rules shows every derived column of every row."""
    columns = derived_of_ting(rng)
    lines = ["[ting.derived]", *(f"{name} = {text}" for name, text in columns.items())]
    lines += ["[person.derived]", f'antall = {{ count = "rows", of = "ting", on = "person"{_where(rng)} }}']
    lines += ["[derived_tables.levering]", 'rows = "delivery"', "[derived_tables.levering.columns]"]
    lines += [f'antall = {{ count = "ting"{_where(rng)} }}', 'ulike = { count = "ting", distinct = "person" }']
    lines += [f'andel = {{ share = "ting", where = """{Writer(rng).condition(2)}""" }}']
    lines += [f'i_fjor = {{ last_year = "count", of = "ting"{_where(rng)} }}']
    lines += ["[derived_tables.koder]", 'rows = { codes = "liste", key = "code", as = "kode" }']
    lines += ["[derived_tables.koder.columns]", f'antall = {{ count = "ting", match = "kode"{_where(rng)} }}']
    lines += ['i_fjor = { last_year = "count", of = "ting", match = "kode", distinct = "person" }']
    writer, written = Writer(rng), []
    for number in range(rules):
        where = writer.condition(2) if rng.random() < 0.5 else ""
        require = writer.condition(rng.randint(1, 4))
        names = rng.sample(sorted(columns), 2)
        written.append(
            desk.rule(
                _quoted(require),
                _quoted(where) if where else "",
                number=f"K{number:03}",
                more=f"shows: [{', '.join(names)}]",
            )
        )
    shown = [name for name, text in columns.items() if "last_year" not in text and "landet" not in text]
    written.append(desk.rule("true = false", number="K900", more=f"shows: [{', '.join(shown)}]"))
    written.append(desk.rule("l_land > 1 or sist_ar > 0", number="K901", more="shows: [l_land, sist_ar]"))
    written.append(desk.rule("antall > 2", number="K902", record="person", more="shows: [antall]"))
    written.append(
        desk.rule(
            "andel > 0.5 and i_fjor < antall",
            number="K903",
            more="over: levering\nshows: [antall, ulike, andel, i_fjor]",
        )
    )
    written.append(desk.rule("antall > i_fjor", number="K904", more="over: koder\nshows: [antall, i_fjor]"))
    return desk.any_collection("".join(written), "\n".join(lines), layout=LAYOUT, codes=CODES)


def _quoted(text):
    """Write an expression as a YAML text, whatever it holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def deliveries(rng, known, count=3, rows=40):
    """Give deliveries with rows that hold nulls, faults, extremes, doubled ids and strangers' persons."""
    return [
        Content(_tables(rng, known, rows), {"kommuneNr": "0403", "bydel": "00"}, _tables(rng, known, rows // 2))
        for _ in range(count)
    ]


def _tables(rng, known, rows):
    persons = rng.randint(1, 6)
    made = {
        "person": [{"brukerNr": str(number), "alder": rng.choice([None, 0, 80])} for number in range(persons)],
        "ting": [_ting(rng, persons) for _ in range(rng.randint(0, rows))],
        "ledd": [_ledd(rng, persons) for _ in range(rng.randint(0, rows))],
    }
    return {name: examples.table(record, made.get(name, [])) for name, record in known.layout.records.items()}


def _ting(rng, persons):
    codes = ("01", "02", "03", "77", None)
    return {
        "_person": rng.choice([*range(persons), None]),
        "tid": rng.choice(["a", "b", "c", "d", None]),
        "vist": rng.choice(["a", "b", "c", "altfor-lang", None]),
        "kode": rng.choice(codes),
        "fra": rng.choice([*_DAYS, "2017-02-30", None]),
        "til": rng.choice([*_DAYS, "x", None, None]),
        "n": rng.choice(["0", "1", "7", "100", "999", "-1", "x", None]),
        "stor": rng.choice(["0", "1", "999999999", "-999999999", None]),
        "d": rng.choice(["0.1", "0.25", "0.3", "12.5", "999999.99", "-0.01", "x", None]),
        "tekst": rng.choice([*_TEXTS, None]),
        **{name: rng.choice(["1", "1", "2", "9", None]) for name in ("A1", "A2")},
        **{name: rng.choice(codes) for name in ("C1", "C2", "C3")},
        "tall": rng.choice([0, 1, -5, 2_000_000_000, None]),
    }


def _ledd(rng, persons):
    return {
        "_person": rng.choice([*range(persons), None]),
        "lid": rng.choice(["a", "b", "c", "d", "e", None]),
        "dag": rng.choice([*_DAYS, "x", None]),
        "m": rng.choice(["0", "5", "999999999", "-3", "y", None]),
        "slag": rng.choice(["a", "b", "æ", None]),
    }


def drawn(seed, rules=24, count=3, rows=40):
    """Give a collection, deliveries and the nation for a seed."""
    rng = random.Random(seed)
    known = definitions(rng, rules)
    return known, deliveries(rng, known, count, rows), NATION
