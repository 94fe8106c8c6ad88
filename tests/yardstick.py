"""How quick something is, told by what the same machine needs for something known.

Seconds differ from machine to machine, and on one that is shared from one minute to the next.
"""

import time


def measured(work, *, best_of=1):
    """Give the least of the processor's time that a piece of work took, and what came of it.

    The processor's, for other programs lengthen the clock's.
    """
    took = []
    for _ in range(best_of):
        before = time.process_time()
        made = work()
        took.append(time.process_time() - before)
    return min(took), made
