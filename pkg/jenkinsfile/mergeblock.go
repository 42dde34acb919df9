// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"cmp"
	"slices"
	"strings"
)

// block gives the block of an element, with its braces, whose items are to be others.
func (m *merger) block(old, fresh *element) string {
	block := old.at.block
	items := m.inSource(old)
	w := &blockWriter{m: m, outer: m.lineIndent(old.at.stmt.From.Offset)}
	w.inner = w.outer + m.unit
	end := m.opened(block)
	w.begin(m.src[block.From.Offset:end])
	for i, item := range items {
		if i == 0 {
			w.lined = startsLine(m.src[end:])
		}
		s := m.slots[item]
		end = s.end
		if indent := m.ownIndent(s.from); indent != "" && i == slices.IndexFunc(items, func(e *element) bool { return m.ownIndent(m.slots[e].from) != "" }) {
			w.inner = indent
		}
		w.spaced = w.spaced || i > 0 && startsBlank(m.src[s.lead:s.from])
	}
	for _, step := range m.plan(old, items, fresh) {
		if step.old == nil {
			w.insert(m.printed(step.fresh, w.inner))
			continue
		}
		s := m.slots[step.old]
		text := m.text(step.old.at.stmt)
		if step.fresh != nil {
			text = m.element(step.old, step.fresh)
		}
		w.slot(m.src[s.lead:s.from], text, m.src[s.to:s.end])
	}
	w.close(m.src[end : block.To.Offset-1])
	return w.out.String()
}

// startsBlank tells if an empty line stands before the first text.
func startsBlank(lead string) bool {
	text := strings.TrimLeft(lead, " \t\r\n")
	return strings.Count(lead[:len(lead)-len(text)], "\n") > 1
}

// blockWriter writes the inside of a block so that each statement is separated from the next.
type blockWriter struct {
	m   *merger
	out strings.Builder
	// inner and outer are the indentation of the items and of the block; spaced tells if empty lines
	// stand between the items.
	inner, outer string
	spaced       bool
	// lined: the first item stands on a line of its own.
	lined bool
	// Of what was written last: it is there, was new, ends in a separator, ends in a comment that
	// takes the rest of the line.
	some, fresh, separated, comment bool
}

// begin writes the brace and the comment behind it.
func (w *blockWriter) begin(text string) {
	w.out.WriteString(text)
	w.comment = strings.Contains(text, "//")
}

func (w *blockWriter) slot(lead, text, trail string) {
	needsBreak := w.comment && !startsLine(lead) || w.some && !w.separated && !separates(lead) ||
		!w.some && w.lined && !startsLine(lead)
	switch {
	case needsBreak:
		if w.fresh && w.spaced {
			w.out.WriteString(w.m.newline)
		}
		w.out.WriteString(w.m.newline + w.inner)
		lead = strings.TrimLeft(lead, " \t")
	case w.fresh && w.spaced && !startsBlank(lead):
		w.out.WriteString(w.m.newline)
	}
	w.out.WriteString(lead + text + trail)
	w.some, w.fresh = true, false
	w.comment = strings.Contains(trail, "//")
	w.separated = strings.Contains(strings.TrimLeft(trail, " \t")+" ", ";") && !w.comment || strings.HasPrefix(strings.TrimLeft(trail, " \t"), ";")
}

// insert writes a new item on its own line.
func (w *blockWriter) insert(text string) {
	if w.spaced && w.some {
		w.out.WriteString(w.m.newline)
	}
	w.out.WriteString(w.m.newline + w.inner + text)
	w.some, w.fresh, w.separated, w.comment = true, true, false, false
}

// close writes what stands behind the last item, and the brace.
func (w *blockWriter) close(suffix string) {
	switch {
	case w.comment && !startsLine(suffix), w.fresh && !strings.Contains(suffix, "\n"):
		w.out.WriteString(w.m.newline + w.outer + strings.TrimLeft(suffix, " \t"))
	default:
		w.out.WriteString(suffix)
	}
	w.out.WriteString("}")
}

// separates tells if a line end or a semicolon is among blanks and comments.
func separates(trivia string) bool {
	for trivia != "" {
		switch {
		case strings.HasPrefix(trivia, "/*"):
			_, after, found := strings.Cut(trivia[2:], "*/")
			if !found {
				return false
			}
			trivia = after
		case strings.HasPrefix(trivia, "//"), trivia[0] == '\n', trivia[0] == ';':
			return true
		default:
			trivia = trivia[1:]
		}
	}
	return false
}

