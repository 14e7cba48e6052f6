/* How many members the objects of a JSON document have: as the parsed document holds them, and as its text names them.

   `members(document, most_levels)` counts the entries of all dicts in a tree of dicts and lists, or returns -1 when it
   is nested deeper. `colons(text)` counts the colons outside the strings of a text, which must be valid JSON: one for
   each member. When the two differ, an object has a key twice (`repeats.py`).

   The scan takes 64 bytes at a time as bit masks. Source of the way to find escaped quotes and what is inside strings:
   Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28 (2019), section 3.1. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static Py_ssize_t count(PyObject *value, int levels) {
    Py_ssize_t found, inner;
    if (PyDict_CheckExact(value)) {
        PyObject *key, *member;
        Py_ssize_t position = 0;
        if (levels == 0) return -1;
        found = PyDict_GET_SIZE(value);
        while (PyDict_Next(value, &position, &key, &member)) {
            if (!PyDict_CheckExact(member) && !PyList_CheckExact(member)) continue;
            if ((inner = count(member, levels - 1)) < 0) return -1;
            found += inner;
        }
        return found;
    }
    if (!PyList_CheckExact(value)) return 0;
    if (levels == 0) return -1;
    found = 0;
    for (Py_ssize_t number = 0; number < PyList_GET_SIZE(value); number++) {
        PyObject *item = PyList_GET_ITEM(value, number);
        if (!PyDict_CheckExact(item) && !PyList_CheckExact(item)) continue;
        if ((inner = count(item, levels - 1)) < 0) return -1;
        found += inner;
    }
    return found;
}

static PyObject *members(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "members takes a document and a number of levels");
        return NULL;
    }
    int levels = (int)PyLong_AsLong(args[1]);
    if (levels == -1 && PyErr_Occurred()) return NULL;
    return PyLong_FromSsize_t(count(args[0], levels));
}

/* Where in 64 bytes stand quotation marks, backslashes and colons, bit 0 for the first byte. */
typedef struct {
    uint64_t quotes, backslashes, colons;
} Marks;

static inline Marks marks_of(const char *text) {
    Marks marks = {0, 0, 0};
#if defined(__SSE2__)
    for (int part = 0; part < 4; part++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(text + 16 * part));
        int shift = 16 * part;
        marks.quotes |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))) << shift;
        marks.backslashes |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))) << shift;
        marks.colons |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':'))) << shift;
    }
#else
    for (int at = 0; at < 64; at++) {
        marks.quotes |= (uint64_t)(text[at] == '"') << at;
        marks.backslashes |= (uint64_t)(text[at] == '\\') << at;
        marks.colons |= (uint64_t)(text[at] == ':') << at;
    }
#endif
    return marks;
}

/* What is carried from one 64 bytes to the next: 1 when its first byte is escaped; all ones when it is in a string. */
typedef struct {
    uint64_t is_escaped, is_inside;
} Carry;

static inline int colons_in(const char *text, Carry *carry) {
    const uint64_t even = 0x5555555555555555ULL;
    Marks marks = marks_of(text);
    uint64_t escaped = carry->is_escaped;
    if (marks.backslashes) {
        uint64_t backslashes = marks.backslashes & ~carry->is_escaped, sum;
        uint64_t behind = backslashes << 1 | carry->is_escaped;
        uint64_t odd_starts = backslashes & ~even & ~behind;
        carry->is_escaped = __builtin_add_overflow(odd_starts, backslashes, &sum);
        escaped = (even ^ (sum << 1)) & behind;
    } else {
        carry->is_escaped = 0;
    }
    uint64_t inside = marks.quotes & ~escaped;
    for (int step = 1; step < 64; step *= 2) inside ^= inside << step;
    inside ^= carry->is_inside;
    carry->is_inside = 0 - (inside >> 63);
    return __builtin_popcountll(marks.colons & ~inside);
}

static PyObject *colons(PyObject *Py_UNUSED(module), PyObject *text) {
    if (!PyBytes_Check(text)) {
        PyErr_Format(PyExc_TypeError, "a text is bytes, not %s", Py_TYPE(text)->tp_name);
        return NULL;
    }
    const char *at = PyBytes_AS_STRING(text), *end = at + PyBytes_GET_SIZE(text);
    Carry carry = {0, 0};
    Py_ssize_t found = 0;
    for (; end - at >= 64; at += 64) found += colons_in(at, &carry);
    char rest[64];
    memset(rest, ' ', sizeof rest);
    memcpy(rest, at, (size_t)(end - at));
    return PyLong_FromSsize_t(found + colons_in(rest, &carry));
}

static PyMethodDef methods[] = {
    {"members", (PyCFunction)(void (*)(void))members, METH_FASTCALL,
     "Entries of all dicts in a tree of dicts and lists; -1 when it has more than that many levels."},
    {"colons", colons, METH_O, "Colons outside the strings of a JSON text."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_members", "Counts the members of a JSON document and of its text.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__members(void) { return PyModule_Create(&module); }
