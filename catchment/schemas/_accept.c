/* Accepts documents that are surely valid, by a schema that `acceptor.py` has laid out as numbered nodes.

   `Acceptor(nodes, patterns)(document)` is True when the document is valid beyond doubt, and False when it is not or when
   this code cannot tell; then jsonschema-rs decides. So each test here may be stricter than its keyword, never laxer.
   The document is a tree of dict, list, str, int, float, bool and None, as orjson makes it; any other object is a doubt.
   Nothing is kept of it, and no Python code runs meanwhile.

   A node is a tuple of FIELDS values in the order of `acceptor.Node`. A pattern is (begins, ends, parts): whether it is
   anchored at the beginning and at the end, and for each part a set of ASCII characters (128 bits), least and most of
   them (-1 for any number). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { NONE = 1, BOOLEAN = 2, INTEGER = 4, NUMBER = 8, STRING = 16, LIST = 32, DICT = 64 };
enum { FIELDS = 23, DEEPEST = 1000, MOST_STEPS = 4096 };

static const double EXACT = 9007199254740992.0; /* 2^53: up to here a double holds every integer */

typedef struct {
    uint64_t set[2];
    Py_ssize_t least, most;
} Part;

typedef struct {
    int begins, ends;
    Py_ssize_t length;
    Part *parts;
} Pattern;

typedef struct {
    Py_ssize_t pattern, node;
} Match;

typedef struct {
    PyObject *name; /* of the spec; NULL in an empty slot */
    Py_hash_t hash;
    Py_ssize_t node;
} Property;

typedef struct {
    int types, asks; /* kinds of values that may stand there, and those of them of which it asks more */
    int has_bounds, is_above, is_below;
    double least, greatest;
    Py_ssize_t min_length, max_length, pattern;
    Py_ssize_t min_items, max_items, rest;
    Py_ssize_t min_members, max_members, names, others;
    Py_ssize_t firsts_length, matches_length, all_length, any_length;
    Py_ssize_t *firsts, *all, *any;
    Match *matches;
    Property *properties; /* a hash table of `slots` places, a power of 2; at most half of them are taken */
    Py_ssize_t slots;
    PyObject *values, *required; /* tuples of the spec, or NULL */
} Node;

typedef struct {
    PyObject_HEAD
    PyObject *spec;
    Py_ssize_t nodes_length, patterns_length;
    Node *nodes;
    Pattern *patterns;
    vectorcallfunc call;
} Acceptor;

static inline int is_in(const Part *part, uint8_t sign) { return part->set[sign >> 6] >> (sign & 63) & 1; }

/* Whether the parts from `part` on match from `at`; -1 when it takes too many steps to tell. */
static int matches_from(const Pattern *pattern, Py_ssize_t part, const uint8_t *at, const uint8_t *end, int *steps) {
    if (--*steps < 0) return -1;
    if (part == pattern->length) return !pattern->ends || at == end;
    const Part *this = &pattern->parts[part];
    Py_ssize_t taken = 0, room = end - at;
    if (this->most >= 0 && this->most < room) room = this->most;
    while (taken < room && is_in(this, at[taken])) taken++;
    for (; taken >= this->least; taken--) {
        int found = matches_from(pattern, part + 1, at + taken, end, steps);
        if (found) return found;
    }
    return 0;
}

/* Whether the pattern is found in a text; -1 when that cannot be told: the sets know printable ASCII only. */
static int is_found(const Pattern *pattern, PyObject *text) {
    if (!PyUnicode_IS_COMPACT_ASCII(text)) return -1;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    const uint8_t *begin = PyUnicode_1BYTE_DATA(text), *end = begin + length;
    if (pattern->length == 1 && pattern->begins && pattern->ends && length >= pattern->parts->least &&
        (pattern->parts->most < 0 || length <= pattern->parts->most)) {
        const uint8_t *at = begin;
        while (at < end && is_in(pattern->parts, *at)) at++;
        if (at == end) return 1;
    }
    for (const uint8_t *at = begin; at < end; at++)
        if (*at < 0x20 || *at > 0x7e) return -1;
    int steps = MOST_STEPS;
    for (const uint8_t *at = begin;; at++) {
        int found = matches_from(pattern, 0, at, end, &steps);
        if (found || pattern->begins || at == end) return found;
    }
}

