package grammar

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
	"pgregory.net/rapid"
)

func decimalText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		whole := rapid.SampledFrom([]int64{0, 0, 1, 2, 9, 10, 11, 99, 100, 101, 999, 12345}).Draw(t, "whole")
		frac := rapid.SampledFrom([]string{"", "", ".5", ".05", ".25", ".99", ".999", ".001", ".4999", ".50001"}).Draw(t, "frac")
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		if whole == 0 && frac == "" {
			sign = ""
		}
		return fmt.Sprintf("%s%d%s", sign, whole, frac)
	})
}

// TestNumbersAgreeWithArithmetic: bounds, divisors and exclusions hold exactly where exact arithmetic
// says so, in every spelling without an exponent.
func TestNumbersAgreeWithArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rat := func(text string) *big.Rat {
			r, ok := new(big.Rat).SetString(text)
			if !ok {
				t.Fatal(text)
			}
			return r
		}
		low, high := decimalText().Draw(t, "low"), decimalText().Draw(t, "high")
		least := rapid.SampledFrom([]string{"minimum", "exclusiveMinimum", ""}).Draw(t, "least")
		most := rapid.SampledFrom([]string{"maximum", "exclusiveMaximum", ""}).Draw(t, "most")
		divisor := rapid.SampledFrom([]string{"", "", "", "3", "0.5", "0.05", "7", "1"}).Draw(t, "divisor")
		kind := rapid.SampledFrom([]string{"integer", "number"}).Draw(t, "kind")
		parts := []string{fmt.Sprintf(`"type":%q`, kind)}
		if least != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", least, low))
		}
		if most != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", most, high))
		}
		if divisor != "" {
			parts = append(parts, `"multipleOf":`+divisor)
		}
		excluded := rapid.SampledFrom([]string{"", "", "0", "10", "0.5"}).Draw(t, "excluded")
		if excluded != "" {
			parts = append(parts, `"not":{"const":`+excluded+`}`)
		}
		odd := rapid.SampledFrom([]string{"", "", "2", "0.5", "0.05"}).Draw(t, "odd")
		if odd != "" {
			parts = append(parts, `"allOf":[{"not":{"multipleOf":`+odd+`}}]`)
		}
		g, err := CompileSchema([]byte(testdeps.Object(parts)), Options{})
		for range 10 {
			text := decimalText().Draw(t, "number")
			x := rat(text)
			ok := (kind == "number" || x.IsInt()) &&
				(least == "" || x.Cmp(rat(low)) > 0 || x.Cmp(rat(low)) == 0 && least == "minimum") &&
				(most == "" || x.Cmp(rat(high)) < 0 || x.Cmp(rat(high)) == 0 && most == "maximum") &&
				(divisor == "" || new(big.Rat).Quo(x, rat(divisor)).IsInt()) &&
				(odd == "" || !new(big.Rat).Quo(x, rat(odd)).IsInt()) &&
				(excluded == "" || x.Cmp(rat(excluded)) != 0)
			if err == nil && g.Match([]byte(text)) != ok || err != nil && ok {
				t.Fatalf("%s on %s: want %v (%v)", testdeps.Object(parts), text, ok, err)
			}
		}
	})
}

// TestNumbersThatMustBeNoIntegersAreNoneForAnybody: also not for a reader that has float64s only.
func TestNumbersThatMustBeNoIntegersAreNoneForAnybody(t *testing.T) {
	g := mustSchema(t, `{"type":"number","not":{"type":"integer"}}`, Options{})
	for text, want := range map[string]bool{"1.5": true, "-12345678.1234567": true, "100010191090010029.000001": false, "1": false, "1.0": false} {
		if g.Match([]byte(text)) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
