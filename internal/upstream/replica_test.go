package upstream

import (
	"context"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
)

func replicas(n int) *model {
	m := &model{Target: Target{Name: "m"}}
	for range n {
		m.replicas = append(m.replicas, &replica{healthy: true})
	}
	return m
}

func (m *model) index(r *replica) int {
	for i, one := range m.replicas {
		if one == r {
			return i
		}
	}
	return -1
}

func TestAPrefixKeepsItsReplicaUntilThatIsMuchMoreLoaded(t *testing.T) {
	m := replicas(4)
	const prefix = 12345
	home := m.choose(prefix, nil)
	for range slack {
		home.begin()
		if m.choose(prefix, nil) != home {
			t.Fatal("a few answers more drive a prefix away")
		}
	}
	home.begin()
	if m.choose(prefix, nil) == home {
		t.Error("a prefix stays, however loaded its replica is")
	}
	home.end()
	if m.choose(prefix, nil) != home {
		t.Error("a prefix does not come back")
	}
}

func TestPrefixesSpreadAndMoveOnlyFromWhoIsGone(t *testing.T) {
	m := replicas(4)
	var before [1000]int
	var count [4]int
	for p := range before {
		before[p] = m.index(m.choose(uint64(p+1)*7919, nil))
		count[before[p]]++
	}
	for i, n := range count {
		if n < 180 || n > 320 {
			t.Errorf("replica %d has %d of 1000 prefixes", i, n)
		}
	}
	m.replicas[2].set(false)
	for p, was := range before {
		now := m.index(m.choose(uint64(p+1)*7919, nil))
		if was != 2 && now != was || now == 2 {
			t.Fatalf("prefix %d was at %d and is at %d", p, was, now)
		}
	}
}

func TestWhatHasNoPrefixGoesToTheLeastLoaded(t *testing.T) {
	m := replicas(3)
	for range 30 {
		m.choose(0, nil).begin()
	}
	for i, r := range m.replicas {
		if n, _ := r.load(); n != 10 {
			t.Errorf("replica %d has %d of 30", i, n)
		}
	}
	m.replicas[1].end()
	if m.choose(0, nil) != m.replicas[1] {
		t.Error("not the least loaded")
	}
}

func TestReplicasThatFailedTheirCheckComeLast(t *testing.T) {
	m := replicas(3)
	for _, prefix := range []uint64{0, 1, 2, 3, 99} {
		m.replicas[0].set(false)
		m.replicas[1].set(false)
		tried := map[*replica]bool{}
		if first := m.choose(prefix, tried); first != m.replicas[2] {
			t.Fatalf("prefix %d goes to one that is down", prefix)
		}
		tried[m.replicas[2]] = true
		for range 2 { // they may be back
			r := m.choose(prefix, tried)
			if r == nil {
				t.Fatal("one that is down is not tried at all")
			}
			tried[r] = true
		}
		if m.choose(prefix, tried) != nil {
			t.Error("one is tried twice")
		}
	}
}

func TestTheTurnsOfAConversationHaveOnePrefix(t *testing.T) {
	say := func(tenant string, texts ...string) uint64 {
		r := &chat.Request{Tenant: tenant}
		for i, s := range texts {
			role := []chat.Role{chat.User, chat.Assistant}[i%2]
			r.Messages = append(r.Messages, chat.Message{Role: role, Parts: []chat.Part{{Text: s}}})
		}
		return prefixOf(r)
	}
	first := say("", "hi")
	if say("", "hi", "hello", "and now?") != first {
		t.Error("a second turn goes elsewhere")
	}
	if say("", "ho") == first || say("other", "hi") == first {
		t.Error("other beginnings, or other tenants, are the same")
	}
	raw := func(p chat.RawPrompt) uint64 { return prefixOf(&chat.Request{Raw: &p}) }
	if raw(chat.RawPrompt{Text: "a"}) == raw(chat.RawPrompt{Text: "b"}) || raw(chat.RawPrompt{Tokens: []int32{1, 2}}) == raw(chat.RawPrompt{Tokens: []int32{12}}) {
		t.Error("other prompts are the same")
	}
	long := make([]byte, 3*prefixBytes)
	if raw(chat.RawPrompt{Text: string(long)}) != raw(chat.RawPrompt{Text: string(long[:2*prefixBytes])}) {
		t.Error("what comes late counts")
	}
}

func TestAttemptsEndWithTheCaller(t *testing.T) {
	m := replicas(3)
	ctx, cancel := context.WithCancel(context.Background())
	tries := 0
	_, err := m.attempts(1).do(ctx, func(*replica) error {
		tries++
		cancel()
		return ErrBusy
	})
	if err != context.Canceled || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
	for _, r := range m.replicas {
		if n, _ := r.load(); n != 0 {
			t.Error("an answer is under way")
		}
	}
}
