"""Read one boolean expression of the rule language into typed terms (docs/spec/rules.md, after ARCH §2.7).

Three gates, each sufficient against statements: every token is of the list, sqlglot finds exactly one expression, and
every node of its tree is of the list with no argument beyond those looked at. Types are judged against the layout.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.tokens import Tokenizer

from ipis.kernel.errors import Word
from ipis.validation.position import Place, refuse
from ipis.validation.terms import Column, Family, Literal, Operation, Schema, Term, Type

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARACTERS = 2000
MAX_TOKENS = 400
MAX_DEPTH = 40
MAX_DIGITS = 9

COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
OPERATORS = frozenset({*COMPARISONS.values(), *ARITHMETIC.values(), "and", "or", "not", "is null", "in", "negate"})
FUNCTIONS = frozenset({"abs", "coalesce", "filled", "all_equal", "length", "matches", "mean", "year"})
FAMILY_TYPES = {"filled": Type.INT, "all_equal": Type.BOOL, "mean": Type.NUM}

_TOKENS = {
    TokenType.VAR, TokenType.STRING, TokenType.NUMBER, TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE,
    TokenType.GT, TokenType.GTE, TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IN, TokenType.BETWEEN,
    TokenType.IS, TokenType.NULL, TokenType.TRUE, TokenType.FALSE, TokenType.PLUS, TokenType.DASH, TokenType.STAR,
    TokenType.SLASH, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.DOT, TokenType.DATE,
}  # fmt: skip
_OPERANDS = {TokenType.VAR, TokenType.STRING, TokenType.NUMBER}
_UNARY = {TokenType.NOT, TokenType.DASH, TokenType.L_PAREN}
# A pattern is a list of literal characters, classes and counts: the same in every engine, and never slow.
_PATTERN = re.compile(r"(?:(?:\[[A-Za-z0-9-]+\]|[A-Za-z0-9])(?:\{[0-9]{1,2}(?:,[0-9]{1,2})?\}|\?)?)+")


def parse(text: str, schema: Schema, place: Place) -> Term:
    """Read an expression over a record type; what is not in the language is refused with its position."""
    term = parse_value(text, schema, place)
    if term.type is not Type.BOOL:
        refuse("rules.not_boolean", place, type=Word(term.type.value))
    return term


def parse_value(text: str, schema: Schema, place: Place) -> Term:
    """Read an expression of any type, as derived columns use it."""
    tokens = _tokenise(text, place)
    try:
        trees = sqlglot.parse(text)
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        offset = _offset(text, details[0].get("line"), details[0].get("col"), details[0].get("highlight"))
        closed = "Expecting )" not in str(details[0].get("description"))
        refuse("rules.syntax", place, offset=offset, detail=Word("misplaced" if closed else "open parenthesis"))
    except RecursionError:
        refuse("rules.too_long", place, limit=MAX_TOKENS)
    if len(trees) != 1 or trees[0] is None:
        refuse("rules.syntax", place, detail=Word("not one expression"))
    return _Reader(text, tokens, schema, place).read(cast("exp.Expression", trees[0]))


def _tokenise(text: str, place: Place) -> list[Token]:
    if len(text) > MAX_CHARACTERS:
        refuse("rules.too_long", place, limit=MAX_TOKENS)
    try:
        tokens = Tokenizer().tokenize(text)
    except SqlglotError:
        refuse("rules.syntax", place, detail=Word("open quote"))
    if len(tokens) > MAX_TOKENS:
        refuse("rules.too_long", place, limit=MAX_TOKENS)
    _refuse_strange_names(tokens, place)
    depth = 0
    for token in tokens:
        if token.comments:
            refuse("rules.comment", place, offset=token.start)
        if token.token_type is TokenType.IDENTIFIER:
            refuse("rules.quoted", place, offset=token.start, word=token.text)
        if token.token_type not in _TOKENS:
            refuse("rules.word", place, offset=token.start, word=token.text)
        depth += (token.token_type in _UNARY) - (token.token_type is TokenType.R_PAREN)
        if depth > MAX_DEPTH:
            refuse("rules.too_long", place, offset=token.start, limit=MAX_TOKENS)
    # A comment in front of the first token, or alone, hangs on nothing that was looked at above.
    if not tokens:
        refuse("rules.syntax", place, detail=Word("empty"))
    if "--" in re.sub(r"'[^']*'", "", text) or "/*" in re.sub(r"'[^']*'", "", text):
        refuse("rules.comment", place)
    return tokens


def _refuse_strange_names(tokens: list[Token], place: Place) -> None:
    """Refuse a function that is none of ours, and two operands side by side, by the words of their author."""
    for token, after in pairwise(tokens):
        if token.token_type is TokenType.VAR and after.token_type is TokenType.L_PAREN:
            if token.text.lower() not in FUNCTIONS:
                functions = ", ".join(sorted(FUNCTIONS))
                refuse("rules.function", place, offset=token.start, function=token.text, functions=functions)
        elif token.token_type in _OPERANDS and after.token_type in _OPERANDS:
            if token.token_type is TokenType.NUMBER and after.start == token.end + 1:
                refuse("rules.number", place, offset=token.start, digits=MAX_DIGITS)
            refuse("rules.word", place, offset=after.start, word=after.text)


def _offset(text: str, line: int | None, column: int | None, highlight: str | None) -> int:
    if line is None or column is None:
        return 0
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    end = starts[min(line, len(starts)) - 1] + column
    return max(0, min(end - len(highlight or " "), len(text) - 1))


class _Reader:
    """One pass over the tree: every node has its own reader, which names the arguments it looks at."""

    def __init__(self, text: str, tokens: list[Token], schema: Schema, place: Place) -> None:
        self.text, self.tokens, self.schema, self.place = text, tokens, schema, place

    def fail(self, code: str, node: exp.Expression, **params: object) -> NoReturn:
        starts = [start for item in node.walk() if (start := item.meta.get("start")) is not None]
        refuse(code, self.place, offset=min(starts, default=0), **params)

    def read(self, node: exp.Expression) -> Term:
        reader = _READERS.get(type(node))
        if reader is None:
            self.fail("rules.word", node, word=_name(node))
        method, arguments = reader
        extra = [key for key, value in node.args.items() if key not in arguments and value]
        if extra:
            self.fail("rules.word", node, word=_name(node))
        return method(self, node)

    def column(self, node: exp.Expression) -> Term:
        table, name = node.text("table"), node.name
        if isinstance(node.this, exp.Star):
            self.fail("rules.word", node, word=_name(node))
        if any(part.args.get("quoted") for part in node.find_all(exp.Identifier)):
            self.fail("rules.quoted", node, word=name)
        if table not in {"", "uttrekk"}:
            self.fail("rules.field", node, field=f"{table}.{name}", record=self.schema.record)
        info = (self.schema.header if table else self.schema.columns).get(name)
        if info is None:
            self.fail("rules.field", node, field=f"{table}.{name}".lstrip("."), record=table or self.schema.record)
        return Column(name, info, table)

    def literal(self, node: exp.Expression) -> Term:
        if node.args.get("is_string"):
            return Literal(node.name, Type.TEXT)
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", node.name) or len(node.name.replace(".", "")) > MAX_DIGITS:
            self.fail("rules.number", node, digits=MAX_DIGITS)
        return Literal(Decimal(node.name), Type.DEC) if "." in node.name else Literal(int(node.name), Type.INT)

    def boolean(self, node: exp.Expression) -> Term:
        return Literal(bool(node.this), Type.BOOL)

    def date(self, node: exp.Expression) -> Term:
        # DATE '…' and CAST('…' AS DATE) give one tree; the word CAST never passed the first gate.
        if node.args["to"].this is not exp.DType.DATE or not isinstance(node.this, exp.Literal):
            self.fail("rules.word", node, word="cast")
        try:
            return Literal(dt.date.fromisoformat(node.this.name), Type.DATE)
        except ValueError:
            self.fail("rules.date", node)

    def paren(self, node: exp.Expression) -> Term:
        return self.read(node.this)

    def connector(self, node: exp.Expression) -> Term:
        operands = tuple(self.boolean_operand(part) for part in (node.this, node.expression))
        return Operation("and" if isinstance(node, exp.And) else "or", operands, Type.BOOL)

    def negation(self, node: exp.Expression) -> Term:
        return Operation("not", (self.boolean_operand(node.this),), Type.BOOL)

    def boolean_operand(self, node: exp.Expression) -> Term:
        term = self.read(node)
        if term.type is not Type.BOOL:
            self.fail("rules.type", node, found_type=Word(term.type.value), expected_type=Word(Type.BOOL.value))
        return term

    def comparison(self, node: exp.Expression) -> Term:
        left, right = self.read(node.this), self.read(node.expression)
        self.match(node, left, right)
        if left.type is Type.ID and not isinstance(node, exp.EQ | exp.NEQ):
            self.fail("rules.type", node, found_type=Word(Type.ID.value), expected_type=Word("equal or not"))
        return Operation(COMPARISONS[type(node)], (left, right), Type.BOOL)

    def match(self, node: exp.Expression, left: Term, right: Term) -> None:
        if not left.type.comparable(right.type):
            self.fail("rules.type", node, found_type=Word(right.type.value), expected_type=Word(left.type.value))

    def between(self, node: exp.Expression) -> Term:
        value, low, high = (self.read(node.args[key]) for key in ("this", "low", "high"))
        self.match(node, value, low)
        self.match(node, value, high)
        if value.type is Type.ID:
            self.fail("rules.type", node, found_type=Word(Type.ID.value), expected_type=Word("equal or not"))
        bounds = (Operation(">=", (value, low), Type.BOOL), Operation("<=", (value, high), Type.BOOL))
        return Operation("and", bounds, Type.BOOL)

    def membership(self, node: exp.Expression) -> Term:
        value = self.read(node.this)
        listed = tuple(self.read(item) for item in node.expressions)
        for item in listed:
            if not isinstance(item, Literal):
                self.fail("rules.list", node)
            self.match(node, value, item)
        if not listed:
            self.fail("rules.list", node)
        return Operation("in", (value, *listed), Type.BOOL)

    def is_null(self, node: exp.Expression) -> Term:
        value = self.read(node.this)
        if not isinstance(node.expression, exp.Null) or not isinstance(value, Column):
            self.fail("rules.is_null", node)
        return Operation("is null", (value,), Type.BOOL)

    def arithmetic(self, node: exp.Expression) -> Term:
        name = ARITHMETIC[type(node)]
        left, right = self.read(node.this), self.read(node.expression)
        of = _sum_type(name, left.type, right.type)
        if of is None:
            self.fail("rules.type", node, found_type=Word(right.type.value), expected_type=Word("number"))
        return Operation(name, (left, right), of)

    def negate(self, node: exp.Expression) -> Term:
        value = self.number(node.this)
        return Operation("negate", (value,), value.type)

    def absolute(self, node: exp.Expression) -> Term:
        value = self.number(node.this)
        return Operation("abs", (value,), value.type)

    def number(self, node: exp.Expression) -> Term:
        value = self.read(node)
        if not value.type.numeric:
            self.fail("rules.type", node, found_type=Word(value.type.value), expected_type=Word("number"))
        return value

    def year(self, node: exp.Expression) -> Term:
        value = self.read(node.this)
        if value.type is not Type.DATE:
            self.fail("rules.type", node, found_type=Word(value.type.value), expected_type=Word(Type.DATE.value))
        return Operation("year", (value,), Type.INT)

    def length(self, node: exp.Expression) -> Term:
        value = self.read(node.this)
        if value.type is not Type.TEXT:
            self.fail("rules.type", node, found_type=Word(value.type.value), expected_type=Word(Type.TEXT.value))
        return Operation("length", (value,), Type.INT)

    def coalesce(self, node: exp.Expression) -> Term:
        value = self.read(node.this)
        if not isinstance(value, Column) or len(node.expressions) != 1:
            self.fail("rules.coalesce", node)
        default = self.read(node.expressions[0])
        self.match(node, value, default)
        return Operation("coalesce", (value, default), value.type)

    def named(self, node: exp.Expression) -> Term:
        name, arguments = str(node.this), node.expressions
        if name == "matches" and len(arguments) == 2:
            return self.pattern(node, *arguments)
        if name not in FAMILY_TYPES or len(arguments) != 1 or not isinstance(arguments[0], exp.Column):
            self.fail("rules.function", node, function=name, functions=", ".join(sorted(FUNCTIONS)))
        return self.family(name, arguments[0])

    def pattern(self, node: exp.Expression, value_node: exp.Expression, pattern_node: exp.Expression) -> Term:
        value, pattern = self.read(value_node), self.read(pattern_node)
        if value.type is not Type.TEXT:
            self.fail("rules.type", node, found_type=Word(value.type.value), expected_type=Word(Type.TEXT.value))
        if not isinstance(pattern, Literal) or not all(map(_PATTERN.fullmatch, str(pattern.value).split("|"))):
            self.fail("rules.pattern", node)
        return Operation("matches", (value, pattern), Type.BOOL)

    def family(self, name: str, node: exp.Column) -> Term:
        members = self.schema.families.get(node.name)
        if members is None or node.table:
            self.fail("rules.family", node, family=node.name, record=self.schema.record)
        columns = tuple(Column(member, self.schema.columns[member]) for member in members)
        if name != "mean":
            return Family(name, columns, FAMILY_TYPES[name])
        if not set(members) <= self.schema.numbers.keys():
            self.fail("rules.family_value", node, family=node.name, record=self.schema.record)
        numbers = tuple(tuple(self.schema.numbers[member].items()) for member in members)
        return Family(name, columns, FAMILY_TYPES[name], numbers)


def _sum_type(name: str, left: Type, right: Type) -> Type | None:
    """Give the type of `left name right`; None where there is no such arithmetic. A day minus a day is days."""
    if left.numeric and right.numeric:
        both_whole = left is Type.INT and right is Type.INT
        return Type.INT if both_whole and name in {"+", "-"} else Type.NUM
    if left is Type.DATE and right is Type.DATE and name == "-":
        return Type.INT
    if left is Type.DATE and right is Type.INT and name in {"+", "-"}:
        return Type.DATE
    return None


def _name(node: exp.Expression) -> str:
    """Give the word or sign by which an author knows a node."""
    if isinstance(node, exp.Column):
        return ".".join(part.name for part in node.parts)
    return _SIGNS.get(type(node), type(node).__name__.lower())


_SIGNS: dict[type[exp.Expression], str] = {exp.Star: "*", exp.Tuple: ",", exp.Dot: "."}
_BINARY = frozenset({"this", "expression"})
_ONE = frozenset({"this"})
_READERS: dict[type[exp.Expression], tuple[Callable[[_Reader, exp.Expression], Term], frozenset[str]]] = {
    exp.Column: (_Reader.column, frozenset({"this", "table"})),
    exp.Literal: (_Reader.literal, frozenset({"this", "is_string"})),
    exp.Boolean: (_Reader.boolean, _ONE),
    exp.Cast: (_Reader.date, frozenset({"this", "to"})),
    exp.Paren: (_Reader.paren, _ONE),
    exp.And: (_Reader.connector, _BINARY),
    exp.Or: (_Reader.connector, _BINARY),
    exp.Not: (_Reader.negation, _ONE),
    exp.Between: (_Reader.between, frozenset({"this", "low", "high"})),
    exp.In: (_Reader.membership, frozenset({"this", "expressions"})),
    exp.Is: (_Reader.is_null, _BINARY),
    exp.Neg: (_Reader.negate, _ONE),
    exp.Abs: (_Reader.absolute, _ONE),
    exp.Year: (_Reader.year, _ONE),
    exp.Length: (_Reader.length, _ONE),
    exp.Coalesce: (_Reader.coalesce, frozenset({"this", "expressions"})),
    exp.Anonymous: (_Reader.named, frozenset({"this", "expressions"})),
    **dict.fromkeys(COMPARISONS, (_Reader.comparison, _BINARY)),
    **dict.fromkeys(ARITHMETIC, (_Reader.arithmetic, _BINARY | {"typed", "safe"})),
}
