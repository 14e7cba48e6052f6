/* The loops over tables of document ids: deciding over a batch, merging journals, filling an index.

   What they do is told in `marking.py`, `sightings.py` and `idtable.py`, which do the same in Python; the files' layout
   is in `idtable.py`. The tests hold the two together, byte for byte.

       mark(sightings, half_ns, window_ns, tables, repeat)   tables: a sequence of (half-window, index, entries, journal)
       merge(index, entries, records)
       fill(index, entries, ids)

   `index` and `entries` are mapped files, `journal` is a bytearray. The caller holds the lock of `Deduplicator` and has
   made room for all ids that may be new. A place of the index is far from the last one, so each costs a trip to the
   memory: a block of keys is hashed and its places asked for before the first of them is read.

   Maps that contradict themselves raise LookupError, with the half-window as its argument; nothing outside them is
   touched. An entry is written before the count of entries, and that before its place, for a process may be killed
   between any two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || !defined(__SIZEOF_INT128__)
#error "the files are little-endian and keys are hashed with 128-bit integers; Python alone does that here"
#endif

enum { KEY_BYTES = 24, HEAD_BYTES = 64, BLOCK = 64, NEAR = 5, NUMBER_BITS = 40, TAG_SHIFT = 61 - 24 };
#define NUMBERS (1ULL << NUMBER_BITS)

typedef __int128 Wide; /* a distance between any two times */

typedef struct {
    int64_t earliest_ns, latest_ns;
    uint32_t topic, partition;
    int64_t offset;
} Slot;

typedef struct {
    unsigned char key[KEY_BYTES];
    Slot slot;
} Entry;
_Static_assert(sizeof(Entry) == 56, "an entry has no gaps");

typedef struct {
    long long number;
    Py_buffer index, entries; /* `obj` is NULL while not held */
    uint64_t *places, places_count, secret;
    uint64_t *ids; /* in the head of the entries */
    Entry *first;
    uint64_t room; /* entries that the map holds */
    PyObject *journal;
} Table;

typedef struct {
    uint64_t at, tag;
} Probe;

/* tables */

static int damaged(const Table *table) {
    PyObject *number = PyLong_FromLongLong(table->number);
    if (number != NULL) PyErr_SetObject(PyExc_LookupError, number);
    Py_XDECREF(number);
    return -1;
}

static void let_go(Table *table) {
    if (table->index.obj != NULL) PyBuffer_Release(&table->index);
    if (table->entries.obj != NULL) PyBuffer_Release(&table->entries);
}

static int hold(Table *table, PyObject *index, PyObject *entries) {
    if (PyObject_GetBuffer(index, &table->index, PyBUF_WRITABLE) < 0) return -1;
    if (PyObject_GetBuffer(entries, &table->entries, PyBUF_WRITABLE) < 0) return -1;
    if (table->index.len < HEAD_BYTES || table->entries.len < HEAD_BYTES) return damaged(table);
    uint64_t *head = table->index.buf;
    table->secret = head[1];
    table->places_count = head[2];
    table->places = head + HEAD_BYTES / 8;
    table->ids = (uint64_t *)table->entries.buf + 1;
    table->first = (Entry *)((char *)table->entries.buf + HEAD_BYTES);
    table->room = (uint64_t)(table->entries.len - HEAD_BYTES) / sizeof(Entry);
    if (table->room >= NUMBERS) table->room = NUMBERS - 1;
    if (!table->secret || !table->places_count || *table->ids > table->room) return damaged(table);
    return (uint64_t)(table->index.len - HEAD_BYTES) / 8 == table->places_count ? 0 : damaged(table);
}

/* Where the search for a key begins. Asks the memory for that place. */
static inline Probe probe(const Table *table, const unsigned char *key) {
    uint64_t low, middle;
    memcpy(&low, key, 8);
    memcpy(&middle, key + 8, 8);
    uint64_t rest = (uint64_t)(((unsigned __int128)key[16] << 64 | middle) % table->secret);
    uint64_t spread = (uint64_t)(((unsigned __int128)rest << 64 | low) % table->secret);
    Probe found = {spread % table->places_count, spread >> TAG_SHIFT << NUMBER_BITS};
    __builtin_prefetch(table->places + found.at);
    return found;
}

/* Ask the memory for the first entry that may be the key's. */
static inline void fetch(const Table *table, Probe from) {
    for (uint64_t place; (place = table->places[from.at]) != 0;) {
        if ((place ^ from.tag) < NUMBERS) {
            uint64_t number = place ^ from.tag;
            if (number == 0 || number > table->room) return;
            __builtin_prefetch(table->first + number - 1);
            __builtin_prefetch((char *)(table->first + number) - 1);
            return;
        }
        if (++from.at == table->places_count) return;
    }
}

