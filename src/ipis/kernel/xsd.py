"""The XML schema of a layout: structure only, every attribute an optional string, as the reader itself judges.

For vendors who want to try their extract before it meets us; a test holds reader and schema together.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from ipis.kernel.layout import Layout, RecordType


def schema(layout: Layout) -> str:
    """Write the schema: header, persons with their records in any order, one trailer last."""
    person, *nested = layout.records.values()
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- Structure only: a missing or bad value reaches the rules and is told as a finding. -->",
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">',
        *_element(
            layout.header,
            [
                "<xs:sequence>",
                *_element(
                    person,
                    [
                        '<xs:choice minOccurs="0" maxOccurs="unbounded">',
                        *(line for record in nested for line in _element(record, [])),
                        "</xs:choice>",
                    ],
                    ' minOccurs="0" maxOccurs="unbounded"',
                ),
                *_element(layout.trailer, []),
                "</xs:sequence>",
            ],
        ),
        "</xs:schema>",
    ]
    return "\n".join(_indented(lines)) + "\n"


def _element(record: RecordType, content: list[str], occurs: str = "") -> list[str]:
    attributes = [f'<xs:attribute name={quoteattr(name)} type="xs:string"/>' for name in record.fields]
    return [
        f"<xs:element name={quoteattr(record.element)}{occurs}>",
        "<xs:annotation>",
        f"<xs:documentation>{escape(record.label['nb'])}</xs:documentation>",
        "</xs:annotation>",
        "<xs:complexType>",
        *content,
        *attributes,
        "</xs:complexType>",
        "</xs:element>",
    ]


def _indented(lines: list[str]) -> list[str]:
    depth, done = 0, []
    for line in lines:
        depth -= line.startswith("</")
        done.append("  " * depth + line)
        depth += not line.startswith(("</", "<?", "<!")) and not line.endswith("/>") and "</" not in line
    return done
