/* SPDX-License-Identifier: MIT */
/* Time of the nodes of a session's steps, added up by kind: the op with the values that it reads and makes. Beside it what
 * each had to do at least, from shapes, positions and segments alone, so that rates can be set against what a device can do. */
#ifndef PITH_RUN_PROFILE_H
#define PITH_RUN_PROFILE_H

#include "run/backend.h"

typedef struct pith_profile pith_profile;

/* Returns owned; sums are zero and the exec measures from here on. Borrows everything. Errors: UNSUPPORTED, NO_MEMORY. */
pith_status pith_profile_create(const pith_backend *backend, pith_exec *exec, const pith_plan *plan, pith_profile **out);
/* The exec measures no more. */
void pith_profile_destroy(pith_profile **profile);
/* Adds the nodes of the step that the exec ran last. */
void pith_profile_add(pith_profile *profile, const pith_step *step);

/* What a node moves and multiplies at least in a step that has it. */
typedef struct pith_node_cost { double bytes, flop; } pith_node_cost;
pith_node_cost pith_node_cost_of(const pith_graph *graph, const pith_node *node, const pith_step *step);

#endif
