/* Documents into Arrow buffers: the columns of one shape, grown value by value as documents come.

   `Gatherer(spec, dumps)` makes the columns of a struct; `append(document)` adds a parsed JSON object and returns what
   has no place in them, or None; `take()` hands the buffers over and starts again; `misfits()` tells how many values did
   not fit which column since it was last asked. What it does, value by value, is told in `appender.py` and
   `moments.py`, which do the same in Python; the tests hold the two together.

   spec     (kind, None) for a leaf; ("list", item); ("map", value); ("struct", ((name, spec), ...)) and the same of
            "tuple", whose names are not used
   take()   (rows, columns), each column one of
                leaf     (length, nulls, validity, data)
                text     (length, nulls, validity, offsets, data)       kinds string and json
                struct   (length, nulls, validity, columns)
                list     (length, nulls, validity, offsets, item)
                map      (length, nulls, validity, offsets, keys, value)
            in the layout of the Arrow columnar format: validity and booleans are bitmaps, least significant bit first
            (validity is None when nothing is NULL), offsets are int32 and one more than values, integers and timestamps
            (µs since 1970, UTC) int64, dates (days since 1970) int32, numbers double. A tuple is taken as a struct. A
            column in which nothing stands is (length, length) alone.
misfits()   {number of the column: count}; columns are numbered from the root, 0, each before what is inside it

   A column may be shorter than the rows of its struct: what is missing at its end is NULL and is written only when a
   value comes behind it, so an absent property costs nothing. Nothing here keeps a reference to a document. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum kind { STRING, JSON, INTEGER, NUMBER, TIMESTAMP, DATE, BOOLEAN, STRUCT, TUPLE, LIST, MAP };
static const char *const KINDS[] = {"string", "json",   "integer", "number", "timestamp", "date",
                                    "boolean", "struct", "tuple",   "list",   "map"};
/* Bytes of an entry, for the kinds whose entries have all the same size. */
static const Py_ssize_t WIDTHS[] = {0, 0, 8, 8, 8, 4, 0, 0, 0, 0, 0};
#define LONGEST_EXACT 9007199254740992LL /* 2^53: up to here a double holds every integer */

/* A growing piece of memory, which Python can own when it is finished. */
typedef struct {
    PyObject *bytes; /* bytearray of `room` bytes, NULL while nothing was written */
    char *at;
    Py_ssize_t used, room;
} Buffer;

typedef struct Column {
    enum kind kind;
    Py_ssize_t length, nulls, misfits;
    Buffer validity, offsets, data; /* validity is empty while nothing is NULL */
    struct Column *inner;           /* the columns of a struct; the item of a list; keys and value of a map */
    Py_ssize_t width;
    PyObject *index; /* name of a struct's property → its number */
} Column;

typedef struct {
    PyObject_HEAD
    PyObject *dumps;
    Column root;
} Gatherer;

/* buffers */

static int grow(Buffer *buffer, Py_ssize_t more) {
    Py_ssize_t room = buffer->room < 128 ? 256 : buffer->room * 2;
    if (more > PY_SSIZE_T_MAX / 4 - buffer->used) {
        PyErr_NoMemory();
        return -1;
    }
    while (room < buffer->used + more) room *= 2;
    if (buffer->bytes == NULL) {
        if ((buffer->bytes = PyByteArray_FromStringAndSize(NULL, room)) == NULL) return -1;
    } else if (PyByteArray_Resize(buffer->bytes, room) < 0) {
        return -1;
    }
    buffer->at = PyByteArray_AS_STRING(buffer->bytes);
    buffer->room = room;
    return 0;
}

static inline int reserve(Buffer *buffer, Py_ssize_t more) {
    return buffer->used + more <= buffer->room ? 0 : grow(buffer, more);
}

