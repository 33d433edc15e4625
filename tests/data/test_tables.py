"""Tables are read as they were written, whatever wrote them, or refused by line and column."""

import csv
import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.tables import read_table
from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.own.columns import KNOWN
from jaxcmr.errors import UsageError


@pytest.fixture
def table(tmp_path):
    """`(content, name="items.csv") -> Table`, of a file of these bytes or this text."""

    def read(content, name="items.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, KNOWN)

    return read


def test_a_line_end_inside_quotes_belongs_to_the_cell(table):
    found = table('text,label\n"wooden seat\nfour legs",chair\r\n"a\r\nb",lamp\rlast,x\n')
    assert [row["text"] for _, row in found.rows] == ["wooden seat\nfour legs", "a\r\nb", "last"]
    assert [line for line, _ in found.rows] == [2, 4, 6]


def test_a_cell_may_be_longer_than_the_csv_modules_limit(table):
    before = csv.field_size_limit()
    found = table(f"text,label\n{'long ' * 50_000},a\n")
    assert len(found.rows[0][1]["text"]) == 250_000 and csv.field_size_limit() == before


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["items.csv", "items.tsv", "ITEMS.CSV"])
def test_cells_are_parted_by_what_parts_the_header(table, delimiter, name):
    lines = (("Image", '"label"', "price"), ("a.png", "x", "3"))
    text = "\n".join(map(delimiter.join, lines))
    assert table(text, name).rows == [(2, {"image": "a.png", "label": "x", "price": "3"})]
    assert table(f"sep={delimiter}\n{text}", name).rows[0] == (
        3, {"image": "a.png", "label": "x", "price": "3"},
    )  # fmt: skip


def test_a_comma_is_kept_where_semicolons_stand_in_cells(table):
    assert table("label,text\na,b;c;d\n").rows == [(2, {"label": "a", "text": "b;c;d"})]


def test_blanks_may_stand_before_quotes(table):
    found = table('label, text\na, "red, blue"\nb,  "c"\n').rows
    assert found == [(2, {"label": "a", "text": "red, blue"}), (3, {"label": "b", "text": "c"})]


def test_blanks_without_quotes_belong_to_the_cell(table):
    assert table('label,text\na, "" b\n').rows == [(2, {"label": "a", "text": ' "" b'})]
    found = table('label;text\na; "old" wood\n').rows
    assert found == [(2, {"label": "a", "text": ' "old" wood'})]


