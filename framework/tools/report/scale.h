/* The chart's axis: time to percent of the width. A stop that took little of its deadline, or began with a long
 * announcement, would be a hairline on one scale; so the axis may have up to three pieces of a scale each. */
#ifndef REPORT_SCALE_H
#define REPORT_SCALE_H

#include <stdbool.h>
#include <stdint.h>

struct scale_piece {
    int64_t begin, end; /* ms */
    double from, to;    /* percent */
};

struct scale {
    struct scale_piece pieces[3];
    int count;
    int main; /* the piece of the work itself */
};

struct scale_tick {
    int64_t at;
    bool major; /* where a piece begins or ends */
};
#define SCALE_TICKS_MAX 24

/* `announced` <= `elapsed` <= `total`. */
void scale_init(struct scale *scale, int64_t announced, int64_t elapsed, int64_t total);
double scale_percent(const struct scale *scale, int64_t at);
/* In order; labels of their width fit beside each other. Returns how many. */
int scale_ticks(const struct scale *scale, struct scale_tick ret_ticks[SCALE_TICKS_MAX]);

#endif
