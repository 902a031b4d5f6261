package binary

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestBenchPrintsWhatItPromises(t *testing.T) {
	out, errOut, code := output(t, t.TempDir(), "bench", small(t), "--json", "--prompt", "64", "--generate", "8", "--batch", "1,3", "--runs", "2", "--threads", "1")
	if code != 0 || errOut != "" {
		t.Fatalf("%d %s%s", code, out, errOut)
	}
	var got struct {
		CPU       string  `json:"cpu"`
		Threads   int     `json:"threads"`
		Bandwidth float64 `json:"bandwidth_bytes_per_s"`
		Load      float64 `json:"load_s"`
		Packed    float64 `json:"packed_s"`
		Prompt    float64 `json:"prompt_tokens_per_s"`
		Generate  float64 `json:"generate_tokens_per_s"`
		Bytes     float64 `json:"bytes_per_token"`
		Batch     []struct {
			N        int     `json:"n"`
			Generate float64 `json:"generate_tokens_per_s"`
		} `json:"batch"`
		PeakRSS         int64    `json:"peak_rss_bytes"`
		Implementations []string `json:"implementations"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.CPU == "" || got.Threads != 1 || !slices.Contains(got.Implementations, "generic") || len(got.Batch) != 2 || got.Batch[0].N != 1 || got.Batch[1].N != 3 {
		t.Errorf("%s", out)
	}
	// What no machine that runs this can be beyond.
	for what, v := range map[string]float64{"bandwidth": got.Bandwidth / 1e9, "load": got.Load, "packed": got.Packed - got.Load, "prompt": got.Prompt, "generate": got.Generate, "batch": got.Batch[1].Generate} {
		if v < 1e-3 || v > 1e5 {
			t.Errorf("%s is %v", what, v)
		}
	}
	// Of the file's 98 MB a token reads all but rows of the norms, and a few of its own keys and values.
	if got.Bytes < 90e6 || got.Bytes > 105e6 {
		t.Errorf("a token reads %v bytes", got.Bytes)
	}
	if got.PeakRSS < 90<<20 || got.PeakRSS > 8<<30 {
		t.Errorf("a model of 98 MB took %d bytes at most", got.PeakRSS)
	}
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	for says, args := range map[string][]string{
		"--prompt is 0":     {"--prompt", "0"},
		"--generate is 1":   {"--generate", "1"},
		"--runs is 0":       {"--runs", "0"},
		"--batch has 0":     {"--batch", "4,0"},
		"reads 8192 tokens": {"--prompt", "8192"},
	} {
		out, errOut, code := output(t, t.TempDir(), append([]string{"bench", small(t), "--json"}, args...)...)
		if code != 1 || out != "" || !strings.Contains(errOut, says) {
			t.Errorf("%q: %d %q %q, want %q", args, code, out, errOut, says)
		}
	}
}

func TestAProfileAccountsForEveryStep(t *testing.T) {
	out, errOut, code := output(t, t.TempDir(), "bench", small(t), "--json", "--profile", "--prompt", "40", "--generate", "6", "--batch", "1", "--runs", "1")
	if code != 0 {
		t.Fatalf("%d %s", code, errOut)
	}
	type profile struct {
		Seconds float64
		Steps   int
		Work    []struct {
			Name       string
			Calls      int
			Share      float64
			Bytes, Ops int64
			Rate       float64 `json:"ops_per_s"`
			Unit       float64 `json:"unit_share"`
		}
		Limits map[string]float64
	}
	var got struct {
		Implementations []string
		Profile         struct{ Prompt, Generate profile }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	// Its matrices have 30 layers of 3,538,944 weights, and an output of 49,152 rows of 576. Of the last layer's,
	// a prompt's rows pass through keys and values (192 rows each); only the last row goes on to the others.
	const inner, outer, on = 30 * 3538944, 49152 * 576, 3538944 - 2*192*576
	least := 0.999 // of the unit, beside what the products alone would be: what a kernel does beside them keeps it busy too
	if slices.Contains(got.Implementations, "amx") {
		least = 0.56 // tiles make the products, and the unit 4.5 instructions of 64 in place of 8
	}
	for name, c := range map[string]struct {
		profile
		steps int
		ops   int64
	}{"prompt": {got.Profile.Prompt, 1, 2 * (40*inner - 39*on + outer)}, "generate": {got.Profile.Generate, 6, 2 * 6 * (inner + outer)}} {
		least := least
		if name == "prompt" && slices.Contains(got.Implementations, "amx-bf16") {
			least = 0.25 // tiles of bf16 take 16 cycles, each of two vector operations, in place of 128 of these
		}
		share, ops, attended := 0.0, int64(0), int64(0)
		for _, w := range c.Work {
			share += w.Share
			if strings.HasPrefix(w.Name, "product") {
				ops += w.Ops
				if unit := c.Limits["integer_ops_per_s"]; len(got.Implementations) > 1 && (unit <= 0 || w.Unit < least*w.Rate/unit) {
					t.Errorf("%s: %s has %v operations a second, %v of a unit that gives %v", name, w.Name, w.Rate, w.Unit, unit)
				}
			}
			if w.Name == "attention" {
				attended = w.Ops
			}
		}
		if c.Steps != c.steps || ops != c.ops || attended == 0 || c.Limits["bytes_per_s"] <= 0 || share < 0.99 || share > 1.01 {
			t.Errorf("%s: %d steps, %d operations of products, want %d and %d; %d of attention; shares of %v\n%s", name, c.Steps, ops, c.steps, c.ops, attended, share, out)
		}
	}
}
