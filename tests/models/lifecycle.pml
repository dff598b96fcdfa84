/* The lifecycle without numbers: what holds of it in whatever time things happen. A timer is a process that may
 * fire whenever its operation runs; a component may return with any result, late, or never. Checked by
 * scripts/test-model for both graphs of two components; restarts are left out.
 *
 *   -DN=2         components
 *   -DEDGES=5     bit of pair (i, k), k < i, at i(i-1)/2 + k: i needs k
 *   -DEND         all time may be over at any moment of a stop
 */
#ifndef N
#define N 2
#endif
#ifndef EDGES
#define EDGES 0
#endif

#define NEEDS(i, k) ((k) < (i) && ((EDGES >> ((i) * ((i) - 1) / 2 + (k))) & 1))

mtype = {STARTING, RUNNING, STOPPING, EXITED}; /* the phase */
mtype = {NEW, IN_START, UP, IN_STEPS, ENDED};  /* of a component */
mtype = {UNKNOWN, CLEAN, FAILED, ABANDONED, SKIPPED};
mtype = {KEPT, DESTROYING, DESTROYED, LEFT};

/* Operations, in their order. */
#define START 0
#define QUIESCE 1
#define DRAIN 2
#define FINISH 3
#define DESTROY 4
#define NOTHING 5

/* What the engine knows. */
mtype phase = STARTING;
bool announced, over;
byte signals;
mtype state[N] = NEW;
mtype memory[N] = KEPT;
byte running[N] = NOTHING; /* also when it was given up */
bool given_up[N], was_up[N], drained[N], stuck[N];

/* What an onlooker sees: who has called what, and what came of it. */
#define SEEN(c, op) seen[(c) * 5 + (op)]
#define OUTCOME(c, op) outcome[(c) * 5 + (op)]
bool seen[N * 5];
mtype outcome[N * 5] = UNKNOWN;
bool hangs[N]; /* for ever */
bool works[N]; /* something of it may still use what it needs */
byte exits;

byte i, k, op; /* of the loops; used in atomic steps only */
bool changed, may;

inline set_outcome(c, what, value)
{
    assert(OUTCOME(c, what) == UNKNOWN); /* at most one, and it never changes */
    OUTCOME(c, what) = value;
}

inline skip_rest(c, first)
{
    op = first;
    do
    :: op <= FINISH -> if :: OUTCOME(c, op) == UNKNOWN -> set_outcome(c, op, SKIPPED) :: else fi; op++
    :: else -> break
    od
}

/* ---- Calls, and what must hold of each ---- */

inline check_call(c, what)
{
    assert(phase != EXITED);
    assert(running[c] == NOTHING && !SEEN(c, what)); /* one at a time, each once */
    if
    :: what == START ->
        assert(phase == STARTING);
        for (k : 0 .. N - 1) { assert(!NEEDS(c, k) || (state[k] == UP && OUTCOME(k, START) == CLEAN)) }
    :: what == DESTROY ->
        assert(phase == STOPPING && !works[c]);
        assert(!SEEN(c, QUIESCE) || OUTCOME(c, DRAIN) != SKIPPED);
        for (k : 0 .. N - 1) { assert(!NEEDS(k, c) || memory[k] == DESTROYED) }
        for (k : 0 .. N - 1) { assert(!NEEDS(k, c) || !works[k]) }
    :: else ->
        assert(phase == STOPPING && OUTCOME(c, START) == CLEAN);
        assert(what == QUIESCE || (SEEN(c, what - 1) && OUTCOME(c, what - 1) != UNKNOWN));
        /* Before whom it serves has ended or is out of time, it does not stop. */
        for (k : 0 .. N - 1) { assert(what != QUIESCE || !NEEDS(k, c) || OUTCOME(k, FINISH) != UNKNOWN) }
        assert(what != QUIESCE || announced);
    fi
}

inline call(c, what)
{
    check_call(c, what);
    SEEN(c, what) = true;
    given_up[c] = false;
    running[c] = what;
    works[c] = true
}

/* ---- The engine ---- */

inline start_who_can()
{
    for (i : 0 .. N - 1) {
        may = state[i] == NEW;
        for (k : 0 .. N - 1) { may = may && (!NEEDS(i, k) || state[k] == UP) }
        if :: may -> state[i] = IN_START; call(i, START) :: else fi
    }
    may = true;
    for (i : 0 .. N - 1) { may = may && state[i] == UP }
    if :: may && phase == STARTING -> phase = RUNNING :: else fi
}

inline stop_who_can()
{
    for (i : 0 .. N - 1) {
        may = state[i] == UP && announced; /* TURN */
        for (k : 0 .. N - 1) { may = may && (!NEEDS(k, i) || state[k] == ENDED) } /* DEPENDANTS */
        if
        :: may && over -> state[i] = ENDED; skip_rest(i, QUIESCE); changed = true
        :: may && !over -> state[i] = IN_STEPS; call(i, QUIESCE); changed = true
        :: else
        fi
    }
}

inline destroy_who_can()
{
    for (i : 0 .. N - 1) {
        may = state[i] == ENDED && memory[i] == KEPT && !over;
        may = may && running[i] == NOTHING; /* RUNS */
        may = may && !stuck[i]; /* STUCK */
        may = may && (!was_up[i] || drained[i]); /* DRAINED */
        for (k : 0 .. N - 1) { may = may && (!NEEDS(k, i) || memory[k] == DESTROYED) } /* HELD */
        if :: may -> memory[i] = DESTROYING; call(i, DESTROY); changed = true :: else fi
    }
}