/* The entry of a key; NULL when there is none, and `from` is then the free place that it may have. Returns -1 for an
   index without a free place, or with one that points nowhere. */
static inline int find(const Table *table, const unsigned char *key, Probe *from, Entry **entry) {
    for (uint64_t steps = 0; steps < table->places_count; steps++) {
        uint64_t place = table->places[from->at];
        if (place == 0) {
            *entry = NULL;
            return 0;
        }
        if ((place ^ from->tag) < NUMBERS) {
            uint64_t number = place ^ from->tag;
            if (number == 0 || number > table->room) return -1;
            *entry = table->first + number - 1;
            if (memcmp((*entry)->key, key, KEY_BYTES) == 0) return 0;
        }
        if (++from->at == table->places_count) from->at = 0;
    }
    return -1;
}

/* Enter a key that `find` did not find. Returns -1 when there is no room. */
static inline int enter(Table *table, Probe at, const Entry *entry) {
    uint64_t ids = *table->ids;
    if (ids >= table->room) return -1;
    table->first[ids] = *entry;
    __atomic_store_n(table->ids, ids + 1, __ATOMIC_RELEASE);
    __atomic_store_n(table->places + at.at, at.tag | (ids + 1), __ATOMIC_RELEASE);
    return 0;
}

static inline void widen(Slot *slot, const Slot *other) {
    if (other->earliest_ns < slot->earliest_ns) {
        __atomic_store_n(&slot->earliest_ns, other->earliest_ns, __ATOMIC_RELEASE);
    }
    if (other->latest_ns > slot->latest_ns) __atomic_store_n(&slot->latest_ns, other->latest_ns, __ATOMIC_RELEASE);
}

/* mark */

typedef struct {
    Entry entry; /* as it is entered when nothing is known of it */
    int64_t home;
    Probe probes[NEAR]; /* of half-windows home - 2 to home + 2, those that have a table */
} Sighting;

static int read_sighting(PyObject *from, int64_t half_ns, Sighting *sighting) {
    if (!PyTuple_Check(from) || PyTuple_GET_SIZE(from) != 5) {
        PyErr_SetString(PyExc_TypeError, "a sighting is (key, submission_ns, topic, partition, offset)");
        return -1;
    }
    PyObject *key = PyTuple_GET_ITEM(from, 0);
    if (!PyBytes_Check(key) || PyBytes_GET_SIZE(key) != KEY_BYTES) {
        PyErr_SetString(PyExc_TypeError, "a key is 24 bytes");
        return -1;
    }
    memcpy(sighting->entry.key, PyBytes_AS_STRING(key), KEY_BYTES);
    int64_t time_ns = PyLong_AsLongLong(PyTuple_GET_ITEM(from, 1));
    if (time_ns == -1 && PyErr_Occurred()) return -1;
    unsigned long topic = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(from, 2));
    if (topic == (unsigned long)-1 && PyErr_Occurred()) return -1;
    unsigned long partition = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(from, 3));
    if (partition == (unsigned long)-1 && PyErr_Occurred()) return -1;
    int64_t offset = PyLong_AsLongLong(PyTuple_GET_ITEM(from, 4));
    if (offset == -1 && PyErr_Occurred()) return -1;
    if (topic > UINT32_MAX || partition > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "topic and partition of a sighting must be below 2^32");
        return -1;
    }
    sighting->entry.slot = (Slot){time_ns, time_ns, (uint32_t)topic, (uint32_t)partition, offset};
    sighting->home = time_ns / half_ns - (time_ns % half_ns < 0);
    return 0;
}

static int journal(const Table *table, const Entry *entry) {
    Py_ssize_t used = PyByteArray_GET_SIZE(table->journal);
    if (PyByteArray_Resize(table->journal, used + (Py_ssize_t)sizeof(Entry)) < 0) return -1;
    memcpy(PyByteArray_AS_STRING(table->journal) + used, entry, sizeof(Entry));
    return 0;
}

static inline Wide distance(int64_t one, int64_t other) {
    Wide difference = (Wide)one - other;
    return difference < 0 ? -difference : difference;
}

/* The tables of half-windows home - 2 to home + 2; NULL for those that are not there. */
static void choose(Table *tables, Py_ssize_t count, int64_t home, Table **near) {
    for (int at = 0; at < NEAR; at++) near[at] = NULL;
    for (Py_ssize_t number = 0; number < count; number++) {
        Wide away = (Wide)tables[number].number - home;
        if (away >= -(NEAR / 2) && away <= NEAR / 2) near[(int)away + NEAR / 2] = tables + number;
    }
}