static int kind_of(PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) return INTEGER;
    if (type == &PyUnicode_Type) return STRING;
    if (type == &PyDict_Type) return DICT;
    if (type == &PyList_Type) return LIST;
    if (type == &PyBool_Type) return BOOLEAN;
    if (type == &PyFloat_Type) return NUMBER;
    return value == Py_None ? NONE : 0;
}

static int is_one_of(PyObject *values, PyObject *value, int kind) {
    for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(values); number++) {
        PyObject *other = PyTuple_GET_ITEM(values, number);
        if (other == value) return 1;
        if (Py_TYPE(other) != Py_TYPE(value)) continue;
        if (kind == STRING && PyUnicode_Compare(other, value) == 0) return 1;
        if (kind == INTEGER && PyObject_RichCompareBool(other, value, Py_EQ) == 1) return 1;
    }
    return 0;
}

static int is_within(const Node *node, PyObject *value, int kind) {
    double number;
    if (kind == INTEGER) {
        int overflow;
        long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow) return 0;
        number = (double)integer;
    } else {
        number = PyFloat_AS_DOUBLE(value);
    }
    if (!(fabs(number) < EXACT)) return 0;
    return (node->is_above ? number > node->least : number >= node->least) &&
           (node->is_below ? number < node->greatest : number <= node->greatest);
}

static int accepts_asked(const Acceptor *self, const Node *node, PyObject *value, int kind, int depth);

static inline int accepts(const Acceptor *self, Py_ssize_t place, PyObject *value, int depth) {
    if (place < 0) return 1;
    const Node *node = &self->nodes[place];
    int kind = kind_of(value);
    if (!(node->types & kind)) return 0;
    return !(node->asks & kind) || accepts_asked(self, node, value, kind, depth);
}

static int accepts_list(const Acceptor *self, const Node *node, PyObject *list, int depth) {
    Py_ssize_t length = PyList_GET_SIZE(list), number = 0;
    if (length < node->min_items || length > node->max_items) return 0;
    for (; number < node->firsts_length && number < length; number++)
        if (!accepts(self, node->firsts[number], PyList_GET_ITEM(list, number), depth)) return 0;
    if (node->rest < 0) return 1;
    for (; number < length; number++)
        if (!accepts(self, node->rest, PyList_GET_ITEM(list, number), depth)) return 0;
    return 1;
}

/* The slot of a key: that of its property, or an empty one. */
static const Property *find(const Node *node, PyObject *key) {
    Py_hash_t hash = PyObject_Hash(key);
    for (size_t at = (size_t)hash;; at++) {
        const Property *property = &node->properties[at & (size_t)(node->slots - 1)];
        if (!property->name || property->name == key) return property;
        if (property->hash == hash && PyUnicode_Compare(property->name, key) == 0) return property;
    }
}

/* Whether the value of a key that stands in `properties` or not is accepted by all that speak of it. */
static int accepts_member(const Acceptor *self, const Node *node, PyObject *key, PyObject *value, int depth) {
    int is_named = 0;
    if (node->slots) {
        const Property *property = find(node, key);
        if (property->name) {
            is_named = 1;
            if (!accepts(self, property->node, value, depth)) return 0;
        }
    }
    for (Py_ssize_t number = 0; number < node->matches_length; number++) {
        int found = is_found(&self->patterns[node->matches[number].pattern], key);
        if (!found) continue;
        if (found > 0) is_named = 1; /* when it cannot be told, the value must be right either way */
        if (!accepts(self, node->matches[number].node, value, depth)) return 0;
    }
    return is_named || accepts(self, node->others, value, depth);
}

