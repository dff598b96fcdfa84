/* The lifecycle without numbers: what holds of it in whatever time things happen. A component may return with any
 * result, late, or never; a timer may fire whenever its operation runs; the deadline may pass at any time in a stop.
 * Checked by scripts/test-model.
 *
 *   -DN=3            components: all graphs that differ in more than names, with and without an announcer
 *   -DRESTARTS=1     how often each may be restarted
 *   -DDEADLINE       the deadline may pass before all have ended
 *
 * Two halves share nothing but events: the engine, as in framework/src/lifecycle/engine*.c, and an onlooker, who knows
 * what was called and what came back, and asserts the invariants of tests/unit/lifecycle/invariants.h, by their names.
 * S6, S7 and L5 are about numbers; S8 is so by construction, as a limit without numbers is there or is over. */
#ifndef N
#define N 3
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif

/* Bit of pair (i, k), k < i, at i(i-1)/2 + k: i needs k. */
byte edges;
byte announcer = N; /* N: nobody is */
#define NEEDS(i, k) ((k) < (i) && ((edges >> ((i) * ((i) - 1) / 2 + (k))) & 1))
#define EACH(c) c : 0 .. N - 1

#define BOOTING 0 /* the phases */
#define RUNNING 1
#define STOPPING 2
#define EXITED 3

#define NEW 0 /* a component; STEPS: quiesce, drain or finish runs */
#define STARTING 1
#define UP 2
#define STEPS 3
#define BACKOFF 4
#define WAITING 5 /* the back-off is over */
#define ENDED 6

#define START 0 /* the operations, in their order */
#define QUIESCE 1
#define DRAIN 2
#define FINISH 3
#define DESTROY 4
#define NOTHING 5

#define KEPT 0 /* destroy */
#define DESTROYING 1
#define DESTROYED 2
#define LEFT 3

#define NO_CAUSE 0
#define ASKED 1
#define BAD_START 2
#define COMPONENT 3

/* ---- What the engine knows ---- */

byte phase, cause, signals, exits;
bool announced, over;
byte state[N], memory[N], restarts[N], outcomes[N]; /* outcomes: bits of operations */
byte running[N] = NOTHING;                          /* also when it was given up */
bool given_up[N], was_up[N], drained[N], stuck[N], failed[N], unclean[N], not_clean;

/* ---- What an onlooker sees ---- */

#define DOWN 0 /* never up, or between two starts */
#define COMING 1
#define SERVES 2
#define QUIESCED 3
#define DRAINED 4
#define FINISHED 5
#define GONE 6 /* for those whom it needs: it has ended, or is out of time */

byte seen[N];
bool works[N];    /* something of it may use what it needs */
bool undrained[N];     /* was up, and no drain has returned */
bool lost[N];     /* of this cycle: an error, lost work, out of time */
bool complains[N], harm; /* harm: what was lost by those that are gone */

#define GOOD 1 /* what the world does */
#define BAD 2
#define STUCK 3
#define FAILS 4
#define SIGNAL 5
#define STOP 6
#define TIMER 7
#define BACK 8
#define QUIET 9
#define TIME_OVER 10

chan hear = [0] of {byte, byte}; /* event, component */

hidden byte event, who, i, k, op, late, want; /* of a moment */
hidden byte may, all, none;

/* ---- Calls, and what must hold of each ---- */

inline check_turn(c)
{
    assert(seen[c] == SERVES);                                          /* S12, S3 */
    if
    :: phase == STOPPING ->
        for (EACH(k)) { assert(!NEEDS(k, c) || seen[k] == GONE) }       /* S2 */
        assert(announced || c == announcer)                             /* S13 */
    :: else -> assert(phase == RUNNING && complains[c])                 /* S3: a restart needs a failure */
    fi
}

inline check_call(c, what)
{
    assert(phase != EXITED && !over);                                   /* S10, L1 */
    assert(running[c] == NOTHING && !works[c] || what == FINISH);       /* S3: one at a time; stuck work may go on */
    assert(running[c] == NOTHING);
    if
    :: what == START ->
        assert(phase != STOPPING && seen[c] == DOWN);                   /* S1, S3 */
        for (EACH(k)) { assert(!NEEDS(c, k) || seen[k] == SERVES) }     /* S1 */
        seen[c] = COMING
    :: what == QUIESCE -> check_turn(c); seen[c] = QUIESCED
    :: what == DRAIN -> assert(seen[c] == QUIESCED); seen[c] = DRAINED  /* S3 */
    :: what == FINISH -> assert(seen[c] == DRAINED); seen[c] = FINISHED /* S3 */
    :: what == DESTROY ->
        assert(phase == STOPPING && seen[c] == GONE && memory[c] == KEPT); /* S4 */
        assert(!works[c] && !undrained[c]);                                  /* S4 */
        for (EACH(k)) { assert(!NEEDS(k, c) || (memory[k] == DESTROYED && !works[k])) } /* S4 */
    fi;
    works[c] = true
}

