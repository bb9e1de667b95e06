/* Whether a call has left the processor's vectors: their upper halves must be zeros then. Otherwise the next
 * instruction that is older than these halves takes 100 ns on some processors, in the caller's code too. */
#ifndef VECTORS_H
#define VECTORS_H

/* Before the call. */
void clear_vectors(void);

/* And after it. */
int are_vectors_clear(void);

#endif