static int accepts_dict(const Acceptor *self, const Node *node, PyObject *dict, int depth) {
    Py_ssize_t length = PyDict_GET_SIZE(dict), position = 0;
    PyObject *key, *value;
    if (length < node->min_members || length > node->max_members) return 0;
    if (node->required)
        for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(node->required); number++)
            if (!PyDict_GetItemWithError(dict, PyTuple_GET_ITEM(node->required, number))) return 0;
    if (!node->slots && !node->matches_length && node->others < 0 && node->names < 0) return 1;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!PyUnicode_CheckExact(key)) return 0;
        if (!accepts(self, node->names, key, depth)) return 0;
        if (!accepts_member(self, node, key, value, depth)) return 0;
    }
    return 1;
}

static int accepts_asked(const Acceptor *self, const Node *node, PyObject *value, int kind, int depth) {
    if (depth == 0) return 0;
    if (node->values && !is_one_of(node->values, value, kind)) return 0;
    if (kind == STRING) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(value);
        if (length < node->min_length || length > node->max_length) return 0;
        if (node->pattern >= 0 && is_found(&self->patterns[node->pattern], value) != 1) return 0;
    } else if (kind & (INTEGER | NUMBER)) {
        if (node->has_bounds && !is_within(node, value, kind)) return 0;
    } else if (kind == DICT) {
        if (!accepts_dict(self, node, value, depth - 1)) return 0;
    } else if (kind == LIST) {
        if (!accepts_list(self, node, value, depth - 1)) return 0;
    }
    for (Py_ssize_t number = 0; number < node->all_length; number++)
        if (!accepts(self, node->all[number], value, depth - 1)) return 0;
    if (node->any_length == 0) return 1;
    for (Py_ssize_t number = 0; number < node->any_length; number++)
        if (accepts(self, node->any[number], value, depth - 1)) return 1;
    return 0;
}

static PyObject *call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names) {
    if (PyVectorcall_NARGS(nargsf) != 1 || names) {
        PyErr_SetString(PyExc_TypeError, "an Acceptor takes one document");
        return NULL;
    }
    int is_accepted = accepts((Acceptor *)self, 0, args[0], DEEPEST);
    if (PyErr_Occurred()) return NULL;
    return PyBool_FromLong(is_accepted);
}

/* A number from `lowest` up to below `end`; -2 with an exception set when it is another. */
static Py_ssize_t number_of(PyObject *value, Py_ssize_t lowest, Py_ssize_t end) {
    Py_ssize_t number = PyLong_AsSsize_t(value);
    if (number == -1 && PyErr_Occurred()) return -2;
    if (number < lowest || number >= end) {
        PyErr_Format(PyExc_ValueError, "%zd is not from %zd up to %zd", number, lowest, end);
        return -2;
    }
    return number;
}

static PyObject *item(PyObject *tuple, Py_ssize_t number) {
    if (PyTuple_Check(tuple) && number < PyTuple_GET_SIZE(tuple)) return PyTuple_GET_ITEM(tuple, number);
    PyErr_Format(PyExc_TypeError, "%R has no item %zd", (PyObject *)Py_TYPE(tuple), number);
    return NULL;
}

/* Read a tuple of node numbers. False with an exception set when it is none. */
static int read_places(const Acceptor *self, PyObject *tuple, Py_ssize_t **into, Py_ssize_t *length) {
    if (!tuple || !PyTuple_Check(tuple)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "node numbers are a tuple");
        return 0;
    }
    if (!(*into = PyMem_Calloc((size_t)PyTuple_GET_SIZE(tuple) + 1, sizeof **into))) return PyErr_NoMemory(), 0;
    *length = PyTuple_GET_SIZE(tuple);
    for (Py_ssize_t number = 0; number < *length; number++)
        if (((*into)[number] = number_of(PyTuple_GET_ITEM(tuple, number), -1, self->nodes_length)) == -2) return 0;
    return 1;
}