inline call(c, what)
{
    check_call(c, what);
    given_up[c] = false;
    running[c] = what
}

inline set_outcome(c, what)
{
    assert(!(outcomes[c] >> (what) & 1)); /* S9 */
    outcomes[c] = outcomes[c] | 1 << (what)
}

inline skip_rest(c, first)
{
    op = first;
    do
    :: op <= FINISH && !(outcomes[c] >> op & 1) -> set_outcome(c, op); op++
    :: op <= FINISH && (outcomes[c] >> op & 1) -> op++
    :: else -> break
    od
}

/* Of those that have ended one account is kept for all: fewer states. */
inline end_part(c)
{
    state[c] = ENDED;
    not_clean = not_clean || unclean[c];
    unclean[c] = false
}

inline is_gone(c)
{
    seen[c] = GONE;
    harm = harm || lost[c];
    lost[c] = false
}

/* ---- The engine ---- */

inline begin_stop(why)
{
    if
    :: phase == BOOTING || phase == RUNNING ->
        assert(cause == NO_CAUSE); /* S10 */
        cause = why;
        announced = phase == BOOTING; /* nobody was told that it is there */
        phase = STOPPING;
        for (EACH(i)) {
            if
            :: state[i] == NEW || state[i] == BACKOFF || state[i] == WAITING ->
                if
                :: state[i] != NEW -> outcomes[i] = 1; unclean[i] = false
                :: else
                fi;
                skip_rest(i, START);
                end_part(i)
            :: else
            fi;
            if
            :: seen[i] == DOWN && !works[i] -> lost[i] = false; is_gone(i)
            :: else
            fi;
            restarts[i] = 0; failed[i] = false; complains[i] = false /* of no more use */
        }
    :: else
    fi
}

inline start_who_can()
{
    all = true;
    for (EACH(i)) {
        may = state[i] == NEW || state[i] == WAITING;
        for (EACH(k)) { may = may && (!NEEDS(i, k) || state[k] == UP) } /* NEEDS-UP */
        if
        :: may ->
            state[i] = STARTING;
            outcomes[i] = 0;
            was_up[i] = false; drained[i] = false; stuck[i] = false; failed[i] = false; unclean[i] = false;
            undrained[i] = false; lost[i] = false; complains[i] = false;
            call(i, START)
        :: else
        fi;
        all = all && state[i] == UP
    }
    if
    :: all && phase == BOOTING -> /* READY */
        phase = RUNNING;
        for (EACH(i)) { assert(seen[i] == SERVES) } /* S1 */
    :: else
    fi
}

inline stop_who_can()
{
    i = N;
    do
    :: i > 0 ->
        i--;
        may = state[i] == UP;
        may = may && (announced || i == announcer); /* ANNOUNCED */
        for (EACH(k)) { may = may && (!NEEDS(k, i) || state[k] == ENDED) } /* DEPENDANTS */
        if
        :: may && over -> skip_rest(i, QUIESCE); unclean[i] = true; end_part(i); lost[i] = true; is_gone(i)
        :: may && !over -> state[i] = STEPS; call(i, QUIESCE)
        :: else
        fi
    :: else -> break
    od
}

inline destroy_who_can()
{
    i = N;
    do
    :: i > 0 ->
        i--;
        may = state[i] == ENDED && memory[i] == KEPT && !over;
        may = may && running[i] == NOTHING; /* RUNS */
        may = may && !stuck[i]; /* STUCK */
        may = may && (!was_up[i] || drained[i]); /* DRAINED */
        for (EACH(k)) { may = may && (!NEEDS(k, i) || memory[k] == DESTROYED) } /* HELD */
        if
        :: may -> call(i, DESTROY); memory[i] = DESTROYING
        :: else
        fi
    :: else -> break
    od
}

