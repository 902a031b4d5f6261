package kv

import "fmt"

// Pool lends the cache's blocks to sequences and remembers what finished blocks hold, so that a
// prompt with a known beginning need not be computed again.
//
// A block is free, lent (to one sequence or, if it is in the tree, to several), or kept: in the tree
// and lent to nobody. Kept blocks are taken back, the least recently used first, when none is free.
// The tree has one root a salt: tenants never share. A Pool belongs to one goroutine.
type Pool struct {
	size  int     // tokens a block
	free  []int32 // a stack
	lent  []int32 // [blocks] how many sequences hold the block
	nodes []*node // [blocks] the block's node in the tree, nil if it is not there
	roots map[string]*node
	kept  int    // blocks in the tree that nobody holds
	clock uint64 // counts uses
}

// node is a block in the tree: the tokens it holds, behind those of its ancestors.
type node struct {
	block    int32
	tokens   []int32 // a full block's, or fewer in a leaf
	parent   *node
	children map[int32][]*node // by first token
	used     uint64
	salt     string // of a root
}

// NewPool manages blocks of size tokens each.
func NewPool(blocks, size int) *Pool {
	p := &Pool{size: size, lent: make([]int32, blocks), nodes: make([]*node, blocks), roots: map[string]*node{}}
	for b := blocks - 1; b >= 0; b-- {
		p.free = append(p.free, int32(b))
	}
	return p
}

// BlockTokens is the number of tokens a block holds.
func (p *Pool) BlockTokens() int { return p.size }

// Blocks is the number of all blocks.
func (p *Pool) Blocks() int { return len(p.lent) }

// Available is the number of blocks that Take can give.
func (p *Pool) Available() int { return len(p.free) + p.kept }

// Take lends a block that nobody holds; ok is false if there is none.
func (p *Pool) Take() (block int32, ok bool) {
	if len(p.free) == 0 && !p.evict() {
		return 0, false
	}
	block = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.lent[block] = 1
	return block, true
}

// Return gives blocks back that a sequence holds.
func (p *Pool) Return(blocks []int32) {
	for _, b := range blocks {
		p.lent[b]--
		switch {
		case p.lent[b] < 0:
			panic(fmt.Sprintf("kv: block %d was returned twice", b))
		case p.lent[b] > 0:
		case p.nodes[b] != nil:
			p.kept++
		default:
			p.free = append(p.free, b)
		}
	}
}

// Alone counts those of a sequence's blocks that no other sequence holds: what Return makes available.
func (p *Pool) Alone(blocks []int32) int {
	n := 0
	for _, b := range blocks {
		if p.lent[b] == 1 {
			n++
		}
	}
	return n
}

func (p *Pool) hold(n *node) {
	if p.lent[n.block] == 0 {
		p.kept--
	}
	p.lent[n.block]++
	p.touch(n)
}

func (p *Pool) touch(n *node) {
	p.clock++
	n.used = p.clock
}

// evict frees the least recently used kept leaf.
func (p *Pool) evict() bool {
	var oldest *node
	for b, n := range p.nodes {
		if n != nil && p.lent[b] == 0 && len(n.children) == 0 && (oldest == nil || n.used < oldest.used) {
			oldest = n
		}
	}
	if oldest == nil {
		return false
	}
	p.unlink(oldest)
	p.kept--
	p.free = append(p.free, oldest.block)
	return true
}

func (p *Pool) unlink(n *node) {
	p.nodes[n.block] = nil
	siblings := n.parent.children[n.tokens[0]]
	for i, s := range siblings {
		if s == n {
			siblings[i] = siblings[len(siblings)-1]
			siblings = siblings[:len(siblings)-1]
			break
		}
	}
	if len(siblings) > 0 {
		n.parent.children[n.tokens[0]] = siblings
		return
	}
	delete(n.parent.children, n.tokens[0])
	if n.parent.parent == nil && len(n.parent.children) == 0 {
		delete(p.roots, n.parent.salt)
	}
}

// Prefix is a known beginning of a sequence.
type Prefix struct {
	Blocks []int32 // full blocks, now held by the caller
	Tokens int     // how many tokens they hold
	// Partly, if PartlyTokens > 0, is a block whose first tokens continue the beginning. It is held
	// too: copy those slots to a block of one's own, then return it.
	Partly       int32
	PartlyTokens int
	last         *node
}

// Match finds the longest known beginning of tokens, at most len(tokens)-1 of them, so that there is
// one left to compute.
func (p *Pool) Match(salt string, tokens []int32) Prefix {
	at := p.roots[salt]
	var m Prefix
	if at == nil {
		return m
	}
	rest := tokens[:max(0, len(tokens)-1)]
	for len(rest) > 0 {
		best, length := at.longest(rest)
		if length == 0 {
			break
		}
		p.hold(best)
		if length < p.size {
			m.Partly, m.PartlyTokens = best.block, length
			break
		}
		m.Blocks, m.Tokens, m.last = append(m.Blocks, best.block), m.Tokens+length, best
		rest, at = rest[length:], best
	}
	return m
}

