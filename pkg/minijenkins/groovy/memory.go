// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// The memory of a script is counted in two ways. Each value is charged when it is made, which is cheap and
// counts too much, since most values are forgotten soon. When the charges reach the limit, measure goes over
// all values that the script can still reach and takes their size for the charges. So a build that polls for
// days goes on, and one that keeps what it makes ends. Nothing of that depends on Go's memory or on time:
// a build that runs its script again after a restart measures at the same places and finds the same.

// What values take, about; a text takes its bytes beside that.
const (
	wordBytes    = 16
	numberBytes  = 64
	listBytes    = 112
	itemBytes    = 24
	mapBytes     = 256
	entryBytes   = 112
	closureBytes = 512
	scopeBytes   = 64
	varsBytes    = 320
	varBytes     = 48
	objectBytes  = 256
)

const (
	// chargePerStep is how many bytes are made for the price of one step.
	chargePerStep = 256
	// visitsPerStep is how many values measure looks at for that.
	visitsPerStep = 4
	// comparedPerStep is how many bytes of texts it compares for that.
	comparedPerStep = 4096
	// sharedText is the length from which on measure keeps equal texts only once.
	sharedText = 1024
	// headroom is how much of the limit may be made after a measure until the next one.
	headroom = 2
)

// memory is what a machine knows of the values of its scripts.
type memory struct {
	// bytes is the size of what lived at the last measure and of all that was made since.
	bytes int
	// measureAt is the count of bytes at which to measure again.
	measureAt int
	// frames are the calls that run now, in all branches.
	frames *frame
	// objects are scripts that the host keeps.
	objects []*Script
	// epoch is the number of the last measure, with which it marks what it has seen.
	epoch uint32
}

// open makes the values of a frame count until close.
func (f *frame) open() {
	f.next, f.before = f.m.memory.frames, nil
	if f.next != nil {
		f.next.before = f
	}
	f.m.memory.frames = f
}

func (f *frame) close() {
	if f.before != nil {
		f.before.next = f.next
	} else {
		f.m.memory.frames = f.next
	}
	if f.next != nil {
		f.next.before = f.before
	}
	f.next, f.before = nil, nil
}

// hold makes a value count that no variable has, while others are evaluated, until release.
func (f *frame) hold(v any) { f.held = append(f.held, v) }

// release lets go of all but the first n values that are held.
func (f *frame) release(n int) { f.held = f.held[:n] }

// charge counts memory of a new value, which is work as well.
func (f *frame) charge(n int, pos jenkinsfile.Pos) error {
	mem := &f.m.memory
	mem.bytes += n
	f.m.steps += n / chargePerStep
	if mem.bytes > mem.measureAt {
		limit := f.m.limits.Bytes
		w := f.m.measure()
		f.m.steps += w.visits/visitsPerStep + w.compared/comparedPerStep
		mem.bytes = w.size + n
		mem.measureAt = max(limit, mem.bytes+limit/headroom)
		if mem.bytes > limit {
			return &LimitError{Message: fmt.Sprintf("The script holds values of more than %d bytes", limit), Pos: pos}
		}
	}
	return f.tick(pos)
}

// chargeTree charges a value that the host made, with all that is in it.
func (f *frame) chargeTree(v any, pos jenkinsfile.Pos) error {
	switch x := v.(type) {
	case *List:
		if x.paid > 0 {
			return nil
		}
	case *Map:
		if x.paid > 0 {
			return nil
		}
	default:
		return nil
	}
	w := f.m.walker()
	w.add(v)
	w.run()
	f.m.steps += w.visits / visitsPerStep
	return f.charge(w.size, pos)
}

// settle charges what a list has grown since it was charged last.
func (f *frame) settle(l *List, pos jenkinsfile.Pos) error {
	if err := f.checkSize(len(l.Items), pos); err != nil {
		return err
	}
	size := listBytes + itemBytes*len(l.Items)
	more := max(size-l.paid, 0)
	l.paid += more
	return f.charge(more, pos)
}