static int read_pattern(PyObject *spec, Pattern *pattern) {
    PyObject *parts;
    if (!PyArg_ParseTuple(spec, "ppO!", &pattern->begins, &pattern->ends, &PyTuple_Type, &parts)) return 0;
    if (!(pattern->parts = PyMem_Calloc((size_t)PyTuple_GET_SIZE(parts) + 1, sizeof(Part)))) return PyErr_NoMemory(), 0;
    pattern->length = PyTuple_GET_SIZE(parts);
    for (Py_ssize_t number = 0; number < pattern->length; number++) {
        Part *part = &pattern->parts[number];
        unsigned long long low, high;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(parts, number), "KKnn", &low, &high, &part->least, &part->most)) return 0;
        part->set[0] = low;
        part->set[1] = high;
    }
    return 1;
}

static int read_matches(const Acceptor *self, PyObject *tuple, Node *node) {
    if (!PyTuple_Check(tuple)) return PyErr_SetString(PyExc_TypeError, "matches are a tuple"), 0;
    if (!(node->matches = PyMem_Calloc((size_t)PyTuple_GET_SIZE(tuple) + 1, sizeof(Match)))) return PyErr_NoMemory(), 0;
    node->matches_length = PyTuple_GET_SIZE(tuple);
    for (Py_ssize_t number = 0; number < node->matches_length; number++) {
        PyObject *pair = PyTuple_GET_ITEM(tuple, number), *pattern = item(pair, 0), *place = item(pair, 1);
        if (!pattern || !place) return 0;
        node->matches[number].pattern = number_of(pattern, 0, self->patterns_length);
        node->matches[number].node = number_of(place, -1, self->nodes_length);
        if (node->matches[number].pattern == -2 || node->matches[number].node == -2) return 0;
    }
    return 1;
}

static int read_properties(const Acceptor *self, PyObject *dict, Node *node) {
    PyObject *name, *place;
    Py_ssize_t position = 0;
    if (PyDict_GET_SIZE(dict) == 0) return 1;
    for (node->slots = 4; node->slots < 2 * PyDict_GET_SIZE(dict);) node->slots *= 2;
    if (!(node->properties = PyMem_Calloc((size_t)node->slots, sizeof(Property)))) return PyErr_NoMemory(), 0;
    while (PyDict_Next(dict, &position, &name, &place)) {
        if (!PyUnicode_CheckExact(name)) return PyErr_SetString(PyExc_TypeError, "names are texts"), 0;
        Property *property = (Property *)find(node, name);
        property->name = name;
        property->hash = PyObject_Hash(name);
        if ((property->node = number_of(place, -1, self->nodes_length)) == -2) return 0;
    }
    return 1;
}

/* Of which kinds of values a node asks more than to be one of its types. */
static int asked(const Node *node) {
    int kinds = 0;
    if (node->values || node->all_length || node->any_length) return node->types;
    if (node->min_length > 0 || node->max_length < PY_SSIZE_T_MAX || node->pattern >= 0) kinds |= STRING;
    if (node->has_bounds) kinds |= INTEGER | NUMBER;
    if (node->min_items > 0 || node->max_items < PY_SSIZE_T_MAX || node->firsts_length || node->rest >= 0) kinds |= LIST;
    if (node->min_members > 0 || node->max_members < PY_SSIZE_T_MAX || node->required || node->slots ||
        node->matches_length || node->others >= 0 || node->names >= 0)
        kinds |= DICT;
    return kinds;
}

