package feature

import (
	"errors"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// seal is what a pool that no longer grows knows besides its sums.
type seal struct {
	// known is the index after the last step whose sales are known, sales after the last with forecasts in their place.
	known, sales int
}

// Seal sums up a panel as it is known at the step end, for states of panels of a few series that stand beside those of pn: their own
// sales change none of its totals. walk, which may be nil, is a fork at end, of a state of pn, with forecasts of all series appended:
// recursion at that origin reads them as the totals of the steps ahead. A row of an origin after end reads the totals as of end, never
// steps without sales as zeros; a row of an earlier origin, and all recursion from it, reads none after it. Levels that pn does not know
// are missing. The pool is for states of the same plan and of panels whose key levels begin with those of pn.
func (p *Plan) Seal(pn *panel.Panel, end calendar.Step, walk *State) (*Pool, error) {
	if walk != nil && (walk.fork == nil || walk.fork.origin != end) {
		return nil, errors.New("seal a pool: the walk does not begin at its end")
	}
	if !p.UsesPool() {
		return &Pool{steps: 1, sealed: &seal{}}, nil
	}
	from := &State{}
	if walk != nil {
		from = walk
	} else {
		from.pool = p.Pool(pn)
	}
	pool := from.pool
	s := &seal{known: min(int(end-pool.first)+1, pool.steps)}
	s.sales = s.known
	if walk != nil {
		s.sales += walk.fork.appended
	}
	out := &Pool{first: pool.first, steps: pool.steps, means: pool.means, sealed: s}
	for i, g := range pool.groups {
		sealed := poolGroup{key: g.key, levels: g.levels, prefix: make([]float64, 0, g.levels*(s.sales+1))}
		for l := range g.levels {
			for at := range s.sales + 1 {
				sealed.prefix = append(sealed.prefix, from.poolBefore(i, l, at))
			}
		}
		out.groups = append(out.groups, sealed)
	}
	return out, nil
}

// Beside returns the state with another sealed pool of the same plan; everything else is shared. The state must not be a fork.
func (st *State) Beside(pool *Pool) *State {
	if pool == st.pool {
		return st
	}
	q := *st
	q.pool = pool
	return &q
}

// poolOrigin is the pool index after the origin that a row's totals are known at, whose own origin lies before index end.
func (st *State) poolOrigin(end int) int {
	if st.fork != nil {
		return int(st.fork.origin-st.pool.first) + 1
	}
	return end
}

// poolEnd is the pool index before which the totals end that a row of an origin reads.
func (st *State) poolEnd(c *cursor) int {
	end := c.global + c.end
	s := st.pool.sealed
	if s == nil {
		return end
	}
	origin := st.poolOrigin(end)
	if origin < s.known {
		return origin
	}
	return s.known + end - origin
}

// poolLast is the pool index before which any totals lie that a row may read, whose own origin lies before index end.
func (st *State) poolLast(end int) int {
	s := st.pool.sealed
	if s == nil {
		return end
	}
	if origin := st.poolOrigin(end); origin < s.known {
		return origin
	}
	return min(end, s.sales)
}