/* The finished bytes; the buffer is empty afterwards. */
static PyObject *finished(Buffer *buffer) {
    PyObject *bytes = buffer->bytes;
    if (bytes == NULL) return PyByteArray_FromStringAndSize(NULL, 0);
    if (PyByteArray_Resize(bytes, buffer->used) < 0) return NULL;
    *buffer = (Buffer){NULL, NULL, 0, 0};
    return bytes;
}

static void drop(Buffer *buffer) {
    Py_CLEAR(buffer->bytes);
    *buffer = (Buffer){NULL, NULL, 0, 0};
}

/* Make the bitmap reach `bits`; new bits are 0. */
static int stretch(Buffer *bitmap, Py_ssize_t bits) {
    Py_ssize_t missing = (bits + 7) / 8 - bitmap->used;
    if (missing <= 0) return 0;
    if (reserve(bitmap, missing) < 0) return -1;
    memset(bitmap->at + bitmap->used, 0, missing);
    bitmap->used += missing;
    return 0;
}

static inline void set_bit(Buffer *bitmap, Py_ssize_t bit) { bitmap->at[bit >> 3] |= (char)(1 << (bit & 7)); }

/* columns */

/* Room for `count` more entries in the buffers whose size goes by entries. */
static int reserve_entries(Column *column, Py_ssize_t count) {
    switch (column->kind) {
    case INTEGER:
    case NUMBER:
    case TIMESTAMP:
    case DATE:
        return reserve(&column->data, count * WIDTHS[column->kind]);
    case BOOLEAN:
        return stretch(&column->data, column->length + count);
    case STRUCT:
    case TUPLE:
        return 0;
    default:
        if (column->offsets.used == 0) {
            if (reserve(&column->offsets, 4) < 0) return -1;
            memset(column->offsets.at, 0, 4);
            column->offsets.used = 4;
        }
        return reserve(&column->offsets, count * 4);
    }
}

static int add_nulls(Column *column, Py_ssize_t count) {
    if (reserve_entries(column, count) < 0) return -1;
    if (column->nulls == 0) {
        if (stretch(&column->validity, column->length + count) < 0) return -1;
        memset(column->validity.at, 0xFF, column->length / 8);
        for (Py_ssize_t bit = column->length & ~(Py_ssize_t)7; bit < column->length; bit++) {
            set_bit(&column->validity, bit);
        }
    } else if (stretch(&column->validity, column->length + count) < 0) {
        return -1;
    }
    if (WIDTHS[column->kind]) {
        memset(column->data.at + column->data.used, 0, count * WIDTHS[column->kind]);
        column->data.used += count * WIDTHS[column->kind];
    } else if (column->kind != BOOLEAN && column->kind != STRUCT && column->kind != TUPLE) {
        int32_t last, *next = (int32_t *)(column->offsets.at + column->offsets.used);
        memcpy(&last, next - 1, 4);
        for (Py_ssize_t number = 0; number < count; number++) next[number] = last;
        column->offsets.used += count * 4;
    }
    column->length += count;
    column->nulls += count;
    return 0;
}

/* One more entry is there, whose content was written. */
static inline int count_present(Column *column) {
    if (column->nulls) {
        if (stretch(&column->validity, column->length + 1) < 0) return -1;
        set_bit(&column->validity, column->length);
    }
    column->length++;
    return 0;
}

static int add_offset(Column *column, Py_ssize_t end) {
    if (end > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a column of one flush would pass 2^31 bytes or items; lower flush_bytes");
        return -1;
    }
    *(int32_t *)(column->offsets.at + column->offsets.used) = (int32_t)end;
    column->offsets.used += 4;
    return count_present(column);
}

static int add_text(Column *column, const char *text, Py_ssize_t size) {
    if (reserve_entries(column, 1) < 0 || reserve(&column->data, size) < 0) return -1;
    memcpy(column->data.at + column->data.used, text, size);
    column->data.used += size;
    return add_offset(column, column->data.used);
}