// planned is an item of a merged block: an old one that is kept (no fresh), an old one that becomes
// another, or a new one.
type planned struct{ old, fresh *element }

// plan says which items a block gets, in order.
func (m *merger) plan(parent *element, items []*element, fresh *element) []planned {
	pairs := m.match(items, fresh.items)
	if parent.sections {
		return planSections(items, fresh.items, pairs)
	}
	var out []planned
	for _, item := range items {
		if item.ghost && !slices.Contains(pairs, item) {
			out = append(out, planned{old: item})
		}
	}
	for i, f := range fresh.items {
		if !f.ghost {
			out = append(out, planned{old: pairs[i], fresh: f})
		}
	}
	return out
}

// ranks is the order in which people write sections; stages and their likes are the middle.
var ranks = map[string]int{
	"agent": 1, "axes": 1, "excludes": 2, "libraries": 2, "tools": 3, "environment": 4, "options": 5, "parameters": 6,
	"triggers": 7, "input": 8, "when": 9, "failFast": 10, "stages": 20, "parallel": 20, "matrix": 20, "steps": 20, "post": 30,
	"message": 1, "id": 2, "ok": 3, "submitter": 4, "submitterParameter": 5, "name": 1, "values": 2, "notValues": 2,
}

// planSections keeps the order of the source and puts each new section before the first one that
// ranks higher.
func planSections(items, fresh []*element, pairs []*element) []planned {
	var out []planned
	for _, item := range items {
		if i := slices.Index(pairs, item); i >= 0 {
			out = append(out, planned{old: item, fresh: fresh[i]})
		} else if item.ghost {
			out = append(out, planned{old: item})
		}
	}
	for i, f := range fresh {
		if pairs[i] != nil || f.ghost {
			continue
		}
		rank := ranks[f.key]
		at := slices.IndexFunc(out, func(p planned) bool {
			if p.old != nil {
				return ranks[p.old.key] > rank
			}
			return ranks[p.fresh.key] > rank
		})
		if at < 0 {
			at = len(out)
		}
		out = slices.Insert(out, at, planned{fresh: f})
	}
	return out
}

// match finds for each new item the old one that it was made from; nil for one that is new.
func (m *merger) match(items, fresh []*element) []*element {
	mt := &matching{m: m, items: items, fresh: fresh, pairs: make([]*element, len(fresh)), used: make([]bool, len(items))}
	mt.byKey()
	mt.inOrder()
	mt.anywhere()
	mt.similar()
	mt.inGaps()
	return mt.pairs
}

type matching struct {
	m            *merger
	items, fresh []*element
	pairs        []*element
	used         []bool
}

func (mt *matching) pair(item, fresh int) {
	mt.pairs[fresh] = mt.items[item]
	mt.used[item] = true
}

// byKey pairs items of the same key.
func (mt *matching) byKey() {
	keys := map[string]int{}
	for i := len(mt.items) - 1; i >= 0; i-- {
		if key := mt.items[i].key; key != "" {
			keys[key] = i
		}
	}
	for j, f := range mt.fresh {
		if i, ok := keys[f.key]; ok && f.key != "" && !mt.used[i] && !f.ghost {
			mt.pair(i, j)
		}
	}
}

// open gives what is not paired yet.
func (mt *matching) open() (items, fresh []int) {
	for i, item := range mt.items {
		if !mt.used[i] && !item.ghost {
			items = append(items, i)
		}
	}
	for j, f := range mt.fresh {
		if mt.pairs[j] == nil && !f.ghost {
			fresh = append(fresh, j)
		}
	}
	return items, fresh
}

// maxLCS bounds the table of the longest common subsequence.
const maxLCS = 4_000_000