/* What is known of the sighting changes the tables and their journals. Returns a new reference. */
static PyObject *decide(Sighting *sighting, Table **near, int64_t window_ns, PyObject *repeat) {
    const int home = NEAR / 2;
    Entry *found[NEAR] = {NULL}, *own = NULL, *made = &sighting->entry;
    int64_t time_ns = made->slot.earliest_ns;
    int is_known = 0;
    Wide delta_ns = 0;
    if (near[home] == NULL) {
        PyErr_SetString(PyExc_ValueError, "a sighting's own half-window has no table");
        return NULL;
    }
    for (int at = 0; at < NEAR; at++) {
        if (near[at] == NULL) continue;
        if (find(near[at], made->key, &sighting->probes[at], &found[at]) < 0) {
            damaged(near[at]);
            return NULL;
        }
        if (found[at] == NULL) continue;
        if (at == home) own = found[at];
        const Slot *slot = &found[at]->slot;
        if (slot->earliest_ns - (Wide)window_ns > time_ns || time_ns > slot->latest_ns + (Wide)window_ns) {
            found[at] = NULL;
            continue;
        }
        Wide first = distance(time_ns, slot->earliest_ns), last = distance(time_ns, slot->latest_ns);
        Wide nearest = first < last ? first : last;
        if (!is_known || nearest < delta_ns) delta_ns = nearest;
        is_known = 1;
    }
    int is_accepted = !is_known;
    if (found[home] != NULL) {
        Slot *slot = &found[home]->slot;
        is_accepted = slot->topic == made->slot.topic && slot->partition == made->slot.partition &&
                      slot->offset == made->slot.offset;
        if (!is_accepted) widen(slot, &made->slot);
    } else {
        if (is_known) made->slot = (Slot){time_ns, time_ns, 0, 0, -1};
        if (own != NULL) { /* of another length of the window */
            own->slot = made->slot;
        } else if (enter(near[home], sighting->probes[home], made) < 0) {
            damaged(near[home]);
            return NULL;
        }
        found[home] = made;
    }
    for (int at = 0; at < NEAR; at++) {
        if (found[at] != NULL && journal(near[at], found[at]) < 0) return NULL;
    }
    if (is_accepted) Py_RETURN_NONE;
    PyObject *delta = PyLong_FromLongLong((long long)delta_ns);
    if (delta == NULL) return NULL;
    PyObject *outcome = PyObject_CallOneArg(repeat, delta);
    Py_DECREF(delta);
    return outcome;
}

/* Decide over up to BLOCK sightings and put the outcomes into the list, from `begin`. */
static int decide_block(
    Sighting *block, Py_ssize_t size, Table *tables, Py_ssize_t count, int64_t window_ns, PyObject *repeat,
    PyObject *outcomes, Py_ssize_t begin) {
    Table *near[NEAR];
    for (int pass = 0; pass < 3; pass++) {
        for (Py_ssize_t number = 0; number < size; number++) {
            Sighting *sighting = block + number;
            if (number == 0 || sighting->home != block[number - 1].home) choose(tables, count, sighting->home, near);
            for (int at = 0; at < NEAR && pass < 2; at++) {
                if (near[at] == NULL) continue;
                if (pass == 0) {
                    sighting->probes[at] = probe(near[at], sighting->entry.key);
                } else {
                    fetch(near[at], sighting->probes[at]);
                }
            }
            if (pass < 2) continue;
            PyObject *outcome = decide(sighting, near, window_ns, repeat);
            if (outcome == NULL) return -1;
            PyList_SET_ITEM(outcomes, begin + number, outcome);
        }
    }
    return 0;
}

static PyObject *decide_all(
    PyObject *sightings, int64_t half_ns, int64_t window_ns, Table *tables, Py_ssize_t count, PyObject *repeat) {
    Py_ssize_t size = PySequence_Fast_GET_SIZE(sightings);
    Sighting *read = PyMem_New(Sighting, size ? size : 1);
    PyObject *outcomes = read == NULL ? PyErr_NoMemory() : PyList_New(size);
    for (Py_ssize_t number = 0; outcomes != NULL && number < size; number++) {
        if (read_sighting(PySequence_Fast_GET_ITEM(sightings, number), half_ns, read + number) < 0) Py_CLEAR(outcomes);
    }
    for (Py_ssize_t begin = 0; outcomes != NULL && begin < size; begin += BLOCK) {
        Py_ssize_t some = size - begin < BLOCK ? size - begin : BLOCK;
        if (decide_block(read + begin, some, tables, count, window_ns, repeat, outcomes, begin) < 0) {
            Py_CLEAR(outcomes);
        }
    }
    PyMem_Free(read);
    return outcomes;
}