static int add_string(Column *column, PyObject *value) {
    Py_ssize_t size;
    if (PyUnicode_IS_COMPACT_ASCII(value)) {
        return add_text(column, (const char *)PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value));
    }
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text == NULL ? -1 : add_text(column, text, size);
}

static int add_json(Column *column, PyObject *value, PyObject *dumps) {
    PyObject *text = PyObject_CallOneArg(dumps, value);
    if (text == NULL) return -1;
    int outcome = -1;
    if (PyBytes_Check(text)) {
        outcome = add_text(column, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    } else {
        PyErr_SetString(PyExc_TypeError, "dumps must return bytes");
    }
    Py_DECREF(text);
    return outcome;
}

static inline int add_word(Column *column, const void *word) {
    if (reserve(&column->data, 8) < 0) return -1;
    memcpy(column->data.at + column->data.used, word, 8);
    column->data.used += 8;
    return count_present(column);
}

static inline int add_half_word(Column *column, int32_t word) {
    if (reserve(&column->data, 4) < 0) return -1;
    memcpy(column->data.at + column->data.used, &word, 4);
    column->data.used += 4;
    return count_present(column);
}

/* moments: the rules of `moments.py` */

#define EARLIEST_US (-62135596800000000LL) /* 0001-01-01T00:00:00Z */
#define LATEST_US 253402300799999999LL     /* 9999-12-31T23:59:59.999999Z */

/* The number that `count` digits make; -1 when one of them is none. */
static int digits(const char *text, int count) {
    int number = 0;
    for (int at = 0; at < count; at++) {
        if (text[at] < '0' || text[at] > '9') return -1;
        number = number * 10 + (text[at] - '0');
    }
    return number;
}

/* Days since 1970-01-01 of the date that begins at `text`, of at least 10 characters; 0 when it is none. */
static int read_date(const char *text, int64_t *days) {
    static const int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || text[4] != '-' || text[7] != '-') return 0;
    int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > LENGTHS[month - 1] + (month == 2 && is_leap)) return 0;
    /* counted in years that begin with March, in eras of 400 years */
    int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    *days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return 1;
}