// inOrder pairs equal items so that as many as possible keep their order.
func (mt *matching) inOrder() {
	items, fresh := mt.open()
	same := func(i, j int) bool { return mt.items[i].signature() == mt.fresh[j].signature() }
	for len(items) > 0 && len(fresh) > 0 && same(items[0], fresh[0]) {
		mt.pair(items[0], fresh[0])
		items, fresh = items[1:], fresh[1:]
	}
	for len(items) > 0 && len(fresh) > 0 && same(items[len(items)-1], fresh[len(fresh)-1]) {
		mt.pair(items[len(items)-1], fresh[len(fresh)-1])
		items, fresh = items[:len(items)-1], fresh[:len(fresh)-1]
	}
	if len(items)*len(fresh) > maxLCS {
		return
	}
	length := make([][]int32, len(items)+1)
	for i := range length {
		length[i] = make([]int32, len(fresh)+1)
	}
	for i := len(items) - 1; i >= 0; i-- {
		for j := len(fresh) - 1; j >= 0; j-- {
			if same(items[i], fresh[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(items) && j < len(fresh); {
		switch {
		case same(items[i], fresh[j]):
			mt.pair(items[i], fresh[j])
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
}

// anywhere pairs equal items that were moved.
func (mt *matching) anywhere() {
	items, fresh := mt.open()
	at := map[string][]int{}
	for _, i := range items {
		at[mt.items[i].signature()] = append(at[mt.items[i].signature()], i)
	}
	for _, j := range fresh {
		signature := mt.fresh[j].signature()
		if found := at[signature]; len(found) > 0 {
			mt.pair(found[0], j)
			at[signature] = found[1:]
		}
	}
}

// maxSimilar bounds how many items are compared with each other.
const maxSimilar = 400

// similar pairs what is left, the most similar first: stages that were renamed, steps whose arguments
// changed.
func (mt *matching) similar() {
	items, fresh := mt.open()
	if len(items)*len(fresh) > maxSimilar*maxSimilar {
		return
	}
	leaves := map[*element]map[string]int{}
	for _, i := range items {
		leaves[mt.items[i]] = mt.items[i].leaves()
	}
	type candidate struct {
		item, fresh int
		score       float64
	}
	var candidates []candidate
	for _, j := range fresh {
		own := mt.fresh[j].leaves()
		for _, i := range items {
			if mt.moved(mt.items[i], mt.fresh[j]) {
				continue
			}
			if score := likeness(mt.items[i], mt.fresh[j], leaves[mt.items[i]], own); score > 0 {
				candidates = append(candidates, candidate{i, j, score})
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	for _, c := range candidates {
		if !mt.used[c.item] && mt.pairs[c.fresh] == nil {
			mt.pair(c.item, c.fresh)
		}
	}
}

// inGaps pairs steps and conditions that have nothing in common but their place: of two lists of the
// same length between the same neighbours each takes the place, and the comments, of the other.
func (mt *matching) inGaps() {
	at := map[*element]int{}
	var index []int // of the items that say something
	for i, item := range mt.items {
		if !item.ghost {
			at[item] = len(index)
			index = append(index, i)
		}
	}
	for j := 0; j < len(mt.fresh); {
		first := 0
		if j > 0 {
			first = at[mt.pairs[j-1]] + 1
		}
		end := j
		for end < len(mt.fresh) && mt.pairs[end] == nil {
			end++
		}
		last := len(index)
		if end < len(mt.fresh) {
			last = at[mt.pairs[end]]
		}
		if last-first == end-j {
			for k := range end - j {
				if i := index[first+k]; !mt.used[i] && mt.items[i].key == "" && mt.fresh[j+k].key == "" {
					mt.pair(i, j+k)
				}
			}
		}
		j = end + 1
	}
}

// moved tells if a stage of the source has only left its list, or a new one came from another, so
// that neither was renamed.
func (mt *matching) moved(item, fresh *element) bool {
	return item.stage && (mt.m.kept[item.key] || len(mt.m.stages[fresh.key]) > 0)
}

// likeness is how much two elements have in common, 0 for elements of different kinds.
func likeness(a, b *element, leavesA, leavesB map[string]int) float64 {
	if a.block != b.block || a.isCode != b.isCode || firstWord(a.head) != firstWord(b.head) || !a.block && a.key != b.key {
		return 0
	}
	common, sizeA, sizeB := 0, 0, 0
	for leaf, n := range leavesA {
		common += min(n, leavesB[leaf])
		sizeA += n
	}
	for _, n := range leavesB {
		sizeB += n
	}
	share := 0.0
	if common > 0 {
		share = 2 * float64(common) / float64(sizeA+sizeB)
	}
	// A stage that lost most of its steps, or got many, is still the same.
	const enough = 0.3
	switch {
	case a.stage && share < enough && (common == 0 || 2*common < min(sizeA, sizeB)):
		return 0
	case normalize(a.head) == normalize(b.head):
		return 1 + share
	}
	return 0.1 + share
}

func firstWord(head string) string { return head[:identLen(head, isIdentPart)] }

// leaves are the texts of the statements in a block, with their numbers.
func (e *element) leaves() map[string]int {
	out := map[string]int{}
	var walk func(e *element)
	walk = func(e *element) {
		for _, item := range e.items {
			if item.head != item.key { // the name of a section says nothing
				out[normalize(item.head)]++
			}
			walk(item)
		}
		if e.isCode {
			for _, l := range codeLines(e.code) {
				out[l.text]++
			}
		}
	}
	walk(e)
	return out
}
