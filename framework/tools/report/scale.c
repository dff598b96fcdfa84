#include "scale.h"

#include <stdlib.h>

#define WORK_ENOUGH 0.45    /* of the width: then one scale shows it all */
#define ANNOUNCED_MOST 0.14 /* of the width, else */
#define LEFT_MOST 0.24
#define LABEL_PERCENT 13 /* that a label takes on a phone */

static void add(struct scale *scale, int64_t begin, int64_t end, double share)
{
    if (end <= begin)
        return;
    double from = scale->count ? scale->pieces[scale->count - 1].to : 0;
    scale->pieces[scale->count++] = (struct scale_piece){begin, end, from, from + share * 100};
}

static double least(double left, double right)
{
    return left < right ? left : right;
}

void scale_init(struct scale *scale, int64_t announced, int64_t elapsed, int64_t total)
{
    *scale = (struct scale){0};
    if (elapsed <= announced)
        elapsed = announced + 1;
    if (total < elapsed)
        total = elapsed;
    double all = (double)total;
    if ((double)(elapsed - announced) / all >= WORK_ENOUGH) {
        add(scale, 0, total, 1);
        return;
    }
    double before = least((double)announced / all, ANNOUNCED_MOST);
    double after = least((double)(total - elapsed) / all, LEFT_MOST);
    add(scale, 0, announced, before);
    scale->main = scale->count;
    add(scale, announced, elapsed, 1 - before - after);
    add(scale, elapsed, total, after);
}

double scale_percent(const struct scale *scale, int64_t at)
{
    if (at <= 0)
        return 0;
    for (int i = 0; i < scale->count; i++) {
        const struct scale_piece *piece = &scale->pieces[i];
        if (at <= piece->end)
            return piece->from + (piece->to - piece->from) * (double)(at - piece->begin) /
                                     (double)(piece->end - piece->begin);
    }
    return 100;
}

static bool fits(const struct scale *scale, const struct scale_tick *ticks, int count, int64_t at)
{
    double percent = scale_percent(scale, at);
    for (int i = 0; i < count; i++) {
        double distance = percent - scale_percent(scale, ticks[i].at);
        if (distance < LABEL_PERCENT && distance > -LABEL_PERCENT)
            return false;
    }
    return true;
}

/* 1, 2 or 5 times a power of ten, at least `rough`. */
static int64_t round_step(double rough)
{
    for (int64_t power = 1;; power *= 10)
        for (int64_t digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3)
            if ((double)(power * digit) >= rough)
                return power * digit;
}

static int by_time(const void *left, const void *right)
{
    int64_t a = ((const struct scale_tick *)left)->at, b = ((const struct scale_tick *)right)->at;
    return (a > b) - (a < b);
}

int scale_ticks(const struct scale *scale, struct scale_tick ret_ticks[SCALE_TICKS_MAX])
{
    int count = 0;
    ret_ticks[count++] = (struct scale_tick){0, true};
    for (int i = 0; i < scale->count; i++)
        if (fits(scale, ret_ticks, count, scale->pieces[i].end))
            ret_ticks[count++] = (struct scale_tick){scale->pieces[i].end, true};
    for (int i = 0; i < scale->count; i++) {
        const struct scale_piece *piece = &scale->pieces[i];
        int64_t step =
            round_step((double)(piece->end - piece->begin) * LABEL_PERCENT / (piece->to - piece->from));
        for (int64_t at = (piece->begin / step + 1) * step; at < piece->end; at += step)
            if (count < SCALE_TICKS_MAX && fits(scale, ret_ticks, count, at))
                ret_ticks[count++] = (struct scale_tick){at, false};
    }
    qsort(ret_ticks, (size_t)count, sizeof *ret_ticks, by_time);
    return count;
}