/* The instant of an RFC 3339 text. Returns 0 when it is none; 1; 2 when the text says more than the instant does. */
static int read_timestamp(const char *text, Py_ssize_t size, long long *us) {
    int64_t days;
    if (size < 20 || !read_date(text, &days) || (text[10] | 32) != 't' || text[13] != ':' || text[16] != ':') return 0;
    int hour = digits(text + 11, 2), minute = digits(text + 14, 2), second = digits(text + 17, 2), says_more = 0;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return 0;
    long long fraction = 0;
    Py_ssize_t at = 19, begin;
    if (text[at] == '.') {
        for (begin = ++at; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
            if (at - begin < 6) {
                fraction = fraction * 10 + (text[at] - '0');
            } else if (text[at] != '0') {
                says_more = 1;
            }
        }
        if (at == begin) return 0;
        for (Py_ssize_t missing = 6 - (at - begin); missing > 0; missing--) fraction *= 10;
    }
    int offset = 0;
    if (at == size - 6 && (text[at] == '+' || text[at] == '-') && text[at + 3] == ':') {
        int hours = digits(text + at + 1, 2), minutes = digits(text + at + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return 0;
        offset = hours * 60 + minutes;
        if (offset || text[at] == '-') says_more = 1;
        if (text[at] == '-') offset = -offset;
    } else if (at != size - 1 || (text[at] | 32) != 'z') {
        return 0;
    }
    *us = (((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000000LL + fraction;
    return *us < EARLIEST_US || *us > LATEST_US ? 0 : 1 + says_more;
}

/* leftovers */

static int leave(PyObject **leftovers, PyObject *key, PyObject *value) {
    if (*leftovers == NULL && (*leftovers = PyDict_New()) == NULL) return -1;
    return PyDict_SetItem(*leftovers, key, value);
}

/* Add `value` to the column. Returns 1; 0 when it does not fit, having changed nothing; -1 with an exception. What has
   no place inside it is put into `leftovers`, which is NULL when all of it has. */
static int add(Column *column, PyObject *value, PyObject *dumps, PyObject **leftovers);

/* Put what `add` left of the value of `key`, and let go of it. */
static int leave_inner(PyObject **leftovers, PyObject *key, PyObject *inner) {
    if (inner == NULL) return 0;
    int outcome = leave(leftovers, key, inner);
    Py_DECREF(inner);
    return outcome;
}

static int add_struct(Column *column, PyObject *object, PyObject *dumps, PyObject **leftovers) {
    PyObject *key, *value;
    Py_ssize_t position = 0, row = column->length;
    while (PyDict_Next(object, &position, &key, &value)) {
        PyObject *number = PyDict_GetItemWithError(column->index, key);
        if (number == NULL) {
            if (PyErr_Occurred() || leave(leftovers, key, value) < 0) return -1;
            continue;
        }
        if (value == Py_None) continue;
        Column *inner = column->inner + PyLong_AsSsize_t(number);
        PyObject *rest = NULL;
        if (inner->length < row && add_nulls(inner, row - inner->length) < 0) return -1;
        int outcome = add(inner, value, dumps, &rest);
        if (outcome == 0) {
            inner->misfits++;
            if (leave(leftovers, key, value) < 0) return -1;
        }
        if (leave_inner(leftovers, key, rest) < 0 || outcome < 0) return -1;
    }
    return count_present(column);
}

/* Put what has no place at position `number`, and let go of it. */
static int leave_at(PyObject **leftovers, Py_ssize_t number, PyObject *rest) {
    PyObject *key = PyUnicode_FromFormat("%zd", number);
    int outcome = key == NULL ? -1 : leave(leftovers, key, rest);
    Py_XDECREF(key);
    Py_DECREF(rest);
    return outcome;
}

static int add_tuple(Column *column, PyObject *list, PyObject *dumps, PyObject **leftovers) {
    Py_ssize_t row = column->length, size = PyList_GET_SIZE(list);
    for (Py_ssize_t number = 0; number < size; number++) {
        PyObject *value = PyList_GET_ITEM(list, number), *rest = NULL;
        int outcome = 0;
        if (number < column->width && value != Py_None) {
            Column *inner = column->inner + number;
            if (inner->length < row && add_nulls(inner, row - inner->length) < 0) return -1;
            outcome = add(inner, value, dumps, &rest);
            if (outcome == 0) inner->misfits++;
        } else if (number < column->width && number < size - 1) {
            continue; /* a null at the end tells how long the array was */
        }
        if (outcome == 0) rest = Py_NewRef(value);
        if (outcome < 0) Py_CLEAR(rest);
        if (outcome < 0 || (rest != NULL && leave_at(leftovers, number, rest) < 0)) return -1;
    }
    return count_present(column);
}

static int add_list(Column *column, PyObject *list, PyObject *dumps, PyObject **leftovers) {
    Column *item = column->inner;
    if (reserve_entries(column, 1) < 0) return -1;
    for (Py_ssize_t number = 0; number < PyList_GET_SIZE(list); number++) {
        PyObject *value = PyList_GET_ITEM(list, number), *rest = NULL;
        int outcome = value == Py_None ? 0 : add(item, value, dumps, &rest);
        if (outcome < 0 || (outcome == 0 && add_nulls(item, 1) < 0)) {
            Py_XDECREF(rest);
            return -1;
        }
        if (outcome == 0 && value != Py_None) {
            item->misfits++;
            rest = Py_NewRef(value);
        }
        if (rest != NULL && leave_at(leftovers, number, rest) < 0) return -1;
    }
    return add_offset(column, item->length);
}

static int add_map(Column *column, PyObject *object, PyObject *dumps, PyObject **leftovers) {
    PyObject *key, *value;
    Py_ssize_t position = 0;
    Column *keys = column->inner, *values = column->inner + 1;
    if (reserve_entries(column, 1) < 0) return -1;
    while (PyDict_Next(object, &position, &key, &value)) {
        PyObject *rest = NULL;
        int outcome = value == Py_None ? 0 : add(values, value, dumps, &rest);
        if (outcome == 0) {
            values->misfits += value != Py_None;
            if (leave(leftovers, key, value) < 0) return -1;
        }
        if (outcome > 0 && add_string(keys, key) < 0) outcome = -1;
        if (leave_inner(leftovers, key, rest) < 0 || outcome < 0) return -1;
    }
    return add_offset(column, values->length);
}

static int add(Column *column, PyObject *value, PyObject *dumps, PyObject **leftovers) {
    int overflow, outcome;
    double number;
    long long integer;
    int64_t days;
    switch (column->kind) {
    case STRING:
        if (!PyUnicode_CheckExact(value)) return 0;
        outcome = add_string(column, value);
        break;
    case JSON:
        outcome = add_json(column, value, dumps);
        break;
    case INTEGER:
        if (PyFloat_CheckExact(value)) {
            number = PyFloat_AS_DOUBLE(value);
            if (!(number >= -LONGEST_EXACT && number <= LONGEST_EXACT)) return 0;
            integer = (long long)number;
            if ((double)integer != number || (integer == 0 && signbit(number))) return 0;
        } else {
            if (!PyLong_CheckExact(value)) return 0;
            integer = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow) return 0;
        }
        outcome = add_word(column, &integer);
        break;
    case TIMESTAMP:
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value)) return 0;
        outcome =
            read_timestamp((const char *)PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value), &integer);
        if (outcome == 0) return 0;
        if (outcome == 2) *leftovers = Py_NewRef(value);
        outcome = add_word(column, &integer);
        break;
    case DATE:
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value) || PyUnicode_GET_LENGTH(value) != 10 ||
            !read_date((const char *)PyUnicode_1BYTE_DATA(value), &days)) {
            return 0;
        }
        outcome = add_half_word(column, (int32_t)days);
        break;
    case NUMBER:
        if (PyFloat_CheckExact(value)) {
            number = PyFloat_AS_DOUBLE(value);
        } else {
            if (!PyLong_CheckExact(value)) return 0;
            integer = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow || integer > LONGEST_EXACT || integer < -LONGEST_EXACT) return 0;
            number = (double)integer;
        }
        outcome = add_word(column, &number);
        break;
    case BOOLEAN:
        if (!PyBool_Check(value)) return 0;
        if (reserve_entries(column, 1) < 0) return -1;
        if (value == Py_True) set_bit(&column->data, column->length);
        outcome = count_present(column);
        break;
    case STRUCT:
        if (!PyDict_CheckExact(value)) return 0;
        outcome = add_struct(column, value, dumps, leftovers);
        break;
    case TUPLE:
        if (!PyList_CheckExact(value)) return 0;
        outcome = add_tuple(column, value, dumps, leftovers);
        break;
    case LIST:
        if (!PyList_CheckExact(value)) return 0;
        outcome = add_list(column, value, dumps, leftovers);
        break;
    default:
        if (!PyDict_CheckExact(value)) return 0;
        outcome = add_map(column, value, dumps, leftovers);
    }
    return outcome < 0 ? -1 : 1;
}

