"""One owner's branch as it moves: what may come of a step, and who waits for one."""
