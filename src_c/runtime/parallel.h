/* The one seam to threads: a team of members runs one function, the caller being member 0. */
#ifndef FRNN_PARALLEL_H
#define FRNN_PARALLEL_H

#include <stddef.h>

#include "fastrnn.h"

typedef struct frnn_team frnn_team;
typedef void (*frnn_member_function)(frnn_team *team, size_t member, void *job);

/* Runs f(team, member, job) for every member and returns when all are done: FRNN_OK, or FRNN_ERR_INTERRUPTED if poll
 * asked to stop. The team has at most frnn_most_members(plan) members, and one alone when the work (multiply-adds) is too little
 * to share, when the pool is busy with another caller's job or when threads cannot be had. */
frnn_status frnn_run(const frnn_plan *plan, double work, frnn_member_function f, void *job);

/* The same for so many members at most, because there is nothing to do for others. */
frnn_status frnn_run_by(const frnn_plan *plan, size_t most, double work, frnn_member_function f, void *job);

/* The most members that a team for this plan can have. */
size_t frnn_most_members(const frnn_plan *plan);

size_t frnn_team_size(const frnn_team *team);

/* Waits until every member has come here. Nonzero: the team is stopping, return at once. */
int frnn_barrier(frnn_team *team);

/* To be called every few million multiply-adds with the number since the last call. Lets the caller's thread poll.
 * Nonzero: the team is stopping, return at once. */
int frnn_worked(frnn_team *team, size_t member, double work);

#endif