def test_single_quotes_are_quotes_where_the_header_has_them(table):
    found = table("'Label','text'\n'a','b, it''s \"c\"'\n")
    assert found.rows == [(2, {"label": "a", "text": 'b, it\'s "c"'})]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_are_read(table, encoding):
    found = table("Label,text\ncaf\u00e9,\u6905\u5b50\n".encode(encoding))
    assert found.rows == [(2, {"label": "caf\u00e9", "text": "\u6905\u5b50"})]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"label\na\ncaf\xe9\n", r"items.csv, line 3: the byte 0xe9, which is '\xe9'"),
        ("label\na\n".encode("utf-16-le"), "holds zero bytes, as UTF-16 without its mark"),
        (b"\xff\xfea", "begins as UTF-16 does but is cut or damaged; save it as UTF-8"),
        (b"\x89PNG\r\n", "line 1: the byte 0x89"),
        ("label,Label \na,b\n", "line 1: the column 'label' occurs twice, as 'label' and 'Label'"),
        ("label,labels\na,b\n", "the column 'label' occurs twice, as 'label' and 'labels'"),
        ("true_label,true_labels\na,b\n", "the column 'true_label' occurs twice"),
        ("label,notes,Notes\na,b,c\n", "the column 'notes' occurs twice, as 'notes' and 'Notes'"),
        ("label,caf\u00e9,cafe\u0301\na,b,c\n", "occurs twice"),
        ("label,text\na,b\n\nc\n", r"line 4: not as many cells as the header, 1 for 2 columns"),
        ('label,text\na,b\nc,"d\n\n', r"line 3: a quote that opens in this row is never closed"),
        ('label,text\na,"b"c\n', r"line 2: ',' expected after '\"'; put quotes around"),
        ("# by hand\nlabel,text\na,b\n", "line 1: the first line must name the columns, .* '# by"),
        ("label,text\n,\n ,nan\n", "has no row with a filled cell"),
        ("", "has no row"),
        ("label,text\n", "has no row"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(table, content, said):
    with pytest.raises(UsageError, match=said) as error:
        table(content)
    assert "\n" not in str(error.value)


def test_rows_without_a_filled_cell_are_left_out_and_counted(table):
    found = table("label,text\na,b\n,\n\n nan ,\u200b\nc,d\n")
    assert found.rows == [(2, {"label": "a", "text": "b"}), (6, {"label": "c", "text": "d"})]
    assert found.places == [0, 3] and found.empty == [3, 5]


def test_columns_without_a_name_are_no_column_unless_they_have_cells(table):
    assert table("label,text,,\na,b,,\n").columns == ["label", "text"]
    assert table(",label,text\n0,a,b\n").rows[0][1] == {"column 1": "0", "label": "a", "text": "b"}


def test_values_of_json_become_cells(table):
    lines = [
        {"Label": 1, " text ": None, "tags": ["a"], "score": float("inf")},
        {"label": 1.0, "text": "a\u2028b"},
        {"label": True, "text": float("nan")},
    ]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\r\n"
    found = table(text, "items.jsonl")
    assert [row["label"] for _, row in found.rows] == ["1", "1.0", "True"]
    assert [row["text"] for _, row in found.rows] == ["", "a\u2028b", ""]
    assert [line for line, _ in found.rows] == [1, 3, 5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"label": "a", "label": "b"}', "line 1: the column 'label' occurs twice"),
        (
            '{"label": "a", "Labels": "b"}',
            "'label' occurs twice, as 'label' and 'Labels'",
        ),
        ('{"label": ["a"]}', "line 1: 'label' is a list of 1, but one text or number is needed"),
        ('{"text": {"a": 1}}', "line 1: 'text' is an object, but one text or number is needed"),
        ('{"label": Infinity}', "line 1: 'label' is inf, which is neither a number nor a text"),
        ('{"label": "\\ud800"}', "line 1: 'label' holds half a letter"),
        ('[{"label": "a"}]', "line 1: a JSON object is needed, one a line and without a list"),
        ('\n{"label": "a"', "line 2: no JSON"),
        ("[" * 100_000, "line 1: no JSON"),
        ("{'label': 'a'}", "line 1: no JSON"),
    ],
)
def test_json_that_means_two_things_is_one_sentence(table, text, said):
    with pytest.raises(UsageError, match=said) as error:
        table(text, "items.jsonl")
    assert "\n" not in str(error.value)


def test_other_endings_and_unreadable_files_are_said(tmp_path):
    with pytest.raises(UsageError, match=r"items.xlsx must end in .csv, .tsv or .jsonl; save or"):
        read_table(tmp_path / "items.xlsx", KNOWN)
    with pytest.raises(UsageError, match=r"none.csv cannot be read \(No such file"):
        read_table(tmp_path / "none.csv", KNOWN)
    with pytest.raises(UsageError, match="cannot be read"):
        read_text(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", ""):
        with pytest.raises(UsageError, match="is no file; name the file that is to be read"):
            read_text(tmp_path / name)


LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
CELLS = st.text(LETTERS, max_size=8) | st.sampled_from(
    ['a"b', "a,b;c\td", "x\ny", "x\r\ny", "'", '"']
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.permutations(["label", "image", "text", "some thing"]),
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory, header, rows, delimiter, quoting, end, encoding
):
    path = tmp_path_factory.mktemp("csv") / "items.csv"
    # The module quotes no end of line other than its own, unless told to.
    if end == "\r" or any("\r" in cell for row in rows for cell in row):
        quoting = csv.QUOTE_ALL
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([header, *rows])
    path.write_bytes(buffer.getvalue().encode(encoding))
    try:
        found = read_table(path, KNOWN)
    except UsageError as error:
        assert "has no row with a filled cell" in str(error)
        return
    kept = [rows[place] for place in found.places]
    assert [tuple(row[name] for name in header) for _, row in found.rows] == kept
    assert len(found.rows) + len(found.empty) == len(rows)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.text(st.sampled_from("ab,;\"'\t\n\r{}[]:\\ \u00e9"), max_size=40),
    st.sampled_from([".csv", ".jsonl"]),
)
def test_no_text_fails_otherwise_than_by_a_sentence(tmp_path_factory, text, suffix):
    path = tmp_path_factory.mktemp("table") / f"items{suffix}"
    path.write_text(text, newline="")
    try:
        assert read_table(path, KNOWN).rows
    except UsageError as error:
        assert "\n" not in str(error)
