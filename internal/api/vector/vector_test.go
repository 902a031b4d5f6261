package vector

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// Oracle: numpy. np.packbits(v > 0), and that minus 128; np.round(v / abs(v).max() * 127).
func TestSmallVectorsAreNumpys(t *testing.T) {
	v := []float32{0.5, -0.25, 0, 0.125, -0.5, 0.3, 0.01, -0.01, 0.2, -0.2}
	for kind, want := range map[Type]string{
		UBinary: "[150 128]",
		Binary:  "[22 0]",
		Int8:    "[127 -64 0 32 -127 76 3 -3 51 -51]",
		Uint8:   "[255 64 128 160 1 204 131 125 179 77]",
	} {
		if got := fmt.Sprint(kind.Numbers(v)); got != want {
			t.Errorf("%s is %s, want %s", kind, got, want)
		}
	}
	if got := fmt.Sprint(Int8.Numbers([]float32{0, 0})); got != "[0 0]" {
		t.Errorf("the zero vector became %s", got)
	}
	if raw, err := base64.StdEncoding.DecodeString(Int8.Base64(v)); err != nil || int8(raw[1]) != -64 {
		t.Errorf("base64 of int8 holds %v (%v)", raw, err)
	}
}
