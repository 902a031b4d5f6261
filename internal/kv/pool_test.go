package kv

import (
	"testing"

	"pgregory.net/rapid"
)

// sequence is a model of one: what it wrote to each slot of its blocks.
type sequence struct {
	salt   string
	tokens []int32
	table  []int32
	chain  Chain
}

// TestThePoolKeepsItsPromises drives random sequences through match, growth, publishing and return, and
// checks that every slot still holds what its sequence wrote, that nothing leaks and nothing is shared
// while somebody writes to it.
func TestThePoolKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size, blocks = 4, 12
		p := NewPool(blocks, size)
		memory := make([][size]int32, blocks) // what a cache would hold: here the tokens themselves
		var live []*sequence
		verify := func(s *sequence) {
			for i, tok := range s.tokens {
				if memory[s.table[i/size]][i%size] != tok {
					t.Fatalf("slot %d of a sequence holds %d, it wrote %d", i, memory[s.table[i/size]][i%size], tok)
				}
			}
		}
		grow := func(s *sequence, tok int32) bool {
			if len(s.tokens)%size == 0 {
				b, ok := p.Take()
				if !ok {
					return false
				}
				s.table = append(s.table, b)
			}
			memory[s.table[len(s.tokens)/size]][len(s.tokens)%size] = tok
			s.tokens = append(s.tokens, tok)
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				prompt := rapid.SliceOfN(rapid.Int32Range(0, 1), 1, 14).Draw(t, "prompt")
				s := &sequence{salt: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "salt")}
				m := p.Match(s.salt, prompt)
				if m.Tokens+m.PartlyTokens >= len(prompt) {
					t.Fatal("nothing left to compute")
				}
				s.chain = Chain{Salt: s.salt}
				s.chain.Resume(m)
				s.table, s.tokens = m.Blocks, append(s.tokens, prompt[:m.Tokens]...)
				if m.PartlyTokens > 0 {
					if b, ok := p.Take(); ok {
						copy(memory[b][:m.PartlyTokens], memory[m.Partly][:m.PartlyTokens])
						s.table = append(s.table, b)
						s.tokens = append(s.tokens, prompt[m.Tokens:m.Tokens+m.PartlyTokens]...)
					}
					p.Return([]int32{m.Partly})
				}
				verify(s)
				for _, tok := range prompt[len(s.tokens):] {
					if !grow(s, tok) {
						break
					}
				}
				live = append(live, s)
			},
			"grow": func(t *rapid.T) {
				if len(live) > 0 {
					grow(rapid.SampledFrom(live).Draw(t, "sequence"), rapid.Int32Range(0, 1).Draw(t, "token"))
				}
			},
			"publish": func(t *rapid.T) {
				if len(live) > 0 {
					s := rapid.SampledFrom(live).Draw(t, "sequence")
					p.Publish(&s.chain, s.tokens, s.table, rapid.Bool().Draw(t, "tail"))
				}
			},
			"end": func(t *rapid.T) {
				if len(live) > 0 {
					i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
					p.Return(live[i].table)
					live = append(live[:i], live[i+1:]...)
				}
			},
			"": func(t *rapid.T) {
				for _, s := range live {
					verify(s)
				}
				if err := p.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
		for _, s := range live {
			p.Return(s.table)
		}
		p.Forget()
		if p.Available() != blocks || len(p.free) != blocks {
			t.Fatalf("%d of %d blocks came back", len(p.free), blocks)
		}
	})
}

func TestABeginningIsFoundToTheToken(t *testing.T) {
	p := NewPool(8, 4)
	tokens := []int32{1, 2, 3, 4, 5, 6, 7}
	var table []int32
	for range 2 {
		b, _ := p.Take()
		table = append(table, b)
	}
	c := Chain{Salt: "x"}
	p.Publish(&c, tokens, table, true)
	p.Return(table)
	m := p.Match("x", []int32{1, 2, 3, 4, 5, 6, 9, 9})
	if len(m.Blocks) != 1 || m.Blocks[0] != table[0] || m.Partly != table[1] || m.PartlyTokens != 2 {
		t.Fatalf("%+v", m)
	}
	if other := p.Match("y", tokens); other.Tokens+other.PartlyTokens != 0 {
		t.Fatal("another tenant sees it")
	}
	if all := p.Match("x", tokens); all.Tokens+all.PartlyTokens != 6 {
		t.Fatalf("%+v: one token must be left to compute", all)
	}
}