/* taking */

static void clear(Column *column) {
    drop(&column->validity);
    drop(&column->offsets);
    drop(&column->data);
    column->length = column->nulls = 0;
    for (Py_ssize_t number = 0; number < column->width; number++) clear(column->inner + number);
}

static PyObject *take_columns(Column *column, Py_ssize_t length);

/* Hand over a column of `length` entries; it is empty afterwards. */
static PyObject *take_column(Column *column, Py_ssize_t length) {
    if (column->nulls == column->length) {
        clear(column);
        return Py_BuildValue("(nn)", length, length);
    }
    if (column->length < length && add_nulls(column, length - column->length) < 0) return NULL;
    Py_ssize_t nulls = column->nulls;
    PyObject *validity = nulls ? finished(&column->validity) : Py_NewRef(Py_None);
    if (validity == NULL) return NULL;
    column->length = column->nulls = 0;
    switch (column->kind) {
    case INTEGER:
    case NUMBER:
    case TIMESTAMP:
    case DATE:
    case BOOLEAN:
        return Py_BuildValue("(nnNN)", length, nulls, validity, finished(&column->data));
    case STRING:
    case JSON:
        return Py_BuildValue(
            "(nnNNN)", length, nulls, validity, finished(&column->offsets), finished(&column->data));
    case STRUCT:
    case TUPLE:
        return Py_BuildValue("(nnNN)", length, nulls, validity, take_columns(column, length));
    case LIST:
        return Py_BuildValue(
            "(nnNNN)", length, nulls, validity, finished(&column->offsets),
            take_column(column->inner, column->inner->length));
    default:
        return Py_BuildValue(
            "(nnNNNN)", length, nulls, validity, finished(&column->offsets),
            take_column(column->inner, column->inner->length),
            take_column(column->inner + 1, column->inner[1].length));
    }
}