inline check_exit()
{
    exits++;
    assert(exits == 1);
    for (i : 0 .. N - 1) {
        for (op : START .. FINISH) { assert(signals == 3 || OUTCOME(i, op) != UNKNOWN) }
        /* Whoever returned in its time has finished, whatever others do. */
        assert(signals == 3 || over || !SEEN(i, DRAIN) || OUTCOME(i, DRAIN) == ABANDONED || SEEN(i, FINISH))
    }
}

inline leave()
{
    check_exit();
    phase = EXITED
}

inline leave_if_done()
{
    may = true;
    for (i : 0 .. N - 1) { may = may && state[i] == ENDED && memory[i] != DESTROYING }
    if :: may -> leave() :: else fi
}

/* A stop waits for the announcement, or for something that runs and has a timer. */
inline check_waits_for_something()
{
    may = !announced;
    for (i : 0 .. N - 1) { may = may || (running[i] != NOTHING && !given_up[i]) }
    assert(phase != STOPPING || may)
}

inline advance()
{
    if
    :: phase == STARTING -> start_who_can()
    :: phase == STOPPING ->
        changed = true;
        do
        :: changed -> changed = false; stop_who_can(); destroy_who_can()
        :: else -> break
        od;
        leave_if_done();
        check_waits_for_something()
    :: else
    fi
}

inline begin_stop()
{
    if
    :: phase == STARTING || phase == RUNNING ->
        announced = phase == STARTING; /* nobody was told that it is there */
        phase = STOPPING;
        for (i : 0 .. N - 1) {
            if :: state[i] == NEW -> state[i] = ENDED; skip_rest(i, START) :: else fi
        }
    :: else
    fi
}

inline end_part(c)
{
    state[c] = ENDED
}

inline give_up(c)
{
    given_up[c] = true;
    if
    :: running[c] == DESTROY -> memory[c] = LEFT
    :: else -> set_outcome(c, running[c], ABANDONED); skip_rest(c, running[c] + 1); end_part(c)
    fi
}

inline returned(c, value, left_work)
{
    op = running[c];
    running[c] = NOTHING;
    works[c] = left_work;
    if
    :: op == DESTROY -> memory[c] = DESTROYED
    :: op == START ->
        was_up[c] = was_up[c] || value == CLEAN;
        if
        :: state[c] == ENDED /* too late */
        :: state[c] != ENDED && value == CLEAN -> set_outcome(c, START, CLEAN); state[c] = UP
        :: else -> set_outcome(c, START, FAILED); skip_rest(c, QUIESCE); end_part(c); begin_stop()
        fi
    :: else ->
        drained[c] = drained[c] || op == DRAIN;
        stuck[c] = stuck[c] || left_work;
        if
        :: state[c] == ENDED /* LATE */
        :: else ->
            set_outcome(c, op, value);
            if
            :: op == FINISH -> end_part(c)
            :: op != FINISH && over -> skip_rest(c, op + 1); end_part(c)
            :: else -> call(c, op + 1)
            fi
        fi
    fi
}

/* ---- The world ---- */

proctype component(byte c)
{
end:
    do
    :: atomic { phase != EXITED && running[c] != NOTHING && !hangs[c] ->
        if
        :: returned(c, CLEAN, false)
        :: running[c] != DESTROY -> returned(c, FAILED, false)
        :: running[c] == DRAIN -> returned(c, CLEAN, true)
        :: hangs[c] = true
        fi;
        advance() }
    od
}

proctype timer(byte c)
{
end:
    do
    :: atomic { phase != EXITED && running[c] != NOTHING && !given_up[c] -> /* TIMER */
        if
        :: phase == STARTING -> begin_stop()
        :: else -> give_up(c)
        fi;
        advance() }
    od
}

proctype announcement()
{
end:
    do
    :: atomic { phase == STOPPING && !announced -> announced = true; advance() }
    od
}

/* May fire; need not: a stop ends by the timers alone. */
proctype deadline()
{
end:
    if
    :: atomic { phase == STOPPING ->
        over = true;
        for (i : 0 .. N - 1) {
            if
            :: running[i] != NOTHING && !given_up[i] -> give_up(i)
            :: else
            fi
        }
        advance() }
    :: phase == STOPPING
    fi
}

proctype user()
{
end:
    do
    :: signals < 3 ->
        if
        :: atomic { phase != EXITED ->
            signals++;
            if
            :: phase != STOPPING -> begin_stop()
            :: phase == STOPPING && signals == 2 -> announced = true
            :: phase == STOPPING && signals == 3 -> leave()
            :: else
            fi;
            advance() }
        :: break
        fi
    :: else -> break
    od
}

proctype failure(byte c)
{
end:
    if
    :: atomic { state[c] == UP && phase != EXITED -> begin_stop(); advance() }
    :: true
    fi
}

init {
    atomic {
        for (i : 0 .. N - 1) { run component(i); run timer(i) }
        run announcement();
#ifdef END
        run deadline();
#endif
        run user();
        run failure(0);
        advance()
    }
}

ltl a_stop_ends { [] (phase == STOPPING -> <> (phase == EXITED)) }