static int read_node(const Acceptor *self, PyObject *spec, Node *node) {
    PyObject *values, *required, *properties, *firsts, *matches, *all, *any;
    int doubts;
    if (!PyTuple_Check(spec) || PyTuple_GET_SIZE(spec) != FIELDS)
        return PyErr_Format(PyExc_TypeError, "a node is a tuple of %d", FIELDS), 0;
    if (!PyArg_ParseTuple(spec, "iiOddppnnnnnO!nnnO!O!O!nnO!O!", &node->types, &doubts, &values, &node->least,
                          &node->greatest, &node->is_above, &node->is_below, &node->min_length, &node->max_length,
                          &node->pattern, &node->min_items, &node->max_items, &PyTuple_Type, &firsts, &node->rest,
                          &node->min_members, &node->max_members, &PyTuple_Type, &required, &PyDict_Type, &properties,
                          &PyTuple_Type, &matches, &node->others, &node->names, &PyTuple_Type, &all, &PyTuple_Type,
                          &any))
        return 0;
    if (values != Py_None && !PyTuple_Check(values)) return PyErr_SetString(PyExc_TypeError, "values are a tuple"), 0;
    if (node->pattern < -1 || node->pattern >= self->patterns_length || node->rest < -1 ||
        node->rest >= self->nodes_length || node->others < -1 || node->others >= self->nodes_length ||
        node->names < -1 || node->names >= self->nodes_length)
        return PyErr_SetString(PyExc_ValueError, "a number names no node or pattern"), 0;
    node->has_bounds = !(isinf(node->least) && isinf(node->greatest));
    node->values = values == Py_None ? NULL : values;
    node->required = PyTuple_GET_SIZE(required) ? required : NULL;
    if (!read_places(self, firsts, &node->firsts, &node->firsts_length) || !read_matches(self, matches, node) ||
        !read_places(self, all, &node->all, &node->all_length) ||
        !read_places(self, any, &node->any, &node->any_length) || !read_properties(self, properties, node))
        return 0;
    node->types &= ~doubts;
    node->asks = asked(node);
    return 1;
}

static void drop(PyObject *object) {
    Acceptor *self = (Acceptor *)object;
    for (Py_ssize_t number = 0; self->nodes && number < self->nodes_length; number++) {
        PyMem_Free(self->nodes[number].firsts);
        PyMem_Free(self->nodes[number].matches);
        PyMem_Free(self->nodes[number].properties);
        PyMem_Free(self->nodes[number].all);
        PyMem_Free(self->nodes[number].any);
    }
    for (Py_ssize_t number = 0; self->patterns && number < self->patterns_length; number++)
        PyMem_Free(self->patterns[number].parts);
    PyMem_Free(self->nodes);
    PyMem_Free(self->patterns);
    Py_CLEAR(self->spec);
    Py_TYPE(object)->tp_free(object);
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    PyObject *nodes, *patterns;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &nodes, &PyTuple_Type, &patterns)) return NULL;
    if (PyTuple_GET_SIZE(nodes) == 0) return PyErr_SetString(PyExc_ValueError, "an Acceptor has a node at least"), NULL;
    Acceptor *self = (Acceptor *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->call = call;
    self->spec = Py_NewRef(nodes); /* keeps what the nodes point to */
    self->nodes_length = PyTuple_GET_SIZE(nodes);
    self->patterns_length = PyTuple_GET_SIZE(patterns);
    self->nodes = PyMem_Calloc((size_t)self->nodes_length, sizeof(Node));
    self->patterns = PyMem_Calloc((size_t)self->patterns_length + 1, sizeof(Pattern));
    if (!self->nodes || !self->patterns) return Py_DECREF(self), PyErr_NoMemory();
    for (Py_ssize_t number = 0; number < self->patterns_length; number++)
        if (!read_pattern(PyTuple_GET_ITEM(patterns, number), &self->patterns[number])) return Py_DECREF(self), NULL;
    for (Py_ssize_t number = 0; number < self->nodes_length; number++)
        if (!read_node(self, PyTuple_GET_ITEM(nodes, number), &self->nodes[number])) return Py_DECREF(self), NULL;
    return (PyObject *)self;
}

static PyTypeObject acceptor_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "catchment.schemas._accept.Acceptor",
    .tp_doc = "Acceptor(nodes, patterns)(document): whether the document is surely valid.",
    .tp_basicsize = sizeof(Acceptor),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_new = make,
    .tp_dealloc = drop,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Acceptor, call),
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_accept", "Accepts documents that are surely valid.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__accept(void) {
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddType(made, &acceptor_type) < 0) Py_CLEAR(made);
    return made;
}