// longest is the child that shares most tokens with rest from its beginning.
func (n *node) longest(rest []int32) (best *node, length int) {
	for _, c := range n.children[rest[0]] {
		common := 0
		for common < len(c.tokens) && common < len(rest) && c.tokens[common] == rest[common] {
			common++
		}
		if common > length {
			best, length = c, common
		}
	}
	return best, length
}

// Chain follows one sequence into the tree as its blocks fill. Its zero value, with a salt, is at the
// beginning.
type Chain struct {
	Salt string
	last *node
	full int // blocks in the tree
}

// Resume puts a chain behind a matched prefix.
func (c *Chain) Resume(m Prefix) { c.last, c.full = m.last, len(m.Blocks) }

// Publish makes the blocks of a sequence known: tokens [computed], in blocks table. Where the tree has
// a full block already, the table takes that one and gives its own back, so that each beginning is
// kept once. With tail, a last block that is not full is made known too.
func (p *Pool) Publish(c *Chain, tokens []int32, table []int32, tail bool) {
	for c.full < len(tokens)/p.size {
		part := tokens[c.full*p.size : (c.full+1)*p.size]
		c.last = p.insert(c, part, &table[c.full])
		c.full++
	}
	if rest := tokens[c.full*p.size:]; tail && len(rest) > 0 {
		p.insert(c, rest, &table[c.full])
	}
}

func (p *Pool) insert(c *Chain, part []int32, block *int32) *node {
	at := c.last
	if at == nil {
		if at = p.roots[c.Salt]; at == nil {
			at = &node{children: map[int32][]*node{}, salt: c.Salt, block: -1}
			p.roots[c.Salt] = at
		}
	}
	if own := p.nodes[*block]; own != nil { // our own tail, now longer
		if len(part) > len(own.tokens) {
			own.tokens = append([]int32(nil), part...)
		}
		p.touch(own)
		return own
	}
	same, length := at.longest(part)
	if length == len(part) && (len(part) == p.size || same.block != *block) {
		if len(part) < p.size {
			return same // somebody's block begins like our tail
		}
		if same.block != *block {
			p.hold(same)
			p.Return([]int32{*block})
			*block = same.block
		}
		return same
	}
	n := &node{block: *block, tokens: append([]int32(nil), part...), parent: at, children: map[int32][]*node{}}
	at.children[part[0]] = append(at.children[part[0]], n)
	p.nodes[*block] = n
	p.touch(n)
	return n
}

// Forget empties the tree; blocks that sequences hold stay theirs.
func (p *Pool) Forget() {
	for b, n := range p.nodes {
		if n == nil {
			continue
		}
		p.nodes[b] = nil
		if p.lent[b] == 0 {
			p.free = append(p.free, int32(b))
		}
	}
	p.kept, p.roots = 0, map[string]*node{}
}

// Check tells which promise of the pool is broken; it is for tests.
func (p *Pool) Check() error {
	state := make([]string, len(p.lent))
	for _, b := range p.free {
		if state[b] != "" {
			return fmt.Errorf("kv: block %d is free twice", b)
		}
		state[b] = "free"
	}
	kept := 0
	for b := range p.lent {
		n := p.nodes[b]
		switch {
		case state[b] == "free" && (p.lent[b] != 0 || n != nil):
			return fmt.Errorf("kv: block %d is free, lent %d times, in the tree: %v", b, p.lent[b], n != nil)
		case state[b] != "free" && p.lent[b] == 0 && n == nil:
			return fmt.Errorf("kv: block %d is lost", b)
		case p.lent[b] > 1 && n == nil:
			return fmt.Errorf("kv: block %d is shared and not in the tree", b)
		case n != nil && n.block != int32(b):
			return fmt.Errorf("kv: the node of block %d is block %d's", b, n.block)
		}
		if n != nil && p.lent[b] == 0 {
			kept++
		}
		if n != nil && n.parent.parent != nil && p.lent[b] > 0 && p.lent[n.parent.block] == 0 {
			return fmt.Errorf("kv: block %d is held and the one before it, %d, is not", b, n.parent.block)
		}
		if n != nil && len(n.tokens) < p.size && len(n.children) > 0 {
			return fmt.Errorf("kv: block %d is not full and has children", b)
		}
	}
	if kept != p.kept {
		return fmt.Errorf("kv: %d blocks are kept, counted are %d", kept, p.kept)
	}
	return nil
}
