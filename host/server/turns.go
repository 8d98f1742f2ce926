package server

import "time"

// quantum is how long a group works before others of its kind have their turn.
const quantum = 20 * time.Millisecond

// ahead is how much more time young groups may have had than old ones.
const ahead = 3 * quantum

// age is a class of groups.
type age int

// The classes: a group is young until it has worked for a quantum. The time of a
// long one is an old one's all along: its first step may take many quanta.
const (
	nobody age = iota
	young
	old
)

// turns shares time among young and old groups.
type turns struct {
	had [old + 1]time.Duration // time that each class has had
	// share is that of the old group that worked last. New ones begin there, so
	// that nobody makes up for time in which it was not here.
	share time.Duration
}

// choose says who works next of those that could.
func (t *turns) choose(youngWait, oldWait bool) age {
	switch {
	case youngWait && !oldWait:
		t.had[old] = max(t.had[old], t.had[young])
		return young
	case oldWait && !youngWait:
		t.had[young] = max(t.had[young], t.had[old])
		return old
	case !youngWait:
		return nobody
	case t.had[young] <= t.had[old]+ahead:
		return young
	}
	return old
}

// charge accounts for time that a group has worked.
func (t *turns) charge(g *group, d time.Duration) {
	class := old
	if g.spent < quantum && !g.long {
		class = young
	}
	t.had[class] += d
	g.spent += d
	g.share += d
	if class == old {
		t.share = max(t.share, g.share)
	}
}

// leastShare is where a new group begins.
func (t *turns) leastShare(ready []*group) time.Duration {
	if len(ready) == 0 {
		return t.share
	}
	least := ready[0].share
	for _, g := range ready {
		least = min(least, g.share)
	}
	return least
}