// settleMap charges what a map has grown since it was charged last.
func (f *frame) settleMap(m *Map, pos jenkinsfile.Pos) error {
	if err := f.checkSize(m.Len(), pos); err != nil {
		return err
	}
	size := mapBytes + entryBytes*m.Len() + m.keyBytes
	more := max(size-m.paid, 0)
	m.paid += more
	return f.charge(more, pos)
}

// numberSize is what a number of any length takes.
func numberSize(n *big.Int) int { return numberBytes + n.BitLen()/8 }

// walker adds up the values that can be reached.
type walker struct {
	epoch uint32
	limit int
	size  int
	// visits counts values, compared the bytes of texts that turned out to be different.
	visits, compared int
	todo             []any
	// texts are long texts by some of their bytes.
	texts map[uint64][]any
	// objects are those of the values that have no mark.
	objects map[any]bool
}

func (m *Machine) walker() *walker {
	m.memory.epoch++
	return &walker{epoch: m.memory.epoch, limit: m.limits.Bytes, texts: map[uint64][]any{}, objects: map[any]bool{}}
}

// measure goes over all that the scripts can reach.
func (m *Machine) measure() *walker {
	w := m.walker()
	w.scope(m.globals)
	w.add(m.main)
	for _, s := range m.memory.objects {
		w.add(s)
	}
	for f := m.memory.frames; f != nil; f = f.next {
		w.scope(f.scope)
		w.add(f.value)
		for i, v := range f.held {
			f.held[i] = w.add(v)
		}
	}
	w.run()
	return w
}

// run goes on with what was added, until all is counted or it is too much in any case.
func (w *walker) run() {
	for len(w.todo) > 0 && w.size <= w.limit {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.inside(v)
	}
	if w.size > w.limit {
		// How far it came may depend on the order of variables; what it costs must not.
		w.size, w.visits, w.compared = w.limit+1, w.limit/numberBytes, 0
	}
}

// add counts a value and notes its parts to be counted. It returns the value, or an equal text that is held already.
func (w *walker) add(v any) any {
	w.visits++
	w.size += wordBytes
	switch x := v.(type) {
	case nil, bool, int64, Long, float64, classRef:
	case string:
		return w.text(v, x)
	case GString:
		return w.text(v, string(x))
	case *big.Int:
		w.size += numberSize(x)
	case Decimal:
		w.size += numberSize(x.unscaled)
	case *List:
		w.later(v, &x.mark)
	case *Map:
		w.later(v, &x.mark)
	case *Closure:
		w.later(v, &x.mark)
	case entry:
		w.size += wordBytes
		w.todo = append(w.todo, v)
	default:
		if !w.objects[v] {
			w.objects[v] = true
			w.todo = append(w.todo, v)
		}
	}
	return v
}

func (w *walker) later(v any, mark *uint32) {
	if *mark != w.epoch {
		*mark = w.epoch
		w.todo = append(w.todo, v)
	}
}

const (
	// maxAlike is how many texts are compared with one, maxCompared how many bytes of them; more are counted
	// as if they were different.
	maxAlike    = 8
	maxCompared = 256 << 20
)

// text counts the text s of v, a long one only once.
func (w *walker) text(v any, s string) any {
	if len(s) < sharedText {
		w.size += len(s)
		return v
	}
	sum := sampled(s)
	alike := w.texts[sum]
	if w.compared < maxCompared {
		for _, other := range alike {
			// Comparing a text with itself takes no time.
			if other == v {
				return other
			}
			w.compared += len(s)
		}
	}
	if len(alike) < maxAlike {
		w.texts[sum] = append(alike, v)
	}
	w.size += len(s)
	return v
}

// sampled is a checksum of the length and some of the bytes of a long text.
func sampled(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendInt(nil, int64(len(s)), 10))
	step := len(s)/256 + 1
	const edge = 64
	some := append(make([]byte, 0, 2*edge+257), s[:edge]...)
	some = append(some, s[len(s)-edge:]...)
	for i := len(s) - 1; i >= 0; i -= step {
		some = append(some, s[i])
	}
	_, _ = h.Write(some)
	return h.Sum64()
}