static PyObject *take_columns(Column *column, Py_ssize_t length) {
    PyObject *columns = PyTuple_New(column->width);
    for (Py_ssize_t number = 0; columns != NULL && number < column->width; number++) {
        PyObject *taken = take_column(column->inner + number, length);
        if (taken == NULL) {
            Py_CLEAR(columns);
        } else {
            PyTuple_SET_ITEM(columns, number, taken);
        }
    }
    return columns;
}

/* making */

static void destroy(Column *column) {
    for (Py_ssize_t number = 0; number < column->width; number++) destroy(column->inner + number);
    PyMem_Free(column->inner);
    column->inner = NULL;
    column->width = 0;
    Py_CLEAR(column->index);
    drop(&column->validity);
    drop(&column->offsets);
    drop(&column->data);
}

/* Room for `width` inner columns, all empty, so that `destroy` works whatever comes next. */
static int widen(Column *column, Py_ssize_t width) {
    column->inner = PyMem_Calloc(width ? width : 1, sizeof(Column));
    if (column->inner == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    column->width = width;
    return 0;
}

static int build(Column *column, PyObject *spec);

static int build_struct(Column *column, PyObject *properties) {
    if (!PyTuple_Check(properties)) {
        PyErr_SetString(PyExc_TypeError, "a struct needs a tuple of (name, spec)");
        return -1;
    }
    if (widen(column, PyTuple_GET_SIZE(properties)) < 0 || (column->index = PyDict_New()) == NULL) return -1;
    for (Py_ssize_t number = 0; number < column->width; number++) {
        PyObject *name, *spec;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(properties, number), "UO", &name, &spec)) return -1;
        PyObject *place = PyLong_FromSsize_t(number);
        int outcome = place == NULL ? -1 : PyDict_SetItem(column->index, name, place);
        Py_XDECREF(place);
        if (outcome < 0 || build(column->inner + number, spec) < 0) return -1;
    }
    return 0;
}

static int build(Column *column, PyObject *spec) {
    const char *name;
    PyObject *inside;
    if (!PyTuple_Check(spec)) {
        PyErr_SetString(PyExc_TypeError, "a spec is (kind, what is inside)");
        return -1;
    }
    if (!PyArg_ParseTuple(spec, "sO", &name, &inside)) return -1;
    for (int kind = STRING; kind <= MAP; kind++) {
        if (strcmp(name, KINDS[kind]) != 0) continue;
        column->kind = kind;
        if (kind == STRUCT || kind == TUPLE) return build_struct(column, inside);
        if (kind == LIST) return widen(column, 1) < 0 ? -1 : build(column->inner, inside);
        return kind == MAP ? (widen(column, 2) < 0 ? -1 : build(column->inner + 1, inside)) : 0;
    }
    PyErr_Format(PyExc_ValueError, "unknown kind of column: %s", name);
    return -1;
}

