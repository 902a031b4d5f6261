package weights

import (
	"fmt"
	"strings"

	"github.com/galerne-ai/galerne/internal/dtype"
)

// supported lists the tensor types that can be read, for errors.
func supported() string {
	var names []string
	for _, t := range dtype.All() {
		names = append(names, t.String())
	}
	return strings.Join(names, " ")
}

// typeName names a GGML type that cannot be read: its number, and its name if GGML has one.
func typeName(t dtype.Type) string {
	if name := ggmlName(t); name != "" {
		return fmt.Sprintf("type %s (number %d), which is not supported", name, uint32(t))
	}
	return fmt.Sprintf("type number %d, which is unknown", uint32(t))
}

// ggmlName names the types that GGML has and this program does not read
// (https://github.com/ggml-org/ggml/blob/master/include/ggml.h).
func ggmlName(t dtype.Type) string {
	switch t {
	case 4:
		return "Q4_2 (removed from GGML)"
	case 5:
		return "Q4_3 (removed from GGML)"
	case 9:
		return "Q8_1"
	case 15:
		return "Q8_K"
	case 16:
		return "IQ2_XXS"
	case 17:
		return "IQ2_XS"
	case 18:
		return "IQ3_XXS"
	case 19:
		return "IQ1_S"
	case 21:
		return "IQ3_S"
	case 22:
		return "IQ2_S"
	case 24:
		return "I8"
	case 25:
		return "I16"
	case 26:
		return "I32"
	case 27:
		return "I64"
	case 28:
		return "F64"
	case 29:
		return "IQ1_M"
	case 31, 32, 33, 36, 37, 38:
		return "a packed Q4_0 or IQ4_NL (removed from GGML)"
	case 34:
		return "TQ1_0"
	case 35:
		return "TQ2_0"
	case 40:
		return "NVFP4"
	}
	return ""
}