// inside counts the parts of a value. What has become much smaller than its memory is copied.
func (w *walker) inside(v any) {
	switch x := v.(type) {
	case *List:
		w.size += listBytes
		if cap(x.Items) > 2*len(x.Items)+32 {
			x.Items = slices.Clone(x.Items)
		}
		w.each(x.Items)
	case *Map:
		w.insideMap(x)
	case *Closure:
		w.insideClosure(x)
	case entry:
		w.add(x.key)
		w.add(x.value)
		if x.of != nil {
			w.add(x.of)
		}
	case *Script:
		w.size += x.size
		w.scope(x.funcs)
		w.scope(x.local)
	case *Exception:
		w.size += objectBytes + len(x.Message)
		if x.Cause != nil {
			w.add(x.Cause)
		}
	default:
		w.object(v)
	}
}

func (w *walker) object(v any) {
	w.size += objectBytes
	switch x := v.(type) {
	case *textBuilder:
		if cap(x.text) > 2*len(x.text)+sharedText {
			x.text = slices.Clone(x.text)
		}
		w.size += cap(x.text)
	case *matcher:
		w.text(x.text, x.text)
		w.size += len(x.source)
		for _, loc := range x.found {
			w.size += listBytes/4 + 8*len(loc)
		}
	case *lazyString:
		w.each(x.parts)
	case *jsonBuilder:
		w.size += len(x.text)
		w.add(x.content)
	case *iterator:
		w.each(x.items)
	case Pattern:
		w.size += len(x.Source)
	}
}

// each counts values, and replaces texts by equal ones that are held already.
func (w *walker) each(items []any) {
	for i := 0; i < len(items) && w.size <= w.limit; i++ {
		items[i] = w.add(items[i])
	}
}

func (w *walker) insideMap(m *Map) {
	w.size += mapBytes + entryBytes*m.Len() + m.keyBytes
	w.compared += m.keyBytes
	if m.most > 4*m.Len()+32 {
		m.shrink()
	}
	if m.fallback != nil {
		w.add(m.fallback)
	}
	for i, k := range m.keys {
		m.keys[i] = w.add(k)
		switch v := w.add(m.values[m.ids[i]]).(type) {
		case string, GString:
			m.values[m.ids[i]] = v
		}
		if w.size > w.limit {
			return
		}
	}
}

func (w *walker) insideClosure(c *Closure) {
	w.size += closureBytes / 2
	w.scope(c.scope)
	w.each(c.bound)
	if c.object != nil {
		w.add(c.object)
	}
	if c.delegation != nil {
		w.add(c.delegation.to)
	}
	for _, part := range []*Closure{c.inner, c.then, c.other} {
		if part != nil {
			w.add(part)
		}
	}
}

// scope counts variables.
func (w *walker) scope(s *scope) {
	for ; s != nil && s.mark != w.epoch; s = s.parent {
		s.mark = w.epoch
		w.size += scopeBytes
		if s.delegation != nil {
			w.add(s.delegation.to)
		}
		if len(s.vars) > 0 {
			w.size += varsBytes + varBytes*len(s.vars)
		}
		for name, v := range s.vars {
			w.size += len(name)
			s.vars[name] = w.add(v)
		}
	}
}

// part is a piece of a text. It is copied if it would keep a much longer text in memory.
func part(s, whole string) string {
	if len(whole) > sharedText && len(s) < len(whole)/2 {
		return strings.Clone(s)
	}
	return s
}

// shortText is the beginning of a value's text, for messages.
func shortText(v any) string {
	var b strings.Builder
	writeText(&b, v, 0, textOptions{limit: 512})
	return clip(b.String())
}

// string is ToString, with the work of writing values that are no texts counted.
func (f *frame) string(v any) string {
	if s, ok := text(v); ok {
		return s
	}
	s := ToString(v)
	f.m.steps += len(s) / itemsPerStep
	return s
}