static PyObject *Gatherer_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"spec", "dumps", NULL};
    PyObject *spec, *dumps;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO", names, &spec, &dumps)) return NULL;
    Gatherer *self = (Gatherer *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->dumps = Py_NewRef(dumps);
    if (build(&self->root, spec) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->root.kind != STRUCT) {
        PyErr_SetString(PyExc_ValueError, "the outermost spec must be a struct");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void Gatherer_dealloc(Gatherer *self) {
    destroy(&self->root);
    Py_XDECREF(self->dumps);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Gatherer_append(Gatherer *self, PyObject *document) {
    PyObject *leftovers = NULL;
    if (!PyDict_CheckExact(document)) {
        PyErr_Format(PyExc_TypeError, "a document is a dict, not %s", Py_TYPE(document)->tp_name);
        return NULL;
    }
    if (add_struct(&self->root, document, self->dumps, &leftovers) < 0) {
        Py_XDECREF(leftovers);
        return NULL;
    }
    if (leftovers == NULL) Py_RETURN_NONE;
    return leftovers;
}

static PyObject *Gatherer_take(Gatherer *self, PyObject *Py_UNUSED(ignored)) {
    Py_ssize_t rows = self->root.length;
    self->root.length = 0;
    return Py_BuildValue("(nN)", rows, take_columns(&self->root, rows));
}

/* Put the misfits of `column` and of what is inside it into `counts`, and begin anew. */
static int tell_misfits(Column *column, Py_ssize_t *number, PyObject *counts) {
    int outcome = 0;
    if (column->misfits) {
        PyObject *key = PyLong_FromSsize_t(*number), *count = PyLong_FromSsize_t(column->misfits);
        outcome = key == NULL || count == NULL ? -1 : PyDict_SetItem(counts, key, count);
        Py_XDECREF(key);
        Py_XDECREF(count);
        column->misfits = 0;
    }
    ++*number;
    for (Py_ssize_t inner = 0; outcome == 0 && inner < column->width; inner++) {
        outcome = tell_misfits(column->inner + inner, number, counts);
    }
    return outcome;
}

static PyObject *Gatherer_misfits(Gatherer *self, PyObject *Py_UNUSED(ignored)) {
    Py_ssize_t number = 0;
    PyObject *counts = PyDict_New();
    if (counts != NULL && tell_misfits(&self->root, &number, counts) < 0) Py_CLEAR(counts);
    return counts;
}

static PyMethodDef Gatherer_methods[] = {
    {"append", (PyCFunction)Gatherer_append, METH_O, "Add a document; return what has no place, or None."},
    {"take", (PyCFunction)Gatherer_take, METH_NOARGS, "Hand over the number of rows and the columns' buffers."},
    {"misfits", (PyCFunction)Gatherer_misfits, METH_NOARGS, "How many values did not fit, by the column's number."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject GathererType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "catchment.lake._columns.Gatherer",
    .tp_basicsize = sizeof(Gatherer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Gatherer(spec, dumps): the columns of one shape.",
    .tp_new = Gatherer_new,
    .tp_dealloc = (destructor)Gatherer_dealloc,
    .tp_methods = Gatherer_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_columns", "Documents into Arrow buffers; see catchment/lake/appender.py.", -1, NULL,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__columns(void) {
    PyObject *made;
    if (PyType_Ready(&GathererType) < 0 || (made = PyModule_Create(&module)) == NULL) return NULL;
    if (PyModule_AddObjectRef(made, "Gatherer", (PyObject *)&GathererType) < 0) Py_CLEAR(made);
    return made;
}