/* `third`: nobody has to have ended. */
inline leave(third)
{
    all = !not_clean; /* clean, by the engine's account */
    none = !harm;     /* clean, as seen */
    may = false;      /* something runs, by the engine's account */
    exits++;
    assert(exits == 1); /* S10 */
    for (EACH(i)) {
        if :: running[i] != NOTHING && running[i] != DESTROY && !given_up[i] -> unclean[i] = true :: else fi;
        if :: third && state[i] != ENDED && was_up[i] -> unclean[i] = true :: else fi;
        all = all && !unclean[i] && running[i] == NOTHING && !stuck[i]; /* STATUS */
        may = may || running[i] != NOTHING || stuck[i]; /* FORCED */
        none = none && !lost[i] && !works[i] && !(third && seen[i] != GONE && seen[i] != COMING);
        assert(third || seen[i] == GONE);                                    /* L4 */
        assert(third || (outcomes[i] & 15) == 15);                             /* S9 */
        if                                                                   /* S5 */
        :: !third && !over && memory[i] == KEPT ->
            op = works[i] || undrained[i];
            for (EACH(k)) { op = op || (NEEDS(k, i) && memory[k] != DESTROYED) }
            assert(op)
        :: else
        fi
    }
    assert(cause != ASKED || all == none);                                   /* S11 */
    op = false;
    for (EACH(i)) { op = op || works[i] }
    assert(may == op);                                                       /* S11: forced */
    phase = EXITED;
    for (EACH(i)) { /* one state for all that is over */
        state[i] = 0; memory[i] = 0; outcomes[i] = 0; running[i] = 0; given_up[i] = 0; was_up[i] = 0; drained[i] = 0;
        stuck[i] = 0; unclean[i] = 0; seen[i] = 0; works[i] = 0; undrained[i] = 0; lost[i] = 0
    }
    not_clean = 0; harm = 0; cause = 0; signals = 0; announced = 0; over = 0
}

/* A stop waits for the announcement, or for something that runs and has a timer; nobody's turn is missed. */
inline check_progress()
{
    may = false;
    for (EACH(i)) {
        may = may || (seen[i] == SERVES && !announced) || (works[i] && running[i] != NOTHING && !given_up[i]);
        all = seen[i] == SERVES && (announced || i == announcer);
        for (EACH(k)) { all = all && (!NEEDS(k, i) || seen[k] == GONE) }
        assert(!all)                                                         /* L3 */
    }
    assert(may)                                                              /* L2 */
}

inline advance()
{
    if
    :: phase == BOOTING || phase == RUNNING -> start_who_can()
    :: else
    fi;
    if
    :: phase == STOPPING ->
        stop_who_can();
        destroy_who_can();
        all = true;
        for (EACH(i)) { all = all && state[i] == ENDED && memory[i] != DESTROYING }
        if
        :: all -> leave(false)
        :: else -> check_progress()
        fi
    :: else
    fi
}

/* ---- Events ---- */

inline fail_up(c)
{
    if
    :: phase == RUNNING && restarts[c] < RESTARTS -> /* MOST */
        restarts[c]++;
        state[c] = STEPS;
        call(c, QUIESCE)
    :: else -> want = COMPONENT
    fi
}

inline start_returned(c, good)
{
    works[c] = false;
    if
    :: good -> undrained[c] = true; seen[c] = (seen[c] == COMING -> SERVES : seen[c])
    :: !good && seen[c] == COMING && phase == STOPPING -> is_gone(c)
    :: !good && seen[c] == COMING && phase != STOPPING -> seen[c] = DOWN
    :: else
    fi;
    was_up[c] = was_up[c] || good; /* WAS-UP */
    if
    :: state[c] == ENDED /* too late */
    :: state[c] != ENDED && good ->
        set_outcome(c, START);
        state[c] = UP;
        if :: failed[c] && phase != STOPPING -> fail_up(c) :: else fi
    :: state[c] != ENDED && !good ->
        set_outcome(c, START);
        if
        :: phase == RUNNING && restarts[c] < RESTARTS -> restarts[c]++; state[c] = BACKOFF
        :: else ->
            skip_rest(c, QUIESCE);
            end_part(c);
            want = (phase == RUNNING -> COMPONENT : BAD_START)
        fi
    fi
}

inline finish_returned(c)
{
    if
    :: phase == STOPPING -> end_part(c); is_gone(c)
    :: else -> state[c] = BACKOFF; seen[c] = DOWN; undrained[c] = false; lost[c] = false; unclean[c] = false
    fi
}

inline step_returned(c, what, good, leaves_work)
{
    works[c] = leaves_work || (what == FINISH && stuck[c]);
    undrained[c] = undrained[c] && what != DRAIN;
    lost[c] = seen[c] != GONE && (lost[c] || !good || leaves_work);
    if :: what == DRAIN -> drained[c] = true; stuck[c] = leaves_work :: else fi;
    if
    :: state[c] == ENDED /* LATE */
    :: else ->
        set_outcome(c, what);
        unclean[c] = unclean[c] || !good || leaves_work; /* UNCLEAN */
        want = (stuck[c] -> COMPONENT : want); /* NO-RESTART */
        if
        :: what == FINISH -> finish_returned(c)
        :: what != FINISH && over -> skip_rest(c, what + 1); unclean[c] = true; end_part(c); lost[c] = true; is_gone(c)
        :: what != FINISH && !over -> call(c, what + 1) /* NEXT */
        fi
    fi
}

inline destroy_returned(c)
{
    works[c] = false;
    was_up[c] = false; drained[c] = false; /* of no more use */
    memory[c] = DESTROYED
}