static PyObject *mark(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *sightings, *given, *repeat, *outcomes = NULL;
    long long half_ns, window_ns;
    if (!PyArg_ParseTuple(args, "OLLO!O", &sightings, &half_ns, &window_ns, &PyTuple_Type, &given, &repeat)) return NULL;
    if (half_ns <= 0 || window_ns < half_ns) {
        PyErr_SetString(PyExc_ValueError, "a window is at least a half-window, and that more than nothing");
        return NULL;
    }
    if ((sightings = PySequence_Fast(sightings, "sightings must be a sequence")) == NULL) return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(given), held = 0;
    Table *tables = PyMem_Calloc(count ? count : 1, sizeof(Table));
    if (tables == NULL) PyErr_NoMemory();
    for (; tables != NULL && held < count; held++) {
        Table *table = tables + held;
        PyObject *index, *entries;
        if (!PyArg_ParseTuple(
                PyTuple_GET_ITEM(given, held), "LOOO!", &table->number, &index, &entries, &PyByteArray_Type,
                &table->journal) ||
            hold(table, index, entries) < 0) {
            break;
        }
    }
    if (tables != NULL && held == count) outcomes = decide_all(sightings, half_ns, window_ns, tables, count, repeat);
    for (Py_ssize_t number = 0; tables != NULL && number < count; number++) let_go(tables + number);
    PyMem_Free(tables);
    Py_DECREF(sightings);
    return outcomes;
}

/* merge and fill */

static int merge_all(Table *table, const Entry *records, Py_ssize_t count) {
    Probe probes[BLOCK];
    for (Py_ssize_t begin = 0; begin < count; begin += BLOCK) {
        Py_ssize_t some = count - begin < BLOCK ? count - begin : BLOCK;
        for (Py_ssize_t at = 0; at < some; at++) probes[at] = probe(table, records[begin + at].key);
        for (Py_ssize_t at = 0; at < some; at++) fetch(table, probes[at]);
        for (Py_ssize_t at = 0; at < some; at++) {
            Entry record = records[begin + at], *found;
            if (find(table, record.key, &probes[at], &found) < 0) return -1;
            if (found == NULL) {
                if (enter(table, probes[at], &record) < 0) return -1;
                continue;
            }
            widen(&found->slot, &record.slot);
            if (record.slot.offset < 0) continue;
            found->slot.topic = record.slot.topic;
            found->slot.partition = record.slot.partition;
            found->slot.offset = record.slot.offset;
        }
    }
    return 0;
}

static PyObject *merge(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *index, *entries;
    const char *records;
    Py_ssize_t size;
    Table table = {0};
    if (!PyArg_ParseTuple(args, "OOy#", &index, &entries, &records, &size)) return NULL;
    int outcome = hold(&table, index, entries);
    if (outcome == 0) {
        Py_BEGIN_ALLOW_THREADS
        outcome = merge_all(&table, (const Entry *)records, size / (Py_ssize_t)sizeof(Entry));
        Py_END_ALLOW_THREADS
        if (outcome < 0) damaged(&table);
    }
    let_go(&table);
    if (outcome < 0) return NULL;
    Py_RETURN_NONE;
}

static int fill_all(Table *table, uint64_t ids) {
    Probe probes[BLOCK];
    if (ids > table->room || ids >= table->places_count) return -1;
    for (uint64_t begin = 0; begin < ids; begin += BLOCK) {
        uint64_t some = ids - begin < BLOCK ? ids - begin : BLOCK;
        for (uint64_t at = 0; at < some; at++) probes[at] = probe(table, table->first[begin + at].key);
        for (uint64_t at = 0; at < some; at++) {
            uint64_t place = probes[at].at;
            while (table->places[place]) place = place + 1 == table->places_count ? 0 : place + 1;
            table->places[place] = probes[at].tag | (begin + at + 1);
        }
    }
    return 0;
}

static PyObject *fill(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *index, *entries;
    unsigned long long ids;
    Table table = {0};
    if (!PyArg_ParseTuple(args, "OOK", &index, &entries, &ids)) return NULL;
    int outcome = hold(&table, index, entries);
    if (outcome == 0) {
        Py_BEGIN_ALLOW_THREADS
        outcome = fill_all(&table, ids);
        Py_END_ALLOW_THREADS
        if (outcome < 0) damaged(&table);
    }
    let_go(&table);
    if (outcome < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"mark", mark, METH_VARARGS, "Decide over a batch of sightings."},
    {"merge", merge, METH_VARARGS, "Merge the records of a journal into a table."},
    {"fill", fill, METH_VARARGS, "Enter the first ids of the entries into an empty index."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_idtable", "The loops over tables of document ids; see catchment/ingestion/idtable.py.", -1,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__idtable(void) { return PyModule_Create(&module); }
