"""Faults of identity and keys: numbers that are not right, keys that are missing, too long, doubled or lead nowhere."""

from __future__ import annotations

from ipis.synth import identities
from ipis.synth.faults.facts import unused_decision
from ipis.synth.faults.plot import Fault, Finding, Plot, Row

_TOO_OLD = 112
_PLAIN = "1"
_D_NUMBER = "2"


def _number(plot: Plot, value: str | None, rule: str, name: str = "fid") -> list[Finding]:
    plot.person.put("fid", value)
    return [plot.finding(rule, plot.person, name)]


def _missing_number(plot: Plot) -> list[Finding]:
    return _number(plot, None, "K020")


def _short_number(plot: Plot) -> list[Finding]:
    return _number(plot, (plot.person["fid"] or "")[:9], "K021")


def _letter_in_number(plot: Plot) -> list[Finding]:
    digits = plot.person["fid"] or ""
    return _number(plot, f"{digits[:6]}X{digits[7:]}", "K021")


def _wrong_check_digit(plot: Plot) -> list[Finding]:
    digits = plot.person["fid"] or ""
    last = (int(digits[10]) + plot.rng.randint(1, 9)) % 10
    # Endings that stand for "birth date only" are another fault.
    if f"{digits[6:10]}{last}" in {"00100", "00200", "99999"}:
        last = (last + 1) % 10 if (last + 1) % 10 != int(digits[10]) else (last + 2) % 10
    return _number(plot, f"{digits[:10]}{last}", "K022")


def _no_such_day(plot: Plot) -> list[Finding]:
    return _number(plot, f"00{(plot.person['fid'] or '')[2:]}", "K023")


def _keeps_its_age(plot: Plot) -> bool:
    """Tell whether the date alone still gives the year of birth: the latest century that fits."""
    digits = plot.person["fid"] or ""
    born = (2000 if digits[6] >= "5" else 1900) + int(digits[4:6])
    return plot.person["typeID"] == _PLAIN and plot.collection.year - born < 100


def _birth_date_only(plot: Plot) -> list[Finding] | None:
    if not _keeps_its_age(plot):
        return None
    plot.person.put("typeID", "9")
    return _number(plot, (plot.person["fid"] or "")[:6], "K024", "typeID")


def _placeholder_ending(plot: Plot) -> list[Finding] | None:
    if not _keeps_its_age(plot):
        return None
    date_part = (plot.person["fid"] or "")[:6]
    plot.person.put("typeID", "9")
    return _number(plot, date_part + plot.rng.choice(["00100", "00200", "99999"]), "K024", "typeID")


def _other_type(plot: Plot) -> list[Finding]:
    plot.person.put("typeID", _PLAIN if plot.person["typeID"] == _D_NUMBER else _D_NUMBER)
    return [plot.finding("K025", plot.person, "typeID")]


def _no_type(plot: Plot) -> list[Finding]:
    plot.person.put("typeID", None)
    return [plot.finding("K025", plot.person, "typeID")]


def _too_old(plot: Plot) -> list[Finding] | None:
    born = plot.collection.year - _TOO_OLD
    if plot.person["typeID"] != _PLAIN or plot.serial >= _SERIALS:
        return None
    plot.person.put("fid", identities.number_born_in(born, plot.serial))
    too_old_to_care = [plot.finding("K039", plot.person, "omsorgBarn")] if plot.person["omsorgBarn"] == "1" else []
    bpa = [row for row in plot.of("tjeneste") if row["kode"] == "03"]
    too_old_to_begin = [plot.finding("K088", row, "startDato") for row in bpa]
    return [plot.finding("K034", plot.person, ""), *too_old_to_care, *too_old_to_begin]


# So many numbers does one year of birth have for those who are too old.
_SERIALS = 365 * 200


def _no_user_number(plot: Plot) -> list[Finding]:
    plot.person.put("brukerNr", None)
    found = [plot.finding("K018", plot.person, "brukerNr")]
    # Rows inherit the number that is not there; decisions and services still hang on their person.
    return found + [plot.finding("L005", row, "brukerNr") for row in plot.every() if row.record in _NEED_A_NUMBER]