inline give_up(c)
{
    given_up[c] = true;
    if
    :: running[c] == DESTROY -> memory[c] = LEFT
    :: else ->
        lost[c] = lost[c] || running[c] != START;
        unclean[c] = unclean[c] || running[c] != START;
        set_outcome(c, running[c]);
        skip_rest(c, running[c] + 1);
        end_part(c);
        is_gone(c);
        want = COMPONENT
    fi
}

inline fire(c)
{
    if
    :: phase == BOOTING -> want = BAD_START /* its start is cancelled, and has a timer again */
    :: phase == RUNNING && running[c] == START -> want = COMPONENT
    :: phase == STOPPING || (phase == RUNNING && running[c] != START) -> give_up(c)
    fi
}

inline returned(c, how)
{
    late = running[c]; /* what it returns from */
    running[c] = NOTHING;
    given_up[c] = false;
    if
    :: late == START -> start_returned(c, (how == GOOD))
    :: late == DESTROY -> destroy_returned(c)
    :: else -> step_returned(c, late, (how == GOOD), (how == STUCK))
    fi
}

inline signalled()
{
    signals++;
    want = ASKED;
    if
    :: phase == STOPPING && signals == 2 -> announced = true
    :: phase == STOPPING && signals == 3 -> leave(true) /* THIRD */
    :: else
    fi
}

/* By the numbers all have ended by the deadline; whatever else: nothing goes on after it. */
inline time_is_over()
{
    over = true;
    announced = true;
    for (late : 0 .. N - 1) {
        if
        :: running[late] != NOTHING && !given_up[late] -> give_up(late)
        :: else
        fi
    }
}

proctype engine()
{
end:
    do
    :: atomic { hear?event, who ->
        want = NO_CAUSE;
        if
        :: event <= STUCK -> returned(who, event)
        :: event == FAILS && seen[who] == SERVES -> complains[who] = true; fail_up(who)
        :: event == FAILS && seen[who] == COMING -> complains[who] = true; failed[who] = true
        :: event == SIGNAL -> signalled()
        :: event == STOP -> want = ASKED
        :: event == TIMER -> fire(who)
        :: event == BACK -> state[who] = WAITING
        :: event == QUIET -> announced = true
        :: event == TIME_OVER -> time_is_over()
        fi;
        if :: want != NO_CAUSE -> begin_stop(want) :: else fi;
        advance() }
    od
}

#define MAY phase != EXITED

/* What a component and its author do; none of it must ever happen. */
proctype world(byte c)
{
end:
    do
    :: atomic { MAY && running[c] != NOTHING -> hear!GOOD, c }
    :: atomic { MAY && running[c] < DESTROY -> hear!BAD, c }
    :: atomic { MAY && running[c] == DRAIN -> hear!STUCK, c }
    :: atomic { MAY && phase < STOPPING && (seen[c] == SERVES || seen[c] == COMING) && !complains[c] -> hear!FAILS, c }
    :: phase != EXITED -> skip /* or nothing, for ever */
    od
}

proctype user()
{
end:
    do
    :: atomic { MAY && signals < 3 -> hear!SIGNAL, 0 }
    :: atomic { MAY && phase < STOPPING -> hear!STOP, 0 } /* asked otherwise than by a signal */
    :: phase != EXITED -> skip
    od
}

#define TIMERS(c)                                                                                        \
    :: atomic { MAY && running[c] != NOTHING && !given_up[c] -> hear!TIMER, c }                 \
    :: atomic { MAY && phase == RUNNING && state[c] == BACKOFF -> hear!BACK, c }

/* Every timer that is set fires at last, unless it is taken back: the fair part of the world. */
proctype timers()
{
end:
    do
    TIMERS(0)
#if N > 1
    TIMERS(1)
#endif
#if N > 2
    TIMERS(2)
#endif
    :: atomic { MAY && phase == STOPPING && !announced -> hear!QUIET, 0 } /* OVER */
    od
}

/* May pass at any time in a stop; must not: a stop ends by the timers alone. */
proctype deadline()
{
end:
    do
    :: atomic { MAY && phase == STOPPING && !over -> hear!TIME_OVER, 0 }
    :: phase != EXITED -> skip
    od
}

init {
    atomic {
        if
        :: edges = 0
#if N > 1
        :: edges = 1
#endif
#if N > 2
        :: edges = 3
        :: edges = 5
        :: edges = 6
        :: edges = 7
#endif
        fi;
        if
        :: announcer = N - 1
        :: announcer = N
        fi;
        run engine();
        run timers();
        run user();
        run world(0);
#if N > 1
        run world(1);
#endif
#if N > 2
        run world(2);
#endif
#ifdef DEADLINE
        run deadline();
#endif
        advance()
    }
}

ltl a_stop_ends { [] (phase == STOPPING -> <> (phase == EXITED)) } /* L1 */