_NEED_A_NUMBER = {"diagnose", "vurdering", "deltakelse", "stopp"}


def _long_user_number(plot: Plot) -> list[Finding]:
    plot.person.put("brukerNr", f"{plot.person['brukerNr']}{'9' * 20}")
    return [plot.finding("L001", row, "brukerNr") for row in plot.every()]


def _same_user_number(plot: Plot) -> list[Finding] | None:
    if plot.before is None:
        return None
    plot.person.put("brukerNr", plot.before)
    return [plot.finding("K019", plot.person, "brukerNr")] * 2


def _missing_id(record: str, name: str) -> Fault:
    def plant(plot: Plot) -> list[Finding] | None:
        row = plot.one(record, lambda row: not _is_referred_to(plot, row))
        if row is None:
            return None
        row.put(name, None)
        return [plot.finding("L006", row, name)]

    return Fault("L006", 0.4, plant)


def _long_id(record: str, name: str) -> Fault:
    def plant(plot: Plot) -> list[Finding] | None:
        row = plot.one(record, lambda row: not _is_referred_to(plot, row))
        if row is None:
            return None
        row.put(name, f"{row[name]}{'-' * 40}")
        return [plot.finding("L001", row, name)]

    return Fault("L001", 0.4, plant)


def _is_referred_to(plot: Plot, row: Row) -> bool:
    return row.record == "vedtak" and any(other["vedtakId"] == row["vedtakId"] for other in plot.of("tjeneste"))


def _decision_twice(plot: Plot) -> list[Finding] | None:
    row = plot.one("vedtak")
    if row is None:
        return None
    return [plot.finding("K051", each, "vedtakId") for each in (row, plot.add("vedtak", row.values))]


def _service_number_twice(plot: Plot) -> list[Finding] | None:
    rows = plot.of("tjeneste")
    if len(rows) < 2:
        return None
    first, second = plot.rng.sample(rows, 2)
    second.put("tjenesteId", first["tjenesteId"])
    return [plot.finding("K066", each, "tjenesteId") for each in (first, second)]


def _unknown_decision(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste")
    if row is None:
        return None
    before = row["vedtakId"]
    row.put("vedtakId", f"U{plot.serial:09}")
    return [plot.finding("K068", row, "vedtakId"), *unused_decision(plot, before)]


def _long_reference(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste")
    if row is None:
        return None
    before = row["vedtakId"]
    row.put("vedtakId", "V" * 37)
    # An id is looked for whatever its form, and no decision has this one.
    return [*(plot.finding(rule, row, "vedtakId") for rule in ("L001", "K068")), *unused_decision(plot, before)]


def faults() -> tuple[Fault, ...]:
    """List the faults of identity and keys."""
    return (
        Fault("K020", 1.0, _missing_number),
        Fault("K021", 0.5, _short_number),
        Fault("K021", 0.5, _letter_in_number),
        Fault("K022", 1.0, _wrong_check_digit),
        Fault("K023", 0.5, _no_such_day),
        Fault("K024", 1.5, _birth_date_only),
        Fault("K024", 0.5, _placeholder_ending),
        Fault("K025", 1.0, _other_type),
        Fault("K025", 0.3, _no_type),
        Fault("K034", 0.4, _too_old),
        Fault("K018", 0.5, _no_user_number),
        Fault("K019", 20.0, _same_user_number),
        Fault("L001", 0.3, _long_user_number),
        Fault("L001", 0.3, _long_reference),
        _missing_id("diagnose", "diagNr"),
        _missing_id("vedtak", "vedtakId"),
        _missing_id("tjeneste", "tjenesteId"),
        _long_id("diagnose", "diagNr"),
        _long_id("vedtak", "vedtakId"),
        _long_id("tjeneste", "tjenesteId"),
        Fault("K051", 1.0, _decision_twice),
        Fault("K066", 1.0, _service_number_twice),
        Fault("K068", 1.0, _unknown_decision),
    )
